// Tap mirrors as upstream's clients see them, and as they are carried out.

import ControlAPI
import ControlIdentity
import ControlModel
import ControlReconcile
import ControlStore
import HTTPTypes
import MirrorProgram
import Testing

@Suite struct TapMirrorTests {
    private func body(_ port: String, _ changes: JSON.Object = [:]) -> JSON {
        var mirror: JSON.Object = [
            "name": "m", "port_id": .string(port), "directions": ["IN": 101], "remote_ip": "192.0.2.50",
            "mirror_type": "gre",
        ]
        for member in changes.members { mirror[member.name] = member.value }
        return ["tap_mirror": .object(mirror)]
    }

    @Test func theTypesOfDirectionsComeBackAsTheyWereSent() async throws {
        let api = try await APIHarness()
        let port = try await api.makePort()
        let sent: JSON = ["OUT": "102", "IN": 101, "BOTH": " 103"]
        let made = try await api.post("taas/tap_mirrors", body(port, ["directions": sent]))
        #expect(made.status == 201)
        let mirror = try #require(made.object["tap_mirror"]?.object)
        #expect(mirror["directions"] == sent)
        #expect(
            mirror.members.map(\.name) == [
                "id", "tenant_id", "name", "description", "port_id", "directions", "remote_ip", "mirror_type", "status",
                "status_reason", "filter", "snaplen", "sampling", "rate_limit", "revision_number", "statistics",
                "project_id",
            ])
        let id = mirror["id"]!.string!
        #expect(try await api.get("taas/tap_mirrors/\(id)").object["tap_mirror"]?.object == mirror)
        #expect(try await api.get("taas/tap_mirrors?remote_ip=192.0.2.50").object["tap_mirrors"]?.array?.count == 1)
        #expect(try await api.get("taas/tap_mirrors?mirror_type=erspanv1").object["tap_mirrors"]?.array?.count == 0)
        let renamed = try await api.put("taas/tap_mirrors/\(id)", ["tap_mirror": ["name": "n", "snaplen": 128]])
        #expect(renamed.object["tap_mirror"]?.object?["snaplen"] == 128)
        #expect(try await api.delete("taas/tap_mirrors/\(id)").status == 204)
        #expect(
            try await api.get("taas/tap_mirrors/\(id)").fault
                == "404 TapMirrorNotFound: Tap Mirror \(id) does not exist")
        #expect(try await api.store.list(["mirror_tunnel_id"]).rows.isEmpty)
    }

    @Test(
        arguments: [
            (["directions": nil], "Invalid input for directions. Reason: 'None' is not a dictionary."),
            (
                ["directions": ["something": 1]],
                "Invalid input for directions. Reason: Unexpected keys supplied: something."
            ),
            (["directions": ["IN": "abc"]], "Invalid input for directions. Reason: 'abc' is not an integer."),
            (["directions": ["IN": true]], "Invalid input for directions. Reason: 'True' is not an integer:boolean."),
            (["directions": ["IN": nil]], "Invalid input for directions. Reason: 'None' is not an integer."),
            (["directions": ["IN": .number(1.5)]], "Invalid input for directions. Reason: '1.5' is not an integer."),
            (
                ["remote_ip": "192.101.0.420"],
                "Invalid input for remote_ip. Reason: '192.101.0.420' is not a valid IP address."
            ),
            (["mirror_type": "gre2"], "Invalid input for mirror_type. Reason: gre2 is not in valid_values."),
            (["name": " "], "Invalid input for name. Reason: ' ' is not a valid string."),
            (["status": "ACTIVE"], "Unrecognized attribute(s) 'status'"),
            (["remote_ip": "127.0.0.1"], "Invalid input for remote_ip. Reason: 127.0.0.1 is a loopback address."),
            (["remote_ip": "224.0.0.1"], "Invalid input for remote_ip. Reason: 224.0.0.1 is a multicast address."),
            (["remote_ip": "fe80::1"], "Invalid input for remote_ip. Reason: fe80::1 is a link-local address."),
            (
                ["remote_ip": "192.0.2.1"],
                "Invalid input for remote_ip. Reason: 192.0.2.1 is the address of a Heliostat host: copies would come back to it."
            ),
        ] as [(JSON.Object, String)])
    func refuses(_ changes: JSON.Object, _ text: String) async throws {
        let api = try await APIHarness()
        let answer = try await api.post("taas/tap_mirrors", body(try await api.makePort(), changes))
        #expect(answer.fault == "400 HTTPBadRequest: \(text)")
    }

    @Test(arguments: ["port_id", "directions", "remote_ip", "mirror_type"])
    func whatMustBeThere(_ attribute: String) async throws {
        let api = try await APIHarness()
        var mirror = body(try await api.makePort()).object!["tap_mirror"]!.object!
        let value = mirror[attribute]!
        mirror[attribute] = nil
        #expect(
            try await api.post("taas/tap_mirrors", ["tap_mirror": .object(mirror)]).fault
                == "400 HTTPBadRequest: Failed to parse request. Required attribute '\(attribute)' not specified")
        mirror[attribute] = value
        let id = try await api.make("taas/tap_mirrors", "tap_mirror", .object(mirror))
        #expect(
            try await api.put("taas/tap_mirrors/\(id)", ["tap_mirror": .object([attribute: value])]).fault
                == "400 HTTPBadRequest: Cannot update read-only attribute \(attribute)")
    }

    @Test func oneAtATime() async throws {
        let api = try await APIHarness()
        #expect(
            try await api.post("taas/tap_mirrors", ["tap_mirrors": [body("x").object!["tap_mirror"]!]]).fault
                == "400 HTTPBadRequest: Bulk operation not supported")
    }

    @Test func aTunnelIDIsUniqueWithinAProject() async throws {
        let api = try await APIHarness()
        let port = try await api.makePort()
        #expect(
            try await api.post("taas/tap_mirrors", body(port, ["directions": ["IN": 101, "OUT": 101]])).status == 201)
        let conflicting: [JSON] = [["IN": 101], ["BOTH": "101"], ["IN": 7, "OUT": "101"]]
        for directions in conflicting {
            let answer = try await api.post("taas/tap_mirrors", body(port, ["directions": directions]))
            #expect(answer.status == 409)
            #expect(answer.fault.hasPrefix("409 TapMirrorTunnelConflict: Tap Mirror with tunnel_id 101"))
        }
        // The one that failed took nothing with it.
        #expect(try await api.post("taas/tap_mirrors", body(port, ["directions": ["IN": 7]])).status == 201)
        let other = try await api.makePort(["tenant_id": "demo", "binding:profile": ["interface": "veth1"]])
        #expect(try await api.post("taas/tap_mirrors", body(other, ["project_id": "demo"])).status == 201)
        #expect(
            try await api.post("taas/tap_mirrors", body(other, ["directions": ["IN": 9]])).fault
                == "403 PortDoesNotBelongToTenant: The specified port does not belong to the tenant")
    }

    @Test func parallelMirrorsNeverShareATunnelID() async throws {
        let api = try await APIHarness()
        let port = try await api.makePort()
        let body = body(port)
        let made = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<16 { group.addTask { try await api.post("taas/tap_mirrors", body).status } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(made.filter { $0 == 201 }.count == 1)
        #expect(made.filter { $0 == 409 }.count == 15)
    }

    @Test func readersSeeMirrorsAndOthersDoNot() async throws {
        let api = try await APIHarness()
        let port = try await api.makePort(["tenant_id": "demo"])
        let id = try await api.make(
            "taas/tap_mirrors", "tap_mirror", body(port, ["project_id": "demo"]).object!["tap_mirror"]!)
        let reader = api.responder(.everybody(Caller(projectID: "demo", roles: [.reader])))
        let stranger = api.responder(.everybody(Caller(projectID: "alt", roles: [.member, .reader])))
        let path = "/v2.0/taas/tap_mirrors/\(id)"
        #expect(try await api.send(.get, path, responder: reader).status == 200)
        #expect(
            try await api.send(.delete, path, responder: reader).fault
                == "403 PolicyNotAuthorized: rule:delete_tap_mirror is disallowed by policy")
        #expect(
            try await api.send(.delete, path, responder: stranger).fault
                == "404 TapMirrorNotFound: Tap Mirror \(id) does not exist")
        #expect(
            try await api.send(.get, "/v2.0/taas/tap_mirrors", responder: stranger).object["tap_mirrors"]
                == .array([]))
    }

    // MARK: Carried out

    private let web = Sample.port("web", interface: "veth0")

    private func desired(_ mirrors: [TapMirror]) throws -> DesiredState {
        let desired = DesiredState(Sample.snapshot(ports: [web], mirrors: mirrors), host: "here")
        try desired.program.validate()
        return desired
    }

    @Test func aTunnelForEachTunnelIDAndATapForEachDirection() throws {
        let desired = try desired([Sample.mirror("m", port: "web", ["IN": "101", "OUT": 102, "BOTH": 101])])
        #expect(desired.verdicts.isEmpty)
        let remote = IPAddress("192.0.2.50")!
        #expect(
            desired.program.destinations
                == [101, 102].map { id in
                    .init(id: "m/\(id)", target: .tunnel(.init(remote: remote, encapsulation: .gre, tunnelID: id)))
                })
        #expect(
            desired.program.taps == [
                .init(id: "m/IN", port: "web", direction: .in, destinations: ["m/101"]),
                .init(id: "m/OUT", port: "web", direction: .out, destinations: ["m/102"]),
                .init(id: "m/BOTH", port: "web", direction: .both, destinations: ["m/101"]),
            ])
    }

    @Test(arguments: [
        ("erspanv1", MirrorProgram.Encapsulation.erspan2), ("erspanv2", .erspan3), ("vxlan", .vxlan),
        ("geneve", .geneve),
    ])
    func mirrorTypes(_ type: String, _ encapsulation: MirrorProgram.Encapsulation) throws {
        let desired = try desired([Sample.mirror("m", port: "web", ["IN": 101], type: type)])
        guard case .tunnel(let tunnel) = try #require(desired.program.destinations.first).target else {
            Issue.record("no tunnel")
            return
        }
        #expect(tunnel.encapsulation == encapsulation)
    }

    @Test(
        arguments: [
            (["IN": -1], "gre", "tunnel id -1 of IN is not a GRE key, 0 to 4294967295"),
            (["IN": 8_589_934_592], "gre", "tunnel id 8589934592 of IN is not a GRE key, 0 to 4294967295"),
            (["OUT": "1024"], "erspanv1", "tunnel id 1024 of OUT is not an ERSPAN session id, 0 to 1023"),
            (
                ["IN": "99999999999999999999"], "gre",
                "tunnel id 99999999999999999999 of IN is not a GRE key, 0 to 4294967295"
            ),
            ([:], "gre", "directions is empty: there is nothing to mirror"),
        ] as [(JSON.Object, String, String)])
    func whatCannotBeCarriedOutIsAnError(_ directions: JSON.Object, _ type: String, _ reason: String) throws {
        let desired = try desired([
            Sample.mirror("bad", port: "web", directions, type: type), Sample.mirror("good", port: "web", ["IN": 0]),
        ])
        #expect(desired.verdicts["bad"]?.status == .error)
        #expect(desired.verdicts["bad"]?.reason.full == reason)
        #expect(desired.program.taps.map(\.id) == ["good/IN"])
        #expect(desired.program.destinations.map(\.id) == ["good/0"])
    }

    @Test func whatUpstreamTakesIsTaken() async throws {
        let api = try await APIHarness()
        let port = try await api.makePort()
        for (directions, type) in [
            (["IN": -1], "gre"), (["IN": 8_589_934_592], "gre"), (["IN": 1024], "erspanv1"), ([:], "gre"),
            (["IN": 0], "gre"),
        ] as [(JSON, String)] {
            let answer = try await api.post(
                "taas/tap_mirrors", body(port, ["directions": directions, "mirror_type": .string(type)]))
            #expect(answer.status == 201, "\(answer.text)")
        }
    }

    @Test func itsStatusIsThatOfItsTaps() throws {
        let mirror = Sample.mirror("m", port: "web", ["IN": 101, "OUT": 102])
        let snapshot = Sample.snapshot(ports: [web], mirrors: [mirror])
        func outcome(_ taps: [TapStatus], _ destination: DestinationStatus.State = .ready) -> Versioned<TapMirror>? {
            let status = DataplaneStatus(
                version: "1", pid: 1, epoch: "e", generation: 1,
                destinations: ["m/101", "m/102"].map { .init(id: $0, state: destination, reason: nil) }, taps: taps)
            return Outcome(
                snapshot, DesiredState(snapshot, host: "here"), .running(status), host: "here", interfaces: ["veth0"]
            ).tapMirrors.first
        }
        let both = outcome([.init(id: "m/IN", state: .active), .init(id: "m/OUT", state: .active)])
        #expect(both?.object.status == .active)
        #expect(both?.revision == 5)
        // One of them is not acknowledged yet.
        #expect(outcome([.init(id: "m/IN", state: .active)]) == nil)
        let half = outcome([.init(id: "m/IN", state: .active), .init(id: "m/OUT", state: .error, reason: "no room")])
        #expect(half?.object.status == .error)
        #expect(half?.object.statusReason?.full == "no room")
        let away = outcome([.init(id: "m/IN", state: .active), .init(id: "m/OUT", state: .active)], .unreachable)
        #expect(away?.object.status == .active)
        #expect(away?.object.statusReason?.full.contains("cannot be reached now") == true)
        #expect(
            outcome([.init(id: "m/IN", state: .active), .init(id: "m/OUT", state: .active)], .error)?.object.status
                == .error)
    }
}
