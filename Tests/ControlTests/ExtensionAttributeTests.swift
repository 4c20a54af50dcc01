// Attributes of our own: stored, shown, changed while they run, and carried out.

import ControlAPI
import ControlIdentity
import ControlModel
import ControlReconcile
import ControlStore
import ControlTelemetry
import HTTPTypes
import MirrorProgram
import Synchronization
import Testing

@Suite struct ExtensionAttributeTests {
    private func tap(_ api: APIHarness, _ flow: JSON.Object) async throws -> (MirrorProgram.Tap?, JSON.Object) {
        let tap = try await api.makeTap()
        let made = try await api.post(
            "taas/tap_flows",
            [
                "tap_flow": .object(
                    JSON.Object(
                        [
                            ("tap_service_id", .string(tap.service)), ("source_port", .string(tap.source)),
                            ("direction", "IN"),
                        ] + flow.members.map { ($0.name, $0.value) }))
            ])
        #expect(made.status == 201, "\(made.text)")
        let object = made.object["tap_flow"]?.object ?? [:]
        let desired = DesiredState(try await api.store.snapshot(), host: "here")
        return (desired.program.taps.first { $0.id == object["id"]?.string }, object)
    }

    @Test func whatIsAskedOfAFlowIsInItsTap() async throws {
        let api = try await APIHarness()
        let (tap, shown) = try await tap(
            api,
            [
                "vlan_filter": "1,2-5", "filter": "tcp port 80", "snaplen": "128",
                "sampling": ["one_in": 10, "per": "flow"], "rate_limit": ["bits_per_second": 1_000_000],
            ])
        #expect(tap?.vlanFilter?.ranges == [1...1, 2...5])
        #expect(tap?.filter?.expression == "tcp port 80")
        #expect(tap?.snaplen == 128)
        #expect(tap?.sampling == .init(oneIn: 10, per: .flow))
        #expect(tap?.rateLimit == .init(bitsPerSecond: 1_000_000))
        #expect(shown["vlan_filter"] == "1,2-5")
        #expect(shown["snaplen"] == 128)
        #expect(shown["rate_limit"] == ["bits_per_second": 1_000_000, "frames_per_second": nil])
        let id = shown["id"]!.string!
        let changed = try await api.put(
            "taas/tap_flows/\(id)", ["tap_flow": ["sampling": nil, "filter": "udp", "rate_limit": nil]])
        #expect(changed.object["tap_flow"]?.object?["sampling"] == .null)
        let after = DesiredState(try await api.store.snapshot(), host: "here").program.taps.first { $0.id == id }
        #expect(after?.filter?.expression == "udp")
        #expect(after?.sampling == nil)
        #expect(after?.snaplen == 128)
        #expect(
            try await api.put("taas/tap_flows/\(id)", ["tap_flow": ["vlan_filter": "3"]]).fault
                == "400 HTTPBadRequest: Cannot update read-only attribute vlan_filter")
    }

    @Test(arguments: ["5000", "9-1", "111111111111111111111"])
    func aVLANThatIsNoneIsAnError(_ text: String) async throws {
        let api = try await APIHarness()
        let (tap, shown) = try await tap(api, ["vlan_filter": .string(text)])
        #expect(tap == nil)
        #expect(shown["vlan_filter"] == .string(text))
        let desired = DesiredState(try await api.store.snapshot(), host: "here")
        let verdict = desired.verdicts[shown["id"]!.string!]
        #expect(verdict?.status == .error)
        #expect(verdict?.reason.full.hasPrefix("vlan_filter '\(text)'") == true)
    }

    @Test func aFilterThatIsWrongIsRefusedWithItsPlace() async throws {
        let api = try await APIHarness()
        let tap = try await api.makeTap()
        let flow: JSON = [
            "tap_service_id": .string(tap.service), "source_port": .string(tap.source), "direction": "IN",
            "filter": "tcp port htp",
        ]
        let fault = "400 HTTPBadRequest: Invalid input for filter. Reason: column 10: 'htp': unknown port 'htp'."
        #expect(try await api.post("taas/tap_flows", ["tap_flow": flow]).fault == fault)
        #expect(
            try await api.put("taas/tap_flows/\(tap.flow)", ["tap_flow": ["filter": "tcp port htp"]]).fault == fault)
        let mirror: JSON = [
            "port_id": .string(tap.source), "directions": ["IN": 1], "remote_ip": "192.0.2.50", "mirror_type": "gre",
            "filter": "tcp port htp",
        ]
        #expect(try await api.post("taas/tap_mirrors", ["tap_mirror": mirror]).fault == fault)
        #expect(try await api.put("taas/tap_flows/\(tap.flow)", ["tap_flow": ["filter": "udp"]]).status == 200)
        let compiled = DesiredState(try await api.store.snapshot(), host: "here").program.taps.first
        #expect(compiled?.filter?.code.isEmpty == false)
    }

    /// What was written before libpcap could refuse it is an ERROR of its own; each expression is compiled once.
    @Test func aFilterThatDoesNotCompileIsAnError() {
        let compiled = Compiled()
        let filters = FilterCode { expression in
            compiled.add(expression)
            return expression == "bad" ? .failure(.init("column 1: no")) : .success([])
        }
        func mirror(_ id: String, _ filter: String, _ tunnel: Int64) -> TapMirror {
            var mirror = Sample.mirror(id, port: "web", ["IN": .integer(tunnel)])
            mirror.actions.filter = filter
            return mirror
        }
        let snapshot = Sample.snapshot(
            ports: [Sample.port("web", interface: "veth0")],
            mirrors: [mirror("a", "bad", 1), mirror("b", "udp", 2), mirror("c", "udp", 3)])
        for _ in 0..<2 {
            let desired = DesiredState(snapshot, host: "here", filters: filters)
            #expect(desired.verdicts["a"]?.reason.full == "filter 'bad': column 1: no")
            #expect(desired.program.taps.map(\.id) == ["b/IN", "c/IN"])
        }
        #expect(compiled.expressions == ["bad", "udp"])
    }

    // MARK: Destinations

    private func service(_ api: APIHarness, _ values: JSON.Object) async throws -> APIHarness.Answer {
        let port = try await api.makePort(["name": "unbound"])
        return try await api.post(
            "taas/tap_services",
            [
                "tap_service": .object(
                    JSON.Object([("port_id", .string(port))] + values.members.map { ($0.name, $0.value) }))
            ])
    }

    @Test func severalDestinations() async throws {
        let api = try await APIHarness()
        let made = try await service(
            api,
            [
                "tunnel_id": 7,
                "destinations": [
                    ["remote_ip": "192.0.2.9"],
                    ["remote_ip": "2001:db8::9", "encapsulation": "geneve", "tunnel_id": 8, "udp_port": 6082],
                ],
            ])
        #expect(made.status == 201, "\(made.text)")
        let id = made.object["tap_service"]!.object!["id"]!.string!
        let source = try await api.makePort()
        _ = try await api.make(
            "taas/tap_flows", "tap_flow",
            ["tap_service_id": .string(id), "source_port": .string(source), "direction": "BOTH"])
        let all = DesiredState(try await api.store.snapshot(), host: "here").program
        try all.validate()
        let ids = ["\(id)/192.0.2.9/vxlan/7/4789", "\(id)/2001:db8::9/geneve/8/6082"]
        #expect(all.destinations.map(\.id) == ids)
        #expect(all.taps.map(\.destinations) == [ids])
        let spread = try await api.put("taas/tap_services/\(id)", ["tap_service": ["spread": true]])
        #expect(spread.status == 200)
        let one = DesiredState(try await api.store.snapshot(), host: "here").program
        try one.validate()
        #expect(one.destinations.map(\.id) == ids + [id])
        #expect(one.destinations.last?.target == .spread(ids))
        #expect(one.taps.map(\.destinations) == [[id]])
        // Without destinations, copies go to the port again, which is bound nowhere.
        _ = try await api.put("taas/tap_services/\(id)", ["tap_service": ["destinations": []]])
        let none = DesiredState(try await api.store.snapshot(), host: "here")
        #expect(none.program.destinations.isEmpty)
        #expect(none.verdicts[id]?.reason.full.contains("not bound") == true)
    }

    @Test(
        arguments: [
            (
                ["encapsulation": "erspan2", "tunnel_id": 1024],
                "Invalid input for tunnel_id. Reason: '1024' is not an ERSPAN session id, 0 to 1023."
            ),
            (
                ["destinations": [["remote_ip": "192.0.2.9", "encapsulation": "erspan3"]]],
                "is not an ERSPAN session id, 0 to 1023."
            ),
            (["destinations": [["remote_ip": "0.0.0.0"]]], "Reason: 0.0.0.0 is in 0.0.0.0/8, which names no host."),
            (["destinations": [["remote_ip": "::ffff:192.0.2.9"]]], "write the IPv4 address itself."),
            (["destinations": [["remote_ip": "192.0.2.1"]]], "is the address of a Heliostat host"),
        ] as [(JSON.Object, String)])
    func whatDoesNotFitIsRefused(_ values: JSON.Object, _ text: String) async throws {
        let answer = try await service(try await APIHarness(), values)
        #expect(answer.status == 400)
        #expect(answer.fault.contains(text), "\(answer.text)")
    }

    @Test func sessionIDsComeFromTheirOwnPool() async throws {
        let answer = try await service(try await APIHarness(), ["encapsulation": "erspan3"])
        let id = try #require(answer.object["tap_service"]?.object?["tunnel_id"]?.integer)
        #expect((1...1023).contains(id))
    }

    @Test func theOperatorSaysWhichAddresses() async throws {
        let rules = RemoteRules(
            allow: [AddressPrefix("192.0.2.0/24")!, AddressPrefix("2001:db8::/32")!],
            deny: [AddressPrefix("192.0.2.66")!])
        let api = try await APIHarness(remotes: rules)
        for (address, status) in [
            ("192.0.2.9", 201), ("192.0.2.66", 400), ("198.51.100.1", 400), ("2001:db8:7::1", 201),
            ("2001:db9::1", 400),
        ] {
            let answer = try await service(api, ["destinations": [["remote_ip": .string(address)]]])
            #expect(answer.status == status, "\(address): \(answer.text)")
            let host = try await api.post(
                "heliostat/hosts", ["host": ["name": .string(address), "tunnel_addresses": [.string(address)]]])
            #expect(host.status == status, "\(address): \(host.text)")
        }
        // What was allowed when it was made is an ERROR when it is not any more.
        let later = DesiredState(
            try await api.store.snapshot(), host: "here", remotes: RemoteRules(allow: [AddressPrefix("192.0.2.9")!]))
        #expect(later.program.destinations.count == 1)
        #expect(later.verdicts.count == 1)
        #expect(later.verdicts.values.first?.status == .error)
    }

    @Test func aTunnelIDIsNeverAMembersChoice() async throws {
        let api = try await APIHarness()
        let port = try await api.makePort(["tenant_id": "demo"])
        let member = api.responder(.everybody(Caller(projectID: "demo", roles: [.member, .reader])))
        func create(_ values: JSON.Object) async throws -> APIHarness.Answer {
            let all = [("port_id", JSON.string(port))] + values.members.map { ($0.name, $0.value) }
            let body: JSON = ["tap_service": .object(JSON.Object(all))]
            return try await api.send(.post, "/v2.0/taas/tap_services", body.text, responder: member)
        }
        #expect(try await create(["destinations": [["remote_ip": "192.0.2.9"]]]).status == 201)
        #expect(
            try await create(["destinations": [["remote_ip": "192.0.2.9", "tunnel_id": 1]]]).fault
                == "403 PolicyNotAuthorized: rule:create_tap_service:tunnel_id is disallowed by policy")
        #expect(try await create(["tunnel_id": 1]).status == 403)
        #expect(try await create(["tunnel_id": nil]).status == 201)
    }

    @Test func aServiceIsActiveAsLongAsOneDestinationIs() throws {
        var service = Sample.service("s", port: "ids")
        service.destinations = [.init(remoteIP: .init("192.0.2.9")!), .init(remoteIP: .init("192.0.2.10")!)]
        let snapshot = Sample.snapshot(ports: [Sample.port("ids", host: "ids")], services: [service])
        let desired = DesiredState(snapshot, host: "here")
        let ids = desired.program.destinations.map(\.id)
        func state(_ states: [DestinationStatus.State]) -> TapService? {
            let destinations = zip(ids, states).map { DestinationStatus(id: $0, state: $1, reason: "as it is") }
            let status = DataplaneStatus(
                version: "1", pid: 1, epoch: "e", generation: 1, destinations: destinations)
            return Outcome(snapshot, desired, .running(status), host: "here", interfaces: []).tapServices.first?.object
        }
        #expect(state([.ready, .error])?.status == .active)
        #expect(state([.ready, .error])?.statusReason?.full == "192.0.2.9: as it is; 192.0.2.10: as it is")
        #expect(state([.error, .error])?.status == .error)
        #expect(state([.ready]) == nil)
    }

    @Test func countersAreShown() async throws {
        let api = try await APIHarness()
        let tap = try await api.makeTap()
        let mirror = try await api.make(
            "taas/tap_mirrors", "tap_mirror",
            [
                "port_id": .string(tap.source), "directions": ["IN": 1, "OUT": 2], "remote_ip": "192.0.2.50",
                "mirror_type": "gre",
            ])
        api.telemetry.record(
            .init(
                epoch: "e", time: 0,
                taps: [
                    .init(id: tap.flow, frames: 3, bytes: 300, truncated: 0, drops: ["no_route": 1]),
                    .init(id: mirror + "/IN", frames: 1, bytes: 10, truncated: 0, drops: ["no_route": 1]),
                    .init(id: mirror + "/OUT", frames: 2, bytes: 20, truncated: 1, drops: ["no_route": 2]),
                ],
                destinations: [
                    .init(id: tap.service, offered: 4, frames: 3, bytes: 300, truncated: 0, drops: ["no_route": 1]),
                    .init(id: mirror + "/1", offered: 1, frames: 1, bytes: 10, truncated: 0, drops: ["no_route": 0]),
                ], strays: [:], umem: .init(chunks: 1, free: 1, fill: 0, receive: 0, transmit: 0)), time: 0)
        func statistics(_ path: String, _ name: String) async throws -> JSON? {
            try await api.get(path).object[name]?.object?["statistics"]
        }
        let counted: JSON = [
            "frames": 3, "bytes": 300, "truncated": 0, "drops": ["no_route": 1],
            "updated_at": "1970-01-01T00:00:00.000Z",
        ]
        #expect(try await statistics("taas/tap_flows/\(tap.flow)", "tap_flow") == counted)
        #expect(try await statistics("taas/tap_services/\(tap.service)", "tap_service") == counted)
        #expect(
            try await statistics("taas/tap_mirrors/\(mirror)?fields=statistics", "tap_mirror") == [
                "frames": 3, "bytes": 30, "truncated": 1, "drops": ["no_route": 3],
                "updated_at": "1970-01-01T00:00:00.000Z",
            ])
        #expect(try await statistics("ports/\(tap.source)", "port") == nil)
    }
}

/// What was compiled, in order.
private final class Compiled: Sendable {
    private let list = Mutex<[String]>([])
    var expressions: [String] { list.withLock { $0 } }
    func add(_ expression: String) { list.withLock { $0.append(expression) } }
}
