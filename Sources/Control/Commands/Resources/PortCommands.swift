// `heliostat port`: the inventory. Which kernel interface of which host a port is, is the administrator's to say.

package import ArgumentParser
import ControlModel

/// `heliostat port`
package struct PortCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "port", abstract: "Ports: what can be tapped, and what copies are delivered to.",
        subcommands: [
            CreatePortCommand.self, ListCommand<PortResource>.self, ShowCommand<PortResource>.self,
            UpdatePortCommand.self, DeleteCommand<PortResource>.self,
        ])

    package init() {}
}

/// Where a port is, and how it is captured.
package struct PortBindingOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Linux interface that the port is.", valueName: "name"))
    package var interface: String?

    @Option(
        help: ArgumentHelp(
            "Host that has the port, by name or id (default with --interface: this host).", valueName: "host"))
    package var host: String?

    @Option(help: ArgumentHelp("MAC address; the port is captured only while the interface has it.", valueName: "mac"))
    package var mac: String?

    @Option(
        help: ArgumentHelp(
            "How frames are captured: 'tap' copies them; 'xdp' does so in the driver; 'span' takes them, for an interface that already carries copies.",
            valueName: "tap|xdp|span"))
    package var capture: Capture?

    @Option(
        help: ArgumentHelp(
            "Where that cannot be had: capture nothing ('require'), or as tap ('prefer'); either says why. Default: prefer for xdp, else require.",
            valueName: "require|prefer"))
    package var capturePolicy: CapturePolicy?

    @Option(
        help: ArgumentHelp(
            "Whether the other end of the interface is the port's owner ('peer': veth, tap) or it is the owner's own ('self').",
            valueName: "auto|peer|self"))
    package var side: Side?

    package init() {}

    package enum Capture: String, ExpressibleByArgument, CaseIterable, Sendable { case tap, xdp, span }
    package enum CapturePolicy: String, ExpressibleByArgument, CaseIterable, Sendable { case require, prefer }
    package enum Side: String, ExpressibleByArgument, CaseIterable, Sendable { case auto, peer, `self` }

    /// The attributes that were given. The API binds a port with an interface and no host to its own host.
    ///
    /// - Parameter current: the profile that the port has; what is not given is kept.
    func attributes(_ api: APIClient, current: JSON.Object = [:]) async throws(CommandError) -> JSON.Object {
        var attributes: JSON.Object = [:]
        var profile = current
        if let interface { profile["interface"] = .string(interface) }
        if let capture { profile["capture"] = .string(capture.rawValue) }
        if let capturePolicy { profile["capture_policy"] = .string(capturePolicy.rawValue) }
        if let side { profile["side"] = .string(side.rawValue) }
        if let mac { profile["mac"] = .string(mac) }
        if profile != current { attributes["binding:profile"] = .object(profile) }
        if let host { attributes["binding:host_id"] = try await api.find(.host, host)["name"] }
        return attributes
    }
}

/// `heliostat port create`
package struct CreatePortCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Create a port.",
        discussion: """
            Example: heliostat port create web --interface veth0
                     heliostat port create mirror0 --interface eth2 --capture span
            """)

    @Argument(help: "Name of the port.")
    package var name: String

    @OptionGroup package var binding: PortBindingOptions

    @Option(help: ArgumentHelp("Project that owns the port (default: the caller's).", valueName: "id"))
    package var project: String?

    @OptionGroup package var globals: GlobalOptions

    package init() {}

    package mutating func run() async throws {
        let (name, binding, project, output) = (name, binding, project, globals.output)
        try await globals.withAPI { api in
            var attributes: JSON.Object = ["name": .string(name)]
            attributes = attributes.completed(by: try await binding.attributes(api))
            if let project { attributes["project_id"] = .string(project) }
            if let mac = binding.mac { attributes["mac_address"] = .string(mac) }
            output.object(try await api.create(.port, attributes), of: .port)
        }
    }
}

/// `heliostat port update`
package struct UpdatePortCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "update", abstract: "Change a port.",
        discussion: "Example: heliostat port update web --interface veth7")

    @Argument(help: "Name or id.")
    package var port: String

    @Option(help: ArgumentHelp("New name.", valueName: "name"))
    package var name: String?

    @OptionGroup package var binding: PortBindingOptions

    @OptionGroup package var globals: GlobalOptions

    package init() {}

    package mutating func run() async throws {
        let (port, name, binding, output) = (port, name, binding, globals.output)
        try await globals.withAPI { api in
            let found = try await api.find(.port, port)
            var attributes = try await binding.attributes(api, current: found["binding:profile"].object ?? [:])
            if let name { attributes["name"] = .string(name) }
            try requireChange(attributes, "heliostat port update")
            output.object(try await api.update(.port, id: found["id"].string ?? "", attributes), of: .port)
        }
    }
}

/// Refuses an update that changes nothing, before it is sent.
func requireChange(_ attributes: JSON.Object, _ command: String) throws(CommandError) {
    if attributes.members.isEmpty {
        throw CommandError("nothing to change", remedy: "'\(command) --help' shows what can be given")
    }
}
