// Names for the ids that one object holds of another, so that a table can be read.

package import ControlModel

/// Names by id.
package struct Names: Sendable {
    private var names: [String: String]

    package init(_ objects: [JSON] = []) {
        names = [:]
        for object in objects {
            if let id = object["id"].string, let name = object["name"].string, !name.isEmpty { names[id] = name }
        }
    }

    /// The name of the object with this id, else the id itself.
    package func name(_ id: JSON) -> String {
        guard let id = id.string else { return "" }
        return names[id] ?? id
    }

    /// The names of all objects of these kinds. Those that the caller may not list stay ids.
    package static func of(_ kinds: [ResourceKind], _ api: APIClient) async -> Names {
        var objects: [JSON] = []
        for kind in kinds { objects += (try? await api.list(kind)) ?? [] }
        return Names(objects)
    }
}
