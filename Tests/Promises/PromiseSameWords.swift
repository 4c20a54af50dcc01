// Promise: a wrong filter is refused in the same words and with the same column wherever it was written (API, command,
// dry run, program file), and a dry run tells what would be and stores nothing. The real executables on all four ways.

import Foundation
import Lab
import MirrorProgram
import Testing

extension Promises {
    @Suite struct PromiseSameWords {
        private static let wrong: [(filter: String, words: String)] = [
            ("tcp port htp", "column 10: 'htp': unknown port 'htp'"),
            ("udp port 70000", "column 10: '70000': illegal port number 70000 > 65535"),
            ("tcp prt 80", "column 5: 'prt'"),
            ("tcp port", "column 9: the filter ends too early"),
            ("(ip and tcp", "column 12"),
            ("gateway router", "column 1"),
            ("tcp port 80)", "column 12"),
            ("tcp and and udp", "column 9"),
            (
                "port 80" + String(repeating: " or port 80", count: 400),
                "column 1: the filter has 4407 bytes; 4096 is the limit"
            ),
        ]

        private static func with(
            _ options: TappedPair.Options = .init(),
            _ body: (TappedPair, ServeProcess, TemporaryDirectory) throws -> Void
        ) throws {
            try Served.with(options) { lab, serve, directory in
                try serve.command(["port", "create", "web", "--interface", TappedPair.tappedPort])
                try serve.command(["service", "create", "ids", "--to", TappedPair.monitorAddress, "--vni", "5001"])
                try body(lab, serve, directory)
            }
        }

        /// What a command says when it fails.
        private static func refusal(_ serve: ServeProcess, _ arguments: [String]) -> String {
            do {
                return "it was taken: \(try serve.command(arguments))"
            } catch {
                return "\(error)"
            }
        }

        private static func post(_ lab: TappedPair, _ serve: ServeProcess, _ body: [String: Any]) throws -> String {
            let text = String(decoding: try JSONSerialization.data(withJSONObject: body), as: UTF8.self)
            let reply = try lab.host.start([
                "curl", "-sS", "--unix-socket", "\(serve.stateDirectory)/api.sock", "-H",
                "Content-Type: application/json", "-d", text, "http://localhost/v2.0/taas/tap_flows",
            ])
            try #require(reply.wait(seconds: 20) == 0, "\(reply.standardError)")
            let object = try JSONSerialization.jsonObject(with: Data(reply.standardOutput.utf8)) as? [String: Any]
            return (object?["NeutronError"] as? [String: Any])?["message"] as? String ?? reply.standardOutput
        }

