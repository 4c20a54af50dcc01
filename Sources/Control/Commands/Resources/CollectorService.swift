// `heliostat service create NAME --to ADDRESS`: host, port and tap service for a bare collector, in this order.
// The API has no transaction over several resources; when a later step fails, what was made is deleted again.

package import ControlModel

/// A tap service on a collector that Heliostat does not run on.
package struct CollectorService: Sendable {
    package let name: String
    /// Where the collector ends its tunnels.
    package let address: String
    package let project: String?
    /// Further attributes of the tap service.
    package let attributes: JSON.Object

    /// Makes what is missing, and returns the tap service.
    ///
    /// - Throws: `CommandError` of the step that failed; says what was deleted again, or what could not be.
    package func create(_ api: APIClient) async throws(CommandError) -> JSON {
        var made: [(kind: ResourceKind, object: JSON)] = []
        do {
            let host = try await host(api, &made)
            let port = try await port(api, on: host, &made)
            return try await api.create(
                .service, attributes.completed(by: placement(on: port, project: project)))
        } catch {
            throw await undo(made, api, after: error)
        }
    }

    /// The collector with this address, else a new one.
    private func host(
        _ api: APIClient, _ made: inout [(kind: ResourceKind, object: JSON)]
    ) async throws(CommandError) -> JSON {
        let hosts = try await api.list(.host)
        if let host = hosts.first(where: { $0["tunnel_addresses"].items.contains(.string(address)) }) {
            if host["heliostat"].bool != true { return host }
            throw CommandError(
                "\(address) is host '\(display(host["name"]))', which runs Heliostat; create the service on a port of it, "
                    + "with --port")
        }
        let taken = hosts.contains { $0["name"].string == name }
        let host = try await api.create(
            .host,
            [
                "name": .string(taken ? address : name), "tunnel_addresses": .array([.string(address)]),
                "heliostat": false,
            ])
        made.append((.host, host))
        return host
    }

    /// The collector's port of this name, left by an earlier service, else a new one.
    private func port(
        _ api: APIClient, on host: JSON, _ made: inout [(kind: ResourceKind, object: JSON)]
    ) async throws(CommandError) -> JSON {
        let same = try await api.list(.port, query: [("name", name)]).first { port in
            port["name"].string == name && port["binding:host_id"] == host["name"]
                && (project == nil || port["project_id"].string == project)
        }
        if let same { return same }
        var attributes: JSON.Object = ["name": .string(name), "binding:host_id": host["name"]]
        if let project { attributes["project_id"] = .string(project) }
        let port = try await api.create(.port, attributes)
        made.append((.port, port))
        return port
    }

    private func undo(
        _ made: [(kind: ResourceKind, object: JSON)], _ api: APIClient, after cause: CommandError
    ) async -> CommandError {
        var undone: [String] = []
        var left: [String] = []
        for (kind, object) in made.reversed() {
            let id = object["id"].string ?? ""
            let what = "\(kind.title) '\(display(object["name"]))'"
            do {
                try await api.delete(kind, id: id)
                undone.append(what)
            } catch {
                left.append("\(what) (\(error); delete it with 'heliostat \(kind.noun) delete \(id)')")
            }
        }
        let reason = cause.description
        var message =
            "tap service '\(name)' was not created: " + (reason.hasSuffix(".") ? reason.dropLast() : reason[...])
        if !undone.isEmpty { message += "; deleted again: " + undone.joined(separator: ", ") }
        if !left.isEmpty { message += "; could not delete again: " + left.joined(separator: ", ") }
        return CommandError(message, status: cause.status)
    }
}
