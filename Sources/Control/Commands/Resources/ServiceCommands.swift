// `heliostat service`: where copies go. A tap service is a port; `--to` makes the port, and the host it is on,
// for a collector that Heliostat does not run on.

package import ArgumentParser
import ControlModel

/// `heliostat service`
package struct ServiceCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "service", abstract: "Tap services: where copies go.",
        subcommands: [
            CreateServiceCommand.self, ListCommand<ServiceResource>.self, ShowCommand<ServiceResource>.self,
            UpdateServiceCommand.self, DeleteCommand<ServiceResource>.self,
        ])

    package init() {}
}

/// `heliostat service create`
package struct CreateServiceCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Create a tap service.",
        discussion: """
            With --to, the host and the port for a bare collector are made too, or taken where they are there already; \
            all of it or nothing.

            Example: heliostat service create ids --to 192.0.2.9 --vni 5001
                     heliostat service create ids --port monitor
            """)

    @Argument(help: "Name of the tap service.")
    package var name: String

    @Option(help: ArgumentHelp("Port to deliver to, by name or id.", valueName: "port"))
    package var port: String?

    @Option(help: ArgumentHelp("Address of a collector that ends tunnels by itself.", valueName: "address"))
    package var to: String?

    package enum Encapsulation: String, ExpressibleByArgument, CaseIterable, Sendable {
        case vxlan, gre, erspan2, erspan3, geneve

        var largestTunnelID: UInt32 {
            switch self {
            case .vxlan, .geneve: 0xFF_FFFF
            case .gre: .max
            case .erspan2, .erspan3: 1023
            }
        }
    }

    @Option(help: ArgumentHelp("How copies are wrapped on their way to another host.", valueName: "encapsulation"))
    package var encapsulation: Encapsulation?

    @Option(
        name: [.customLong("vni"), .customLong("tunnel-id")],
        help: ArgumentHelp(
            "Id of the tunnel: a VNI (0 to 16777215), a GRE key or an ERSPAN session id (0 to 1023) (default: one that is free).",
            valueName: "id"))
    package var vni: UInt32?

    @Option(help: "Description.")
    package var description: String?

    @Option(help: ArgumentHelp("Project that owns the service (default: the port's).", valueName: "id"))
    package var project: String?

    @OptionGroup package var globals: GlobalOptions

    package init() {}

    package mutating func validate() throws {
        if (port == nil) == (to == nil) {
            throw ValidationError("say where copies go: either --port PORT or --to ADDRESS")
        }
        let kind = encapsulation ?? .vxlan
        if let vni, vni > kind.largestTunnelID {
            throw ValidationError("--vni \(vni) is beyond the ids of \(kind.rawValue), 0 to \(kind.largestTunnelID)")
        }
    }

    package mutating func run() async throws {
        var attributes: JSON.Object = ["name": .string(name)]
        if let description { attributes["description"] = .string(description) }
        if let vni { attributes["tunnel_id"] = .integer(Int64(vni)) }
        if let encapsulation { attributes["encapsulation"] = .string(encapsulation.rawValue) }
        let (name, port, to, project, output) = (name, port, to, project, globals.output)
        try await globals.withAPI { api in
            let service: JSON
            if let to {
                service = try await CollectorService(name: name, address: to, project: project, attributes: attributes)
                    .create(api)
            } else {
                let port = try await api.find(.port, port ?? "")
                service = try await api.create(
                    .service, attributes.completed(by: placement(on: port, project: project)))
            }
            output.object(service, of: .service)
        }
    }
}

/// The attributes that put a tap service on a port: also its project, since both must belong to the same.
func placement(on port: JSON, project: String?) -> JSON.Object {
    var attributes: JSON.Object = ["port_id": port["id"]]
    let owner = project ?? port["project_id"].string ?? ""
    if !owner.isEmpty { attributes["project_id"] = .string(owner) }
    return attributes
}

/// `heliostat service update`
package struct UpdateServiceCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "update", abstract: "Change a tap service.",
        discussion: "Example: heliostat service update ids --description 'Suricata in rack 4'")

    @Argument(help: "Name or id.")
    package var service: String

    @Option(help: ArgumentHelp("New name.", valueName: "name"))
    package var name: String?

    @Option(help: "New description.")
    package var description: String?

    @OptionGroup package var globals: GlobalOptions

    package init() {}

    package mutating func run() async throws {
        let (service, output) = (service, globals.output)
        let attributes = textAttributes(name: name, description: description)
        try requireChange(attributes, "heliostat service update")
        try await globals.withAPI { api in
            output.object(
                try await api.update(.service, id: try await api.id(.service, service), attributes), of: .service)
        }
    }
}

/// The attributes of an update that were given.
func textAttributes(name: String?, description: String?) -> JSON.Object {
    var attributes: JSON.Object = [:]
    if let name { attributes["name"] = .string(name) }
    if let description { attributes["description"] = .string(description) }
    return attributes
}
