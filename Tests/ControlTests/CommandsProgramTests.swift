// The program against a server with literal bodies: what a script sees on standard output, what a person sees on
// standard error, and the exit status.

import Foundation
import Testing

@Suite struct CommandsProgramTests {
    typealias Answer = ScriptedAPI.Answer

    static let serviceID = "c6435d6f-0a0e-4c4b-9d0a-3a1a5a3b9a01"
    static let service = """
        {"id":"\(serviceID)","tenant_id":"","name":"ids","description":"","port_id":"p1","status":"ACTIVE",\
        "status_reason":null,"tunnel_id":15728641,"encapsulation":"vxlan","project_id":""}
        """

    @Test func listIsAJSONArrayWhereStandardOutputIsNoTerminal() async throws {
        try await ScriptedAPI.serving([
            "GET /v2.0/taas/tap_services": [Answer(200, #"{"tap_services":[\#(Self.service)]}"#)]
        ]) { api in
            let run = try await ProgramRun.heliostat(["service", "list", "--state-dir", api.state])
            #expect(run.status == 0)
            #expect(run.errors == "")
            let services = try JSONDecoder().decode([Service].self, from: Data(run.output.utf8))
            #expect(services == [Service(id: Self.serviceID, name: "ids", tunnel_id: 15_728_641)])
        }
    }

    private struct Service: Codable, Hashable {
        let id: String
        let name: String
        let tunnel_id: Int
    }

    @Test func globalOptionsStandBeforeOrAfterTheCommand() async throws {
        try await ScriptedAPI.serving([
            "GET /v2.0/taas/tap_services": [Answer(200, #"{"tap_services":[\#(Self.service)]}"#)],
            "GET /v2.0/ports": [Answer(200, #"{"ports":[{"id":"p1","name":"ids"}]}"#)],
        ]) { api in
            let table = """
                NAME  ID                                    PORT  ENCAPSULATION  TUNNEL ID  STATUS  REASON
                ids   c6435d6f-0a0e-4c4b-9d0a-3a1a5a3b9a01  ids   vxlan          15728641   ACTIVE  -

                """
            for arguments in [
                ["--state-dir", api.state, "--no-json", "service", "list"],
                ["--no-json", "service", "--state-dir", api.state, "list"],
                ["service", "list", "--state-dir", api.state, "--no-json"],
            ] {
                let run = try await ProgramRun.heliostat(arguments)
                #expect(run.output == table, "\(arguments)")
                #expect(run.errors == "")
            }
            let run = try await ProgramRun.heliostat(
                ["service", "list", "--no-json"], variables: ["HELIOSTAT_STATE_DIR": api.state])
            #expect(run.output == table)
        }
    }

    @Test func showTakesANameOrAnID() async throws {
        let unknown = "GET /v2.0/taas/tap_services?name=x%20y%26z"
        try await ScriptedAPI.serving([
            "GET /v2.0/taas/tap_services/\(Self.serviceID)": [Answer(200, #"{"tap_service":\#(Self.service)}"#)],
            "GET /v2.0/taas/tap_services?name=ids": [Answer(200, #"{"tap_services":[\#(Self.service)]}"#)],
            unknown: [Answer(200, #"{"tap_services":[]}"#)],
        ]) { api in
            let byID = try await ProgramRun.heliostat(["service", "show", Self.serviceID, "--state-dir", api.state])
            let byName = try await ProgramRun.heliostat(["service", "show", "ids", "--state-dir", api.state])
            #expect(byID.output == byName.output)
            #expect(byID.output.contains("\"tunnel_id\": 15728641"))
            let text = try await ProgramRun.heliostat(["service", "show", "ids", "--no-json", "--state-dir", api.state])
            #expect(
                text.output == """
                    name           ids
                    id             c6435d6f-0a0e-4c4b-9d0a-3a1a5a3b9a01
                    description    -
                    status         ACTIVE
                    status_reason  -
                    port_id        p1
                    encapsulation  vxlan
                    tunnel_id      15728641
                    project_id     -

                    """)
            let none = try await ProgramRun.heliostat(["service", "show", "x y&z", "--state-dir", api.state])
            #expect(none.status == 1)
            #expect(none.output == "")
            #expect(none.errors == "heliostat: no tap service 'x y&z'; 'heliostat service list' shows them\n")
        }
    }

    @Test func ambiguousNameListsTheIDs() async throws {
        let two = #"{"ports":[{"id":"b","name":"web"},{"id":"a","name":"web"}]}"#
        try await ScriptedAPI.serving(["GET /v2.0/ports?name=web": [Answer(200, two)]]) { api in
            let run = try await ProgramRun.heliostat(["port", "delete", "web", "--state-dir", api.state])
            #expect(run.status == 1)
            #expect(run.errors == "heliostat: 2 ports have the name 'web'; use an id: a, b\n")
            #expect(api.requests == ["GET /v2.0/ports?name=web"])
        }
    }

    @Test func deleteLooksUpAllNamesBeforeItDeletesOne() async throws {
        try await ScriptedAPI.serving([
            "GET /v2.0/ports?name=web": [Answer(200, #"{"ports":[{"id":"a","name":"web"}]}"#)],
            "GET /v2.0/ports?name=db": [
                Answer(200, #"{"ports":[]}"#), Answer(200, #"{"ports":[{"id":"b","name":"db"}]}"#),
            ],
            "DELETE /v2.0/ports/a": [Answer(204)], "DELETE /v2.0/ports/b": [Answer(204)],
        ]) { api in
            let none = try await ProgramRun.heliostat(["port", "delete", "web", "db", "--state-dir", api.state])
            #expect(none.status == 1)
            #expect(!api.requests.contains { $0.hasPrefix("DELETE") })
            let both = try await ProgramRun.heliostat([
                "port", "delete", "web", "db", "--no-json", "--state-dir", api.state,
            ])
            #expect(both.output == "deleted port web (a)\ndeleted port db (b)\n")
            #expect(api.requests.suffix(2) == ["DELETE /v2.0/ports/a", "DELETE /v2.0/ports/b"])
        }
    }

    @Test func portCreateSendsTheBinding() async throws {
        try await ScriptedAPI.serving(["POST /v2.0/ports": [Answer(201, #"{"port":{"id":"a","name":"web"}}"#)]]) {
            api in
            let run = try await ProgramRun.heliostat([
                "port", "create", "web", "--interface", "veth0", "--capture", "span", "--capture-policy", "prefer",
                "--side", "self", "--state-dir", api.state,
            ])
            #expect(run.status == 0)
            #expect(
                api.requests == [
                    #"POST /v2.0/ports {"port": {"name": "web", "binding:profile": {"interface": "veth0", "capture": "span", "capture_policy": "prefer", "side": "self"}}}"#
                ])
            let wrong = try await ProgramRun.heliostat([
                "port", "create", "web", "--interface", "veth0", "--capture-policy", "maybe", "--state-dir", api.state,
            ])
            #expect(wrong.status == 64 && api.requests.count == 1)
            #expect(wrong.errors.contains("'maybe' is invalid for '--capture-policy <require|prefer>'"))
        }
    }

    @Test func portUpdateKeepsTheRestOfTheProfile() async throws {
        let port = #"{"id":"a","name":"web","binding:profile":{"interface":"veth0","capture":"span"}}"#
        try await ScriptedAPI.serving([
            "GET /v2.0/ports?name=web": [Answer(200, #"{"ports":[\#(port)]}"#)],
            "PUT /v2.0/ports/a": [Answer(200, #"{"port":\#(port)}"#)],
        ]) { api in
            _ = try await ProgramRun.heliostat([
                "port", "update", "web", "--interface", "veth7", "--state-dir", api.state,
            ])
            #expect(
                api.requests.last
                    == #"PUT /v2.0/ports/a {"port": {"binding:profile": {"interface": "veth7", "capture": "span"}}}"#)
            let nothing = try await ProgramRun.heliostat(["port", "update", "web", "--state-dir", api.state])
            #expect(
                nothing.errors
                    == "heliostat: nothing to change; 'heliostat port update --help' shows what can be given\n")
        }
    }

    @Test func flowCreateWaitsUntilTheFlowIsNoLongerDown() async throws {
        let flow = #"{"id":"f","name":"web-in","direction":"IN","status":"DOWN","status_reason":null}"#
        let active = #"{"id":"f","name":"web-in","direction":"IN","status":"ACTIVE","status_reason":null}"#
        try await ScriptedAPI.serving([
            "GET /v2.0/taas/tap_services?name=ids": [
                Answer(200, #"{"tap_services":[{"id":"s","name":"ids","project_id":"acme"}]}"#)
            ],
            "GET /v2.0/ports?name=web": [Answer(200, #"{"ports":[{"id":"p","name":"web"}]}"#)],
            "POST /v2.0/taas/tap_flows": [Answer(201, #"{"tap_flow":\#(flow)}"#)],
            "GET /v2.0/taas/tap_flows/f": [
                Answer(200, #"{"tap_flow":\#(flow)}"#), Answer(200, #"{"tap_flow":\#(active)}"#),
            ],
        ]) { api in
            let create = [
                "flow", "create", "web-in", "--port", "web", "--service", "ids", "--direction", "in", "--state-dir",
                api.state,
            ]
            let run = try await ProgramRun.heliostat(create)
            #expect(run.output.contains("\"status\": \"ACTIVE\""))
            #expect(run.errors == "")
            #expect(
                api.requests.contains(
                    #"POST /v2.0/taas/tap_flows {"tap_flow": {"name": "web-in", "direction": "IN", "source_port": "p", "#
                        + #""tap_service_id": "s", "project_id": "acme"}}"#))
            let unwaited = try await ProgramRun.heliostat(create + ["--no-wait"])
            #expect(unwaited.output.contains("\"status\": \"DOWN\""))
        }
    }

    @Test func flowThatIsRefusedShowsTheReason() async throws {
        let flow = #"{"id":"f","name":"x","direction":"BOTH","status":"ERROR","status_reason":"veth0: no such device"}"#
        try await ScriptedAPI.serving([
            "GET /v2.0/taas/tap_services?name=ids": [Answer(200, #"{"tap_services":[{"id":"s","name":"ids"}]}"#)],
            "GET /v2.0/ports?name=web": [Answer(200, #"{"ports":[{"id":"p","name":"web"}]}"#)],
            "POST /v2.0/taas/tap_flows": [Answer(201, #"{"tap_flow":\#(flow)}"#)],
        ]) { api in
            let run = try await ProgramRun.heliostat(
                ["flow", "create", "x", "--port", "web", "--service", "ids", "--state-dir", api.state])
            #expect(run.status == 0)
            #expect(run.errors == "heliostat: tap flow 'x' is ERROR: veth0: no such device\n")
        }
    }

    @Test func messagesOfTheAPIComeOutInOneLine() async throws {
        let fault = #"{"NeutronError":{"type":"PortNotFound","message":"Port abc could not be found.","detail":""}}"#
        let token =
            #"{"error":{"code":401,"title":"Unauthorized","message":"The request you have made requires authentication."}}"#
        try await ScriptedAPI.serving([
            "GET /v2.0/ports": [Answer(404, fault), Answer(401, token), Answer(502, "<html>")]
        ]) { api in
            let list = ["port", "list", "--state-dir", api.state]
            let first = try await ProgramRun.heliostat(list)
            #expect(first.status == 1)
            #expect(first.output == "")
            #expect(first.errors == "heliostat: Port abc could not be found.\n")
            let second = try await ProgramRun.heliostat(list)
            #expect(
                second.errors.hasPrefix(
                    "heliostat: the API at \(api.state)/api.sock wants a valid token; give it with --token"))
            let third = try await ProgramRun.heliostat(list)
            #expect(
                third.errors == "heliostat: \(api.state)/api.sock answered 502 and no JSON: is this Heliostat's API?\n")
        }
    }

    @Test func absentAPISaysWhereItWasSoughtAndHowToStartIt() async throws {
        let run = try await ProgramRun.heliostat(["flow", "list", "--state-dir", "/tmp/hs-none"])
        #expect(run.status == 1)
        #expect(
            run.errors == """
                heliostat: no API at /tmp/hs-none/api.sock (no such socket); start it with 'heliostat serve', \
                or say where it is with --state-dir or --api

                """)
        // Port 9 of this machine: nobody listens there.
        let address = try await ProgramRun.heliostat(
            ["flow", "list"], variables: ["HELIOSTAT_API": "http://127.0.0.1:9"])
        #expect(address.errors.hasPrefix("heliostat: no API at http://127.0.0.1:9 (Connection refused); start it"))
    }

    @Test(arguments: [
        ["service", "create", "x"], ["service", "create", "x", "--port", "a", "--to", "192.0.2.9"],
        ["service", "create", "x", "--to", "192.0.2.9", "--vni", "16777216"], ["flow", "create", "x"],
        ["flow", "create", "x", "--port", "p", "--service", "s", "--direction", "up"], ["port", "lsit"],
        ["--api", "foo", "status"], ["mirror", "create", "x", "--port", "p", "--to", "192.0.2.9"],
        ["service", "create", "x", "--to", "192.0.2.9", "--encapsulation", "erspan2", "--vni", "1024"],
        ["flow", "update", "x", "--per", "flow"], ["flow", "update", "x", "--bit-rate", "10X"],
    ])
    func commandLineThatMakesNoSenseEndsWith64(_ arguments: [String]) async throws {
        let run = try await ProgramRun.heliostat(arguments)
        #expect(run.status == 64)
        #expect(run.output == "")
    }

    @Test func actionsAreChangedAndTakenAway() async throws {
        let id = "c6435d6f-0a0e-4c4b-9d0a-3a1a5a3b9a02"
        let path = "/v2.0/taas/tap_flows/\(id)"
        let answer = Answer(200, #"{"tap_flow":{"id":"\#(id)","name":"http"}}"#)
        try await ScriptedAPI.serving(["GET \(path)": [answer], "PUT \(path)": [answer]]) { api in
            for (options, body) in [
                (
                    ["--filter", "tcp port 80", "--snaplen", "256", "--one-in", "10", "--per", "flow"],
                    #"{"filter": "tcp port 80", "snaplen": 256, "sampling": {"one_in": 10, "per": "flow"}}"#
                ),
                (["--bit-rate", "100M"], #"{"rate_limit": {"bits_per_second": 100000000}}"#),
                (
                    ["--filter", "", "--snaplen", "0", "--one-in", "1", "--frame-rate", "0"],
                    #"{"filter": null, "snaplen": null, "sampling": null, "rate_limit": null}"#
                ),
            ] {
                let run = try await ProgramRun.heliostat(["flow", "update", id, "--state-dir", api.state] + options)
                #expect(run.status == 0, "\(run.errors)")
                #expect(api.requests.last == #"PUT \#(path) {"tap_flow": \#(body)}"#)
            }
        }
    }

    @Test func versionAndHelpEndWith0() async throws {
        let version = try await ProgramRun.heliostat(["--version"])
        #expect(version.status == 0)
        #expect(version.output.split(separator: ".").count == 3)
        for command in ["port", "service", "flow", "mirror", "host"] {
            for verb in ["create", "list", "show", "update", "delete"] {
                let help = try await ProgramRun.heliostat([command, verb, "--help"])
                #expect(help.status == 0)
                #expect(help.output.contains("Example: heliostat \(command) \(verb)"), "\(command) \(verb)")
            }
        }
    }
}
