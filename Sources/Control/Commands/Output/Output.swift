// The last step of a command: what it found, on standard output, as a table or as JSON. Nothing else goes there,
// so that a script can read it; remarks go to standard error.

package import ControlModel
import Foundation

/// Prints answers.
package struct Output: Sendable {
    package let json: Bool

    package init(json: Bool) { self.json = json }

    /// A list: a table, or a JSON array.
    package func list<R: CommandResource>(_ objects: [JSON], of resource: R.Type, names: Names) {
        write(json ? JSON.array(objects).prettyText + "\n" : Self.table(objects, of: resource, names: names))
    }

    /// One object: its attributes, or a JSON object.
    package func object(_ object: JSON, of kind: ResourceKind) {
        write(json ? object.prettyText + "\n" : Self.attributes(object, of: kind))
    }

    package static func table<R: CommandResource>(_ objects: [JSON], of resource: R.Type, names: Names) -> String {
        if objects.isEmpty {
            return "no \(R.kind.title)s; 'heliostat \(R.kind.noun) create --help' says how to make one\n"
        }
        var table = Table(R.columns.map(\.title))
        for object in objects.sorted(by: { display($0["name"]) < display($1["name"]) }) {
            table.add(R.columns.map { $0.value(object, names) })
        }
        return table.text
    }

    package static func attributes(_ object: JSON, of kind: ResourceKind) -> String {
        let all = object.members.map(\.name)
        // Every project id comes under both of its names (the older is tenant_id); people need it once.
        let rest = all.filter { !kind.attributes.contains($0) && $0 != "tenant_id" }.sorted()
        let keys = kind.attributes.filter(all.contains) + rest
        return Table.pairs(keys.map { ($0, display(object[$0])) })
    }

    /// Standard output, at once. Ends the process when it cannot be written: nobody reads any more.
    package func write(_ text: String) {
        do {
            try FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
        } catch {
            exit(1)
        }
    }

    /// A remark beside the answer, on standard error.
    package static func remark(_ text: String) {
        try? FileHandle.standardError.write(contentsOf: Data("heliostat: \(text)\n".utf8))
    }
}
