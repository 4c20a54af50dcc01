// Names where the API takes ids. The API itself knows only ids in its addresses, as Neutron does, so the lookup
// is the command's: by id when it can be one, else by name.

package import ControlModel
import Foundation

extension APIClient {
    /// The object that the operator means.
    ///
    /// - Parameter reference: an id, or a name that exactly one object has.
    /// - Throws: `CommandError` when there is none, or several (with their ids).
    package func find(_ kind: ResourceKind, _ reference: String) async throws(CommandError) -> JSON {
        if UUID(uuidString: reference) != nil, let object = try await object(kind, id: reference) { return object }
        // The filter is checked again here: an API that does not know it answers with everything.
        let same = try await list(kind, query: [("name", reference)]).filter { $0["name"].string == reference }
        switch same.count {
        case 1: return same[0]
        case 0:
            throw CommandError(
                "no \(kind.title) '\(reference)'", remedy: "'heliostat \(kind.noun) list' shows them", status: 404)
        default:
            let ids = same.compactMap { $0["id"].string }.sorted().joined(separator: ", ")
            throw CommandError("\(same.count) \(kind.title)s have the name '\(reference)'", remedy: "use an id: \(ids)")
        }
    }

    /// The id of the object that the operator means.
    package func id(_ kind: ResourceKind, _ reference: String) async throws(CommandError) -> String {
        let object = try await find(kind, reference)
        guard let id = object["id"].string else {
            throw CommandError("the API at \(endpoint.name) answered with a \(kind.title) that has no id")
        }
        return id
    }

    /// The object with this id; nil where there is none.
    package func object(_ kind: ResourceKind, id: String) async throws(CommandError) -> JSON? {
        do {
            return try await get("\(kind.path)/\(id)")[kind.key]
        } catch {
            if error.status == 404 { return nil }
            throw error
        }
    }

    /// All objects of a kind that the caller may see.
    package func list(_ kind: ResourceKind, query: [(String, String)] = []) async throws(CommandError) -> [JSON] {
        try await get(kind.path, query: query)[kind.collection].items
    }

    /// Creates an object and returns it as the API has it.
    package func create(_ kind: ResourceKind, _ attributes: JSON.Object) async throws(CommandError) -> JSON {
        try await post(kind.path, [kind.key: .object(attributes)])[kind.key]
    }

    /// Changes the given attributes and returns the whole object.
    package func update(
        _ kind: ResourceKind, id: String, _ attributes: JSON.Object
    ) async throws(CommandError) -> JSON {
        try await put("\(kind.path)/\(id)", [kind.key: .object(attributes)])[kind.key]
    }

    package func delete(_ kind: ResourceKind, id: String) async throws(CommandError) {
        try await delete("\(kind.path)/\(id)")
    }
}
