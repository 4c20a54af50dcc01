// Objects as a caller sees them: the attributes that are theirs to see, of the objects that a query asks for.
// Before: the store's rows, already narrowed by policy. After: Reply.

import ControlIdentity
import ControlModel
import ControlTelemetry

/// The view that one caller has of the objects of one kind.
struct View<Object: Resource> {
    let caller: Caller
    /// Counters, of kinds that have them.
    var statistics: ObjectStatistics?

    /// An attribute of an object as the caller reads it; nil for one that is not theirs to see.
    private func shown(_ attribute: String, _ value: JSON?, of object: Object) -> JSON? {
        guard Policy.shows(attribute, of: Object.kind, to: caller, project: object.projectID) else { return nil }
        guard attribute == "status_reason", let reason = Reason(value) else { return value }
        return .string(caller.isAdministrator ? reason.full : reason.forMembers)
    }

    /// The object's attributes, or those of them that `fields` names.
    func body(of object: Object, fields: [String]) -> JSON {
        var result = JSON.Object()
        let asked = Set(fields.map { $0 == "project_id" ? "tenant_id" : $0 })
        for member in object.values.members where asked.isEmpty || asked.contains(member.name) {
            if let value = shown(member.name, member.value, of: object) { result.append(member.name, value) }
        }
        if let statistics, asked.isEmpty || asked.contains("statistics") {
            result.append("statistics", statistics.document(of: object.id))
        }
        if let project = result["tenant_id"] { result.append("project_id", project) }
        return .object(result)
    }

    /// Whether the object has one of the values that the query names, for each attribute that it names. What is not an
    /// attribute, or not the caller's to see, is not a filter.
    func matches(_ object: Object, _ query: Query) -> Bool {
        let values = object.values
        return Dictionary(grouping: query.parameters, by: \.name).allSatisfy { name, parameters in
            guard let attribute = Object.table[name]?.name,
                let value = shown(attribute, values[attribute], of: object)
            else { return true }
            return parameters.contains { value.isNamed($0.value) }
        }
    }

    /// By the keys that the query names. What is not the caller's to see is the same for all objects.
    func sorted(_ objects: [Object], _ query: Query) throws(Fault) -> [Object] {
        let keys = try query.sorting { Object.table[$0] != nil }
        if keys.isEmpty { return objects }
        let rows = objects.map { object in
            let values = object.values
            let texts = keys.map { key in
                let attribute = Object.table[key.key]!.name
                return shown(attribute, values[attribute], of: object)?.pythonText ?? ""
            }
            return (object, texts)
        }
        return rows.sorted { one, other in
            for (index, key) in keys.enumerated() where one.1[index] != other.1[index] {
                return (one.1[index] < other.1[index]) == key.isAscending
            }
            return false
        }.map(\.0)
    }
}

extension JSON {
    /// Whether a filter's text names this value.
    fileprivate func isNamed(_ text: String) -> Bool {
        switch self {
        case .bool(let value):
            ["true", "1"].contains(text.lowercased()) ? value : ["false", "0"].contains(text.lowercased()) && !value
        case .null: text.isEmpty
        default: pythonText == text
        }
    }
}

/// A part of a list, and the links to the parts beside it.
struct Page<Object: Resource> {
    private(set) var objects: [Object]
    /// Nil without `limit`.
    private(set) var links: JSON?

    /// - Parameter url: the collection's URL without query.
    init(of all: [Object], _ query: Query, url: String) throws(Fault) {
        let limit = try query.limit()
        var rest = all[...]
        if let marker = query.marker {
            let index = all.firstIndex { $0.id == marker }
            rest = index.map { query.isReverse ? all[..<$0] : all[($0 + 1)...] } ?? []
        }
        guard let limit else {
            objects = Array(rest)
            return
        }
        objects = Array(query.isReverse ? rest.suffix(limit) : rest.prefix(limit))
        let hasMore = rest.count > objects.count
        var links: [JSON] = []
        func link(_ relation: String, _ marker: String?, isReverse: Bool) {
            let parameters = query.page(marker: marker, isReverse: isReverse)
            links.append(["rel": .string(relation), "href": .string(url + "?" + parameters)])
        }
        if hasMore || query.isReverse { link("next", objects.last?.id, isReverse: false) }
        if hasMore || !query.isReverse { link("previous", objects.first?.id, isReverse: true) }
        self.links = .array(links)
    }
}
