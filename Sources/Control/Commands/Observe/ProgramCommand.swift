// `heliostat program --host B`: what another host has to run, computed from the intents as the control process computes
// its own. Before: the API's lists. After: a program file of docs/program.md.

package import ArgumentParser
import ControlModel
import ControlReconcile
import ControlStore
import Foundation
import MirrorProgram

/// `heliostat program`
package struct ProgramCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "program", abstract: "Print the program that a host has to run.",
        discussion: """
            For a host that has a dataplane and no control process: what is tapped there, and what is delivered there of \
            other hosts' copies. What cannot be carried out is left out, with its reason on standard error.

            Example: heliostat program --host b >b.json; scp b.json b:
                     b# heliostat-dataplane run --program b.json
            """)

    @Option(help: ArgumentHelp("Name of the host.", valueName: "name"))
    package var host: String

    @OptionGroup package var globals: GlobalOptions

    package init() {}

    package mutating func run() async throws {
        let (name, output) = (host, globals.output)
        try await globals.withAPI { api in
            let host = try await api.find(.host, name)
            if host["heliostat"].bool != true {
                throw CommandError(
                    "host '\(name)' is a bare collector", remedy: "create it with --heliostat if Heliostat runs there")
            }
            let snapshot = try await api.snapshot()
            let desired = DesiredState(snapshot, host: name)
            for (id, verdict) in desired.verdicts.sorted(by: { $0.key < $1.key }) where snapshot.concerns(id, name) {
                Output.remark("left out: \(id): \(verdict.reason.full)")
            }
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            output.write(String(decoding: try encoder.encode(desired.program), as: UTF8.self) + "\n")
        }
    }
}

extension APIClient {
    /// Every intent, as the API shows it to an administrator.
    func snapshot() async throws -> Snapshot {
        var snapshot = Snapshot(revision: 0)
        snapshot.hosts = try await objects(.host)
        snapshot.ports = try await objects(.port)
        snapshot.tapServices = try await objects(.service)
        snapshot.tapFlows = try await objects(.flow)
        snapshot.tapMirrors = try await objects(.mirror)
        return snapshot
    }

    private func objects<Object: Resource>(_ kind: ResourceKind) async throws -> [Versioned<Object>] {
        try await list(kind).map { item in
            do throws(JSONError) {
                return Versioned(try Object(item.object ?? [:]), revision: 0)
            } catch {
                throw CommandError(
                    "the API at \(endpoint.name) shows a \(kind.title) that cannot be read: \(error)",
                    remedy: "ask as an administrator, with a heliostat of the server's version")
            }
        }
    }
}

extension Snapshot {
    /// Whether an intent is one that host `name` would carry out.
    fileprivate func concerns(_ id: String, _ name: String) -> Bool {
        let hostOf = Dictionary(ports.map { ($0.object.id, $0.object.hostName) }) { first, _ in first }
        let flow = tapFlows.first { $0.object.id == id }.map { hostOf[$0.object.sourcePortID] == name }
        let mirror = tapMirrors.first { $0.object.id == id }.map { hostOf[$0.object.portID] == name }
        let service = tapServices.first { $0.object.id == id }.map { hostOf[$0.object.portID] == name }
        return flow ?? mirror ?? service ?? false
    }
}
