// How the commands read the API's JSON: attributes are passed through, known or not, so that a newer API shows all it
// has; what is missing reads as null.

package import ControlModel

extension JSON {
    /// Member of an object; null where there is none.
    package subscript(name: String) -> JSON { object?[name] ?? .null }

    /// Elements of an array; none of anything else.
    package var items: [JSON] { array ?? [] }

    /// Members of an object; none of anything else.
    package var members: [Object.Member] { object?.members ?? [] }

    /// A counter: an integer that is not negative.
    package var count: UInt64? { integer.flatMap { UInt64(exactly: $0) } }

    /// JSON text with a line for each member and element.
    package var prettyText: String { prettyText(indentation: "") }

    private func prettyText(indentation: String) -> String {
        let inner = indentation + "  "
        switch self {
        case .array(let items) where !items.isEmpty:
            let lines = items.map { inner + $0.prettyText(indentation: inner) }
            return "[\n" + lines.joined(separator: ",\n") + "\n\(indentation)]"
        case .object(let object) where !object.members.isEmpty:
            let lines = object.members.map { member in
                "\(inner)\(JSON.string(member.name).text): \(member.value.prettyText(indentation: inner))"
            }
            return "{\n" + lines.joined(separator: ",\n") + "\n\(indentation)}"
        default:
            return text
        }
    }
}

extension JSON.Object {
    /// These members and those of `others` whose names are not taken.
    func completed(by others: JSON.Object) -> JSON.Object {
        var result = self
        for member in others.members where result[member.name] == nil { result[member.name] = member.value }
        return result
    }
}

extension JSON.Object {
    /// - Parameter members: names are unique.
    init(_ members: [(String, JSON)]) {
        self.init()
        for (name, value) in members { append(name, value) }
    }
}
