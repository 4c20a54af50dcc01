// `heliostat mirror`: the frames of a port, through a tunnel, to a monitor that is no port of ours.

package import ArgumentParser
import ControlModel

/// `heliostat mirror`
package struct MirrorCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "mirror", abstract: "Tap mirrors: a port's frames to a remote address, one tunnel a direction.",
        subcommands: [
            CreateMirrorCommand.self, ListCommand<MirrorResource>.self, ShowCommand<MirrorResource>.self,
            UpdateMirrorCommand.self, DeleteCommand<MirrorResource>.self,
        ])

    package init() {}
}

/// `heliostat mirror create`
package struct CreateMirrorCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Create a tap mirror.",
        discussion: """
            Each direction has a tunnel id of its own: a GRE key, an ERSPAN session id (0 to 1023) or a VNI. 'in' is \
            toward the port's owner, 'out' is from it, 'both' is one tunnel for the two.

            Example: heliostat mirror create web --port web --to 192.0.2.9 --type erspanv1 --in 101 --out 102
            """)

    package enum MirrorType: String, ExpressibleByArgument, CaseIterable, Sendable {
        case gre, erspanv1, erspanv2, vxlan, geneve
    }

    @Argument(help: "Name of the tap mirror.")
    package var name: String

    @Option(help: ArgumentHelp("Port whose frames are copied, by name or id.", valueName: "port"))
    package var port: String

    @Option(help: ArgumentHelp("Address of the monitor, IPv4 or IPv6.", valueName: "address"))
    package var to: String

    @Option(help: ArgumentHelp("Encapsulation; erspanv1 is Type II, erspanv2 Type III.", valueName: "type"))
    package var type = MirrorType.gre

    @Option(name: .customLong("in"), help: ArgumentHelp("Tunnel id of direction IN.", valueName: "id"))
    package var inbound: Int64?

    @Option(name: .customLong("out"), help: ArgumentHelp("Tunnel id of direction OUT.", valueName: "id"))
    package var outbound: Int64?

    @Option(help: ArgumentHelp("Tunnel id of both directions together.", valueName: "id"))
    package var both: Int64?

    @Option(help: "Description.")
    package var description: String?

    @Option(help: ArgumentHelp("Project that owns the mirror (default: the port's).", valueName: "id"))
    package var project: String?

    @OptionGroup(title: "What is done with the copies") package var actions: TapActionOptions
    @OptionGroup package var globals: GlobalOptions

    package init() {}

    package mutating func validate() throws {
        if inbound == nil, outbound == nil, both == nil {
            throw ValidationError("say which frames and their tunnel: --in ID, --out ID or --both ID")
        }
    }

    package mutating func run() async throws {
        var attributes = actions.attributes
        attributes["name"] = .string(name)
        if let description { attributes["description"] = .string(description) }
        attributes["remote_ip"] = .string(to)
        attributes["mirror_type"] = .string(type.rawValue)
        let ids = [("IN", inbound), ("OUT", outbound), ("BOTH", both)].compactMap { direction, id in
            id.map { (direction, JSON.integer($0)) }
        }
        attributes["directions"] = .object(JSON.Object(ids))
        let (port, project, output) = (port, project, globals.output)
        try await globals.withAPI { [attributes] api in
            let port = try await api.find(.port, port)
            let mirror = try await api.create(
                .mirror, attributes.completed(by: placement(on: port, project: project)))
            output.object(try await api.settled(mirror, of: .mirror), of: .mirror)
        }
    }
}

/// `heliostat mirror update`
package struct UpdateMirrorCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "update", abstract: "Change a tap mirror while it runs.",
        discussion: "Example: heliostat mirror update web --snaplen 128")

    @Argument(help: "Name or id.")
    package var mirror: String

    @OptionGroup package var changes: TapChangeOptions
    @OptionGroup package var globals: GlobalOptions

    package init() {}

    package mutating func run() async throws { try await changes.update(.mirror, mirror, globals) }
}

/// What `update` changes of a tap flow or tap mirror.
package struct TapChangeOptions: ParsableArguments {
    @Option(help: ArgumentHelp("New name.", valueName: "name"))
    package var name: String?

    @Option(help: "New description.")
    package var description: String?

    @OptionGroup(title: "What is done with the copies") package var actions: TapActionOptions

    package init() {}

    func update(_ kind: ResourceKind, _ reference: String, _ globals: GlobalOptions) async throws {
        let output = globals.output
        let attributes = textAttributes(name: name, description: description).completed(by: actions.attributes)
        try requireChange(attributes, "heliostat \(kind.noun) update")
        try await globals.withAPI { api in
            output.object(try await api.update(kind, id: try await api.id(kind, reference), attributes), of: kind)
        }
    }
}
