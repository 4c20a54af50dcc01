// `heliostat flow`: which frames are copied, and to which tap service.

package import ArgumentParser
import ControlModel
import Foundation

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
                     heliostat flow create http --port web --service ids --filter 'tcp port 80' --snaplen 256
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

    @Option(help: ArgumentHelp("Only frames tagged with these VLANs.", valueName: "189,279,999-1008"))
    package var vlanFilter: String?

    @OptionGroup(title: "What is done with the copies") package var actions: TapActionOptions

    @Flag(help: "Do not wait until the flow is in effect.")
    package var noWait = false

    @Flag(help: "Store nothing; say what would become of the flow. Exit status 1 when it would not run.")
    package var dryRun = false

    @OptionGroup package var globals: GlobalOptions

    package init() {}

    package mutating func run() async throws {
        let output = globals.output
        let (port, service, noWait, dryRun) = (port, service, noWait, dryRun)
        var attributes: JSON.Object = [
            "name": .string(name), "direction": .string(direction.rawValue.uppercased()),
        ]
        attributes = attributes.completed(by: actions.attributes)
        if let vlanFilter { attributes["vlan_filter"] = .string(vlanFilter) }
        if let description { attributes["description"] = .string(description) }
        try await globals.withAPI { api in
            let service = try await api.find(.service, service)
            attributes["source_port"] = .string(try await api.id(.port, port))
            attributes["tap_service_id"] = service["id"]
            if let project = service["project_id"].string, !project.isEmpty {
                attributes["project_id"] = .string(project)
            }
            if dryRun {
                let status = try await api.get("/v2.0/heliostat/status")["status"]
                let prospects = try DryRun(attributes, in: try await api.snapshot(), status: status) { interface in
                    (try? String(contentsOfFile: "/sys/class/net/\(interface)/mtu", encoding: .utf8))
                        .flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
                }
                output.write(output.json ? prospects.document.prettyText + "\n" : prospects.text)
                if prospects.refusal != nil { throw ExitCode(1) }
                return
            }
            var flow = try await api.create(.flow, attributes)
            if !noWait { flow = try await api.settled(flow, of: .flow) }
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
    /// The tap flow or tap mirror as soon as it is no longer DOWN, or as it is after 3 seconds.
    func settled(_ created: JSON, of kind: ResourceKind) async throws -> JSON {
        var tap = created
        let end = ContinuousClock.now + .seconds(3)
        while tap["status"] == "DOWN", ContinuousClock.now < end {
            try await Task.sleep(for: .milliseconds(50))
            guard let now = try await object(kind, id: created["id"].string ?? "") else {
                throw CommandError(
                    "\(kind.title) '\(display(created["name"]))' was deleted while it was being set up")
            }
            tap = now
        }
        return tap
    }
}

/// `heliostat flow update`
package struct UpdateFlowCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "update", abstract: "Change a tap flow while it runs.",
        discussion: "Example: heliostat flow update web-in --filter 'tcp port 443' --one-in 10 --per flow")

    @Argument(help: "Name or id.")
    package var flow: String

    @OptionGroup package var changes: TapChangeOptions
    @OptionGroup package var globals: GlobalOptions

    package init() {}

    package mutating func run() async throws { try await changes.update(.flow, flow, globals) }
}
