// `heliostat explain TAP`: why copies arrive, or do not. Before: the API's documents, the counters twice. After:
// Explanation.swift, which walks from the intent to the wire.

package import ArgumentParser
import ControlModel

/// `heliostat explain`
package struct ExplainCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "explain", abstract: "Walk a tap from intent to wire, and name the link that is broken.",
        discussion: """
            Looks at the counters twice, a moment apart. Exit status 1 when a link is broken.

            Example: heliostat explain web-in
            """)

    @Argument(help: ArgumentHelp("Tap flow or tap mirror, by name or id.", valueName: "tap"))
    package var tap: String

    @Option(help: ArgumentHelp("Time between the two looks at the counters.", valueName: "seconds"))
    package var seconds = 1.5

    @OptionGroup package var globals: GlobalOptions

    package init() {}

    package mutating func validate() throws {
        if !(0...60).contains(seconds) { throw ValidationError("--seconds \(seconds) is not within 0 to 60") }
    }

    package mutating func run() async throws {
        let (tap, output, seconds) = (tap, globals.output, seconds)
        try await globals.withAPI { api in
            let explanation = Explanation(try await Self.facts(tap, api, seconds: seconds))
            output.write(output.json ? explanation.document.prettyText + "\n" : explanation.text)
            if explanation.isBroken { throw ExitCode(1) }
        }
    }

    private static func facts(_ tap: String, _ api: APIClient, seconds: Double) async throws -> Explanation.Facts {
        let (kind, object) = try await api.tap(tap)
        var facts = Explanation.Facts(kind: kind, tap: object)
        let source = object[kind == .flow ? "source_port" : "port_id"].string ?? ""
        facts.port = try await api.object(.port, id: source) ?? .null
        if kind == .flow {
            facts.service = try await api.object(.service, id: object["tap_service_id"].string ?? "") ?? .null
            facts.collector = try await api.object(.port, id: facts.service["port_id"].string ?? "") ?? .null
        }
        facts.hosts = try await api.list(.host)
        let before = try await api.get("/v2.0/heliostat/statistics")["statistics"]
        try await Task.sleep(for: .seconds(seconds))
        facts.status = try await api.get("/v2.0/heliostat/status")["status"]
        facts.counters = (before, try await api.get("/v2.0/heliostat/statistics")["statistics"])
        return facts
    }
}

extension APIClient {
    /// A tap flow of this name or id, else a tap mirror.
    func tap(_ tap: String) async throws(CommandError) -> (ResourceKind, JSON) {
        for kind in [ResourceKind.flow, .mirror] {
            if let found = try await known(kind, tap) { return (kind, found) }
        }
        throw CommandError(
            "no tap flow and no tap mirror '\(tap)'",
            remedy: "'heliostat flow list' and 'heliostat mirror list' show them", status: 404)
    }

    private func known(_ kind: ResourceKind, _ tap: String) async throws(CommandError) -> JSON? {
        do {
            return try await find(kind, tap)
        } catch {
            if error.status == 404 { return nil }
            throw error
        }
    }
}
