// `heliostat flow`: which frames are copied, and to which tap service.

package import ArgumentParser
import ControlModel

/// `heliostat flow`
package struct FlowCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "flow", abstract: "Tap flows: which frames are copied to which tap service.",
        subcommands: [
            CreateFlowCommand.self, ListCommand<FlowResource>.self, ShowCommand<FlowResource>.self,
            UpdateFlowCommand.self, DeleteCommand<FlowResource>.self,
        ])

    package init() {}
}

/// `heliostat flow create`
package struct CreateFlowCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Create a tap flow.",
        discussion: """
            Directions are the port's view: 'in' is toward the port's owner, 'out' is from it. The command waits until \
            the flow is in effect or refused, 3 seconds at most, and shows its status with the reason.

            Example: heliostat flow create web-in --port web --service ids --direction in
            """)

    package enum Direction: String, ExpressibleByArgument, CaseIterable, Sendable {
        case `in`, out, both
        package init?(argument: String) { self.init(rawValue: argument.lowercased()) }
    }

    @Argument(help: "Name of the tap flow.")
    package var name: String

    @Option(help: ArgumentHelp("Port whose frames are copied, by name or id.", valueName: "port"))
    package var port: String

    @Option(help: ArgumentHelp("Tap service that gets the copies, by name or id.", valueName: "service"))
    package var service: String

    @Option(help: ArgumentHelp("Which frames.", valueName: "in|out|both"))
    package var direction = Direction.both

    @Option(help: "Description.")
    package var description: String?

    @Flag(help: "Do not wait until the flow is in effect.")
    package var noWait = false

    @OptionGroup package var globals: GlobalOptions

    package init() {}

    package mutating func run() async throws {
        let output = globals.output
        let (port, service, noWait) = (port, service, noWait)
        var attributes: JSON.Object = [
            "name": .string(name), "direction": .string(direction.rawValue.uppercased()),
        ]
        if let description { attributes["description"] = .string(description) }
        try await globals.withAPI { api in
            let service = try await api.find(.service, service)
            attributes["source_port"] = .string(try await api.id(.port, port))
            attributes["tap_service_id"] = service["id"]
            if let project = service["project_id"].string, !project.isEmpty {
                attributes["project_id"] = .string(project)
            }
            var flow = try await api.create(.flow, attributes)
            if !noWait { flow = try await api.settled(flow) }
            output.object(flow, of: .flow)
            if !noWait, flow["status"] != "ACTIVE" { Output.remark(Self.remark(flow)) }
        }
    }

    static func remark(_ flow: JSON) -> String {
        let reason = flow["status_reason"].string ?? ""
        return "tap flow '\(display(flow["name"]))' is \(display(flow["status"]))"
            + (reason.isEmpty ? "; 'heliostat status' shows what the dataplane does" : ": \(reason)")
    }
}

extension APIClient {
    /// The tap flow as soon as it is no longer DOWN, or as it is after 3 seconds.
    func settled(_ created: JSON) async throws -> JSON {
        var flow = created
        let end = ContinuousClock.now + .seconds(3)
        while flow["status"] == "DOWN", ContinuousClock.now < end {
            try await Task.sleep(for: .milliseconds(50))
            guard let now = try await object(.flow, id: created["id"].string ?? "") else {
                throw CommandError("tap flow '\(display(created["name"]))' was deleted while it was being set up")
            }
            flow = now
        }
        return flow
    }
}

/// `heliostat flow update`
package struct UpdateFlowCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "update", abstract: "Change a tap flow.",
        discussion: "Example: heliostat flow update web-in --name web")

    @Argument(help: "Name or id.")
    package var flow: String

    @Option(help: ArgumentHelp("New name.", valueName: "name"))
    package var name: String?

    @Option(help: "New description.")
    package var description: String?

    @OptionGroup package var globals: GlobalOptions

    package init() {}

    package mutating func run() async throws {
        let (flow, output) = (flow, globals.output)
        let attributes = textAttributes(name: name, description: description)
        try requireChange(attributes, "heliostat flow update")
        try await globals.withAPI { api in
            output.object(try await api.update(.flow, id: try await api.id(.flow, flow), attributes), of: .flow)
        }
    }
}
