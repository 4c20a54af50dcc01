// `heliostat service create NAME --to ADDRESS`: host, port and service, or nothing.

import Testing

@Suite struct CommandsCollectorTests {
    typealias Answer = ScriptedAPI.Answer

    static let host = #"{"id":"h","name":"ids","tunnel_addresses":["192.0.2.9"],"heliostat":false}"#
    static let port = #"{"id":"p","name":"ids","binding:host_id":"ids","project_id":"admin"}"#
    static let service = #"{"id":"s","name":"ids","tunnel_id":5001,"status":"DOWN"}"#
    static let serviceRequest =
        #"POST /v2.0/taas/tap_services {"tap_service": {"name": "ids", "tunnel_id": 5001, "port_id": "p", "#
        + #""project_id": "admin"}}"#

    static func create(_ api: ScriptedAPI) async throws -> ProgramRun {
        try await ProgramRun.heliostat(
            ["service", "create", "ids", "--to", "192.0.2.9", "--vni", "5001", "--state-dir", api.state])
    }

    @Test func makesHostPortAndService() async throws {
        try await ScriptedAPI.serving([
            "GET /v2.0/heliostat/hosts": [Answer(200, #"{"hosts":[]}"#)],
            "POST /v2.0/heliostat/hosts": [Answer(201, #"{"host":\#(Self.host)}"#)],
            "GET /v2.0/ports?name=ids": [Answer(200, #"{"ports":[]}"#)],
            "POST /v2.0/ports": [Answer(201, #"{"port":\#(Self.port)}"#)],
            "POST /v2.0/taas/tap_services": [Answer(201, #"{"tap_service":\#(Self.service)}"#)],
        ]) { api in
            let run = try await Self.create(api)
            #expect(run.status == 0)
            #expect(run.output.contains("\"tunnel_id\": 5001"))
            #expect(
                api.requests == [
                    "GET /v2.0/heliostat/hosts",
                    #"POST /v2.0/heliostat/hosts {"host": {"name": "ids", "tunnel_addresses": ["192.0.2.9"], "heliostat": false}}"#,
                    "GET /v2.0/ports?name=ids",
                    #"POST /v2.0/ports {"port": {"name": "ids", "binding:host_id": "ids"}}"#,
                    Self.serviceRequest,
                ])
        }
    }

    @Test func takesTheHostAndPortThatAreThere() async throws {
        try await ScriptedAPI.serving([
            "GET /v2.0/heliostat/hosts": [Answer(200, #"{"hosts":[\#(Self.host)]}"#)],
            "GET /v2.0/ports?name=ids": [Answer(200, #"{"ports":[\#(Self.port)]}"#)],
            "POST /v2.0/taas/tap_services": [Answer(201, #"{"tap_service":\#(Self.service)}"#)],
        ]) { api in
            let run = try await Self.create(api)
            #expect(run.status == 0)
            #expect(api.requests == ["GET /v2.0/heliostat/hosts", "GET /v2.0/ports?name=ids", Self.serviceRequest])
        }
    }

    @Test func hostWhoseNameIsTakenGetsItsAddressAsName() async throws {
        let other = #"{"id":"o","name":"ids","tunnel_addresses":["192.0.2.1"],"heliostat":true}"#
        try await ScriptedAPI.serving([
            "GET /v2.0/heliostat/hosts": [Answer(200, #"{"hosts":[\#(other)]}"#)],
            "POST /v2.0/heliostat/hosts": [Answer(409, #"{"NeutronError":{"type":"X","message":"no","detail":""}}"#)],
        ]) { api in
            _ = try await Self.create(api)
            #expect(
                api.requests.last
                    == #"POST /v2.0/heliostat/hosts {"host": {"name": "192.0.2.9", "tunnel_addresses": ["192.0.2.9"], "#
                    + #""heliostat": false}}"#
            )
        }
    }

    @Test func addressOfAHeliostatHostIsRefused() async throws {
        let host = #"{"id":"o","name":"rack4","tunnel_addresses":["192.0.2.9"],"heliostat":true}"#
        try await ScriptedAPI.serving(["GET /v2.0/heliostat/hosts": [Answer(200, #"{"hosts":[\#(host)]}"#)]]) { api in
            let run = try await Self.create(api)
            #expect(run.status == 1)
            #expect(
                run.errors == """
                    heliostat: tap service 'ids' was not created: 192.0.2.9 is host 'rack4', which runs Heliostat; \
                    create the service on a port of it, with --port

                    """)
        }
    }

    static let conflict = #"{"NeutronError":{"type":"TunnelIDInUse","message":"VNI 5001 is in use.","detail":""}}"#

    @Test func whatWasMadeIsDeletedAgainWhenALaterStepFails() async throws {
        try await ScriptedAPI.serving([
            "GET /v2.0/heliostat/hosts": [Answer(200, #"{"hosts":[]}"#)],
            "POST /v2.0/heliostat/hosts": [Answer(201, #"{"host":\#(Self.host)}"#)],
            "GET /v2.0/ports?name=ids": [Answer(200, #"{"ports":[]}"#)],
            "POST /v2.0/ports": [Answer(201, #"{"port":\#(Self.port)}"#)],
            "POST /v2.0/taas/tap_services": [Answer(409, Self.conflict)],
            "DELETE /v2.0/ports/p": [Answer(204)], "DELETE /v2.0/heliostat/hosts/h": [Answer(204)],
        ]) { api in
            let run = try await Self.create(api)
            #expect(run.status == 1)
            #expect(run.output == "")
            #expect(
                run.errors == """
                    heliostat: tap service 'ids' was not created: VNI 5001 is in use; deleted again: port 'ids', host 'ids'

                    """)
            #expect(api.requests.suffix(2) == ["DELETE /v2.0/ports/p", "DELETE /v2.0/heliostat/hosts/h"])
        }
    }

    @Test func whatWasThereIsLeftAndWhatCannotBeDeletedIsNamed() async throws {
        try await ScriptedAPI.serving([
            "GET /v2.0/heliostat/hosts": [Answer(200, #"{"hosts":[\#(Self.host)]}"#)],
            "GET /v2.0/ports?name=ids": [Answer(200, #"{"ports":[]}"#)],
            "POST /v2.0/ports": [Answer(201, #"{"port":\#(Self.port)}"#)],
            "POST /v2.0/taas/tap_services": [Answer(409, Self.conflict)],
            "DELETE /v2.0/ports/p": [
                Answer(500, #"{"NeutronError":{"type":"X","message":"disk full","detail":""}}"#)
            ],
        ]) { api in
            let run = try await Self.create(api)
            #expect(
                run.errors == """
                    heliostat: tap service 'ids' was not created: VNI 5001 is in use; could not delete again: \
                    port 'ids' (disk full; delete it with 'heliostat port delete p')

                    """)
            #expect(!api.requests.contains("DELETE /v2.0/heliostat/hosts/h"))
        }
    }
}
