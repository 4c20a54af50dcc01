// `heliostat host`: where ports are. A host either runs Heliostat, or is a bare collector that ends the tunnel itself.

package import ArgumentParser
import ControlModel

/// `heliostat host`
package struct HostCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "host", abstract: "Hosts: this one, others that run Heliostat, and bare collectors.",
        subcommands: [
            CreateHostCommand.self, ListCommand<HostResource>.self, ShowCommand<HostResource>.self,
            UpdateHostCommand.self, DeleteCommand<HostResource>.self,
        ])

    package init() {}
}

/// `heliostat host create`
package struct CreateHostCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Make a host known.",
        discussion: """
            A bare collector, such as an IDS that ends VXLAN by itself, needs no Heliostat. 'heliostat service create \
            NAME --to ADDRESS' makes the collector and its port in one step.

            Example: heliostat host create ids --address 192.0.2.9
            """)

    @Argument(help: "Name of the host.")
    package var name: String

    @Option(help: ArgumentHelp("Address at which its tunnels end; may be repeated.", valueName: "address"))
    package var address: [String] = []

    @Flag(help: "The host runs Heliostat itself.")
    package var heliostat = false

    @OptionGroup package var globals: GlobalOptions

    package init() {}

    package mutating func run() async throws {
        let attributes: JSON.Object = [
            "name": .string(name), "tunnel_addresses": .array(address.map(JSON.string)),
            "heliostat": .bool(heliostat),
        ]
        let output = globals.output
        try await globals.withAPI { api in
            output.object(try await api.create(.host, attributes), of: .host)
        }
    }
}

/// `heliostat host update`
package struct UpdateHostCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "update", abstract: "Change the addresses of a host.",
        discussion: "Example: heliostat host update ids --address 192.0.2.10")

    @Argument(help: "Name or id.")
    package var host: String

    @Option(
        help: ArgumentHelp(
            "Address at which its tunnels end, instead of those it has; may be repeated.", valueName: "address"))
    package var address: [String] = []

    @OptionGroup package var globals: GlobalOptions

    package init() {}

    package mutating func run() async throws {
        let (host, output) = (host, globals.output)
        var attributes: JSON.Object = [:]
        if !address.isEmpty { attributes["tunnel_addresses"] = .array(address.map(JSON.string)) }
        try requireChange(attributes, "heliostat host update")
        try await globals.withAPI { api in
            output.object(try await api.update(.host, id: try await api.id(.host, host), attributes), of: .host)
        }
    }
}