        private static func object(_ text: String) throws -> [String: Any] {
            try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any], "\(text)")
        }

        private static func id(_ serve: ServeProcess, _ kind: String, _ name: String, _ key: String) throws -> String {
            let shown = try object(try serve.command([kind, "show", name, "--json"]))
            return try #require((shown[key] as? [String: Any] ?? shown)["id"] as? String)
        }

        @Test func ofAWrongFilter() throws {
            try Self.with { lab, serve, directory in
                let port = try Self.id(serve, "port", "web", "port")
                let service = try Self.id(serve, "service", "ids", "tap_service")
                for (filter, words) in Self.wrong {
                    let create = ["flow", "create", "f", "--port", "web", "--service", "ids", "--filter", filter]
                    let api = try Self.post(
                        lab, serve,
                        [
                            "tap_flow": [
                                "name": "f", "source_port": port, "tap_service_id": service, "direction": "BOTH",
                                "filter": filter,
                            ]
                        ])
                    // From the column to the end of the line: what stands in front says where it was written.
                    let said = try #require(api.range(of: words).map { String(api[$0.lowerBound...]) }, "API: \(api)")
                    let text = said.trimmingCharacters(in: CharacterSet(charactersIn: ".\n "))
                    let command = Self.refusal(serve, create)
                    #expect(command.contains(text), "flow create: \(command)\nwithout: \(text)")
                    let dry = Self.refusal(serve, create + ["--dry-run"])
                    #expect(dry.contains(text), "--dry-run: \(dry)\nwithout: \(text)")

                    var program = Mirror.program(.both)
                    program.taps[0].filter = .init(expression: filter)
                    let path = "\(directory.path)/wrong.json"
                    try JSONEncoder().encode(program).write(to: URL(fileURLWithPath: path))
                    let check = try lab.host.start([
                        try Requirements.executable("heliostat-dataplane"), "--check", "--program", path,
                    ])
                    #expect(check.wait(seconds: 10) ?? 0 != 0)
                    #expect(check.standardError.contains(text), "--check: \(check.standardError)\nwithout: \(text)")
                }
                let flows = try serve.command(["flow", "list", "--json"])
                #expect(!flows.contains(#""name""#), "nothing was stored: \(flows)")
            }
        }

        @Test func aDryRunStoresNothing() throws {
            try Self.with { lab, serve, directory in
                let create = ["flow", "create", "http", "--port", "web", "--service", "ids", "--dry-run", "--json"]
                func value(_ name: String, _ document: [String: Any]) -> String? {
                    let findings = document["findings"] as? [[String: Any]]
                    return findings?.first { $0["name"] as? String == name }?["value"] as? String
                }
                let first = try Self.object(
                    try serve.command(create + ["--filter", "tcp port 80", "--direction", "in"]))
                #expect(first["refusal"] == nil || first["refusal"] is NSNull, "\(first)")
                #expect(value("mode", first) == "tap" && value("engine", first) == "auto", "\(first)")
                #expect(value("interface", first) == TappedPair.tappedPort && value("direction", first) == "IN")
                #expect(value("destination", first) == "vxlan 5001 to \(TappedPair.monitorAddress)")
                #expect(value("filter", first)?.hasSuffix("instructions") == true)

                // A service that is in use already: the dataplane has looked for its way.
                try serve.command(["flow", "create", "all", "--port", "web", "--service", "ids"])
                let known = try poll(seconds: 5, every: 0.1) {
                    let document = try Self.object(try serve.command(create))
                    return value("uplink", document)?.hasPrefix(TappedPair.uplink) == true
                        && value("MTU", document)?.contains("toward the monitor") == true
                }
                #expect(known, "\((try? serve.command(create)) ?? "")")
                let list = try serve.command(["flow", "list", "--json"])
                #expect(!list.contains("http") && list.contains("all"))
                let dataplane = "\(serve.stateDirectory)/dataplane/dataplane.sock"
                let before = try ask(#"{"method":"status"}"#, at: dataplane, seconds: 5)
                try serve.command(create)
                #expect(try serve.command(["flow", "list", "--json"]) == list, "revision and all")
                let after = try ask(#"{"method":"status"}"#, at: dataplane, seconds: 5)
                let generation = { (text: String) in
                    (try? JSONDecoder().decode(DataplaneReply.self, from: Data(text.utf8)))?.status?.generation
                }
                #expect(generation(before) != nil && generation(before) == generation(after))

                // Where it would not run, the exit status says so.
                try serve.command(["port", "create", "nowhere"])
                let refused = Self.refusal(
                    serve, ["flow", "create", "x", "--port", "nowhere", "--service", "ids", "--dry-run"])
                #expect(refused.contains("failed with status 1"), "\(refused)")
                let unknown = Self.refusal(
                    serve, ["flow", "create", "x", "--port", "web", "--service", "nobody", "--dry-run"])
                #expect(unknown.contains("failed with status 1") && unknown.contains("no tap service 'nobody'"))
            }
        }

        /// A path that takes less than the port's longest frame: the dry run says how much.
        @Test func aDryRunSeesThePath() throws {
            try Self.with(.init(uplinkMTU: 1500)) { lab, serve, _ in
                try serve.command(["flow", "create", "all", "--port", "web", "--service", "ids"])
                let create = ["flow", "create", "x", "--port", "web", "--service", "ids", "--dry-run", "--no-json"]
                var text = ""
                let isSaid = try poll(seconds: 5, every: 0.1) {
                    text = try serve.command(create)
                    return text.contains("frames of more than 1464 bytes would be cut (the port's MTU is 1500)")
                }
                #expect(isSaid, "\(text)")
            }
        }
    }
}
