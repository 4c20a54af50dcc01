// What a tenant could learn of others or of the hosts beside what is theirs: the reasons of statuses, filters, sorting,
// markers, references. Beside TenancyTests.swift, which has verb by kind by actor.

import ControlIdentity
import ControlModel
import ControlReconcile
import ControlStore
import Foundation
import HTTPTypes
import MirrorProgram
import Testing

@Suite struct LeakTests {
    /// Project A's taps on a host and a collector that only the administrator knows the names of, and a mirror.
    private struct World {
        let api: APIHarness
        let tap: (service: String, flow: String, mirror: String)
        let port: String

        /// What no member may read. `here` is the host's name.
        static let secrets = ["ens9f1", "bond7", "rack9", "10.9.9", "/run/secret", "'here'"]

        init(flow source: JSON? = nil, service destination: JSON? = nil) async throws {
            let api = try await APIHarness()
            _ = try await api.make("heliostat/hosts", "host", ["name": "rack9-ids", "tunnel_addresses": ["10.9.9.9"]])
            func bound(_ binding: JSON) async throws -> String {
                var values = binding.object!
                values["tenant_id"] = "a"
                return try await api.makePort(.object(values))
            }
            let port = try await bound(source ?? ["binding:profile": ["interface": "ens9f1"]])
            let monitor = try await bound(destination ?? ["binding:host_id": "rack9-ids"])
            let service = try await api.make(
                "taas/tap_services", "tap_service", ["name": "s", "port_id": .string(monitor), "tenant_id": "a"])
            let flow = try await api.make(
                "taas/tap_flows", "tap_flow",
                [
                    "name": "f", "tap_service_id": .string(service), "source_port": .string(port),
                    "direction": "BOTH", "tenant_id": "a",
                ])
            let mirror = try await api.make(
                "taas/tap_mirrors", "tap_mirror",
                [
                    "port_id": .string(port), "directions": ["IN": 7], "remote_ip": "192.0.2.50",
                    "mirror_type": "vxlan", "tenant_id": "a",
                ])
            self.api = api
            self.port = port
            tap = (service, flow, mirror)
        }

        /// What the reconciler would write.
        func reconcile(_ answer: (DesiredState) -> Acknowledgement) async throws {
            let snapshot = try await api.store.snapshot()
            let desired = DesiredState(snapshot, host: "here")
            let outcome = Outcome(snapshot, desired, answer(desired), host: "here", interfaces: [])
            if !outcome.statuses.isEmpty { _ = try await api.store.commit(outcome.statuses) }
        }

        func ask(_ role: Caller.Role, _ path: String) async throws -> APIHarness.Answer {
            let project = role == .admin ? "admin" : "a"
            let responder = api.responder(.everybody(Caller(projectID: project, roles: role.implied)))
            return try await api.send(.get, "/v2.0/" + path, responder: responder)
        }

        /// Whether nothing that a member sees has a secret; `reasons` of the three taps as the member reads them.
        func check(_ what: Comment) async throws -> [String] {
            var reasons: [String] = []
            for (kind, id) in [("tap_service", tap.service), ("tap_flow", tap.flow), ("tap_mirror", tap.mirror)] {
                let shown = try await ask(.member, "taas/\(kind)s/\(id)")
                let listed = try await ask(.member, "taas/\(kind)s?sort_key=status_reason&sort_dir=asc")
                for text in [shown.text, listed.text] {
                    for secret in Self.secrets { #expect(!text.contains(secret), "\(what): \(text)") }
                }
                guard let reason = shown.object[kind]?.object?["status_reason"]?.string else { continue }
                reasons.append(reason)
                let full = try await ask(.admin, "taas/\(kind)s/\(id)").object[kind]?.object?["status_reason"]?.string
                func found(_ role: Caller.Role, _ text: String) async throws -> Int? {
                    let query = text.addingPercentEncoding(withAllowedCharacters: .alphanumerics)!
                    let answer = try await ask(role, "taas/\(kind)s?status_reason=\(query)")
                    return answer.object["\(kind)s"]?.array?.count
                }
                #expect(try await found(.member, reason) == 1, what)
                #expect(try await found(.admin, full ?? "") == 1, what)
                if full != reason { #expect(try await found(.member, full ?? "") == 0, what) }
            }
            for path in ["ports", "ports/\(port)"] {
                let text = try await ask(.member, path).text
                for secret in Self.secrets { #expect(!text.contains(secret), "\(what): \(text)") }
            }
            return reasons
        }
    }

    @Test func whatADataplaneSaysNamesNothingToMembers() async throws {
        let world = try await World()
        func running(
            _ tap: TapStatus.State, _ destination: DestinationStatus.State, _ reason: String
        ) -> (DesiredState) -> Acknowledgement {
            { desired in
                .running(
                    DataplaneStatus(
                        version: "1", pid: 1, epoch: "e", generation: 1,
                        ports: [
                            PortStatus(id: world.port, interface: "ens9f1", state: .down, capture: .tap, reason: reason)
                        ],
                        destinations: desired.program.destinations.map {
                            DestinationStatus(id: $0.id, state: destination, reason: reason)
                        },
                        taps: desired.program.taps.map {
                            TapStatus(id: $0.id, state: tap, reason: tap == .active ? nil : reason)
                        },
                        deliveries: [
                            DeliveryStatus(id: world.tap.service, state: .error, reason: "bond7 cannot be attached to")
                        ]))
            }
        }
        let cases: [((DesiredState) -> Acknowledgement, administrator: String)] = [
            ({ _ in .silent("/run/secret/dataplane.sock: Connection refused") }, "/run/secret"),
            (
                { _ in
                    .refused(
                        "no slot for ens9f1", DataplaneStatus(version: "1", pid: 1, epoch: "e", generation: 1))
                }, "ens9f1"
            ),
            (running(.down, .ready, "there is no interface ens9f1"), "ens9f1"),
            (running(.error, .ready, "ens9f1 is not an Ethernet interface"), "ens9f1"),
            (running(.active, .unreachable, "neighbour 10.9.9.9 on bond7 does not answer"), "bond7"),
            (running(.active, .error, "no socket on bond7"), "bond7"),
            (running(.active, .ready, "vxlan device bond7 of this host has UDP port 4789"), "bond7"),
        ]
        for (answer, name) in cases {
            try await world.reconcile(answer)
            let reasons = try await world.check("\(name)")
            #expect(reasons.count == 3 && reasons.allSatisfy { !$0.isEmpty }, "\(reasons)")
            let full = try await world.ask(.admin, "taas/tap_flows/\(world.tap.flow)").text
            #expect(full.contains(name), "\(full)")
        }
    }

    @Test func whatCannotBeCarriedOutNamesNothingToMembers() async throws {
        let cases: [(source: JSON?, destination: JSON?)] = [
            (["binding:host_id": "rack9-unknown"], nil), (nil, ["binding:host_id": "rack9-unknown"]),
            (nil, ["binding:profile": ["interface": "ens9f1"]]), (["binding:host_id": "rack9-ids"], nil),
            (["binding:profile": ["interface": "ens9f1", "capture": "span"]], ["binding:host_id": "here"]),
            (["binding:profile": [:]], nil),
        ]
        for (source, destination) in cases {
            let world = try await World(flow: source, service: destination)
            try await world.reconcile { _ in .unknown }
            let reasons = try await world.check("\(source?.text ?? "") \(destination?.text ?? "")")
            #expect(!reasons.isEmpty)
        }
    }

    /// Another port of the same interface is somebody else's: neither its id nor that it is theirs is told.
    @Test func anotherTenantsTapOfTheInterfaceIsNotNamed() async throws {
        let world = try await World()
        let other = try await world.api.makePort(["binding:profile": ["interface": "ens9f1"], "tenant_id": "b"])
        _ = try await world.api.make(
            "taas/tap_mirrors", "tap_mirror",
            [
                "port_id": .string(other), "directions": ["IN": 7], "remote_ip": "192.0.2.51", "mirror_type": "gre",
                "tenant_id": "b",
            ])
        // The other way round: theirs is refused.
        try await world.reconcile { _ in .unknown }
        let theirs = world.api.responder(.everybody(Caller(projectID: "b", roles: Caller.Role.member.implied)))
        let text = try await world.api.send(.get, "/v2.0/taas/tap_mirrors", responder: theirs).text
        #expect(text.contains("is tapped already"), "\(text)")
        for secret in World.secrets + [world.port] { #expect(!text.contains(secret), "\(text)") }
    }

    @Test func hiddenAttributesAreNoWayToAsk() async throws {
        let world = try await World()
        var ports: [String] = []
        for host in ["rack9-c", "rack9-a", "rack9-b"] {
            ports.append(try await world.api.makePort(["binding:host_id": .string(host), "tenant_id": "a"]))
        }
        func ids(_ query: String, _ role: Caller.Role = .member) async throws -> [String] {
            let answer = try await world.ask(role, "ports?\(query)")
            let found = answer.object["ports"]?.array?.compactMap { $0.object?["id"]?.string } ?? []
            return found.filter(ports.contains)
        }
        for key in ["binding:host_id", "binding:profile", "status_reason"] {
            for direction in ["asc", "desc"] {
                #expect(try await ids("sort_key=\(key)&sort_dir=\(direction)") == ports, "\(key)")
            }
        }
        #expect(try await ids("sort_key=binding:host_id&sort_dir=asc", .admin) == [ports[1], ports[2], ports[0]])
        #expect(try await ids("binding:host_id=rack9-a") == ports)
        #expect(try await ids("binding:host_id=rack9-a", .admin) == [ports[1]])
        let fields = try await world.ask(.member, "ports?fields=binding:host_id&fields=binding:profile")
        #expect(fields.object["ports"]?.array?.allSatisfy { $0 == [:] } == true, "\(fields.text)")
    }

    /// By id, by name, as a marker, with If-Match, in a body: what is project B's is as good as absent to a member of A.
    @Test func anothersIsAsGoodAsAbsent() async throws {
        let world = try await World()
        let api = world.api
        let member = api.responder(.everybody(Caller(projectID: "b", roles: Caller.Role.member.implied)))
        let absent = "00000000-0000-4000-8000-000000000000"
        let network = try await api.make("networks", "network", ["name": "secret-net", "tenant_id": "a"])
        let own = try await api.makePort(["tenant_id": "b"])
        let ownService = try await api.make(
            "taas/tap_services", "tap_service", ["port_id": .string(own), "tenant_id": "b"])
        func same(
            _ method: HTTPRequest.Method, _ path: String, _ id: String, _ body: String = "", headers: HTTPFields = [:],
            status: Int
        ) async throws {
            var answers: [String] = []
            for one in [id, absent] {
                let answer = try await api.send(
                    method, "/v2.0/" + path.replacing("ID", with: one), body.replacing("ID", with: one),
                    headers: headers, responder: member)
                #expect(answer.status == status, "\(method) \(path) \(body): \(answer.text)")
                answers.append(answer.text.replacing(one, with: "ID"))
            }
            #expect(answers[0] == answers[1], "\(method) \(path) \(body)")
        }
        let kinds = [
            ("ports", world.port), ("networks", network), ("taas/tap_services", world.tap.service),
            ("taas/tap_flows", world.tap.flow), ("taas/tap_mirrors", world.tap.mirror),
        ]
        for (path, id) in kinds {
            let name = path.split(separator: "/").last!.dropLast()
            for revision in ["revision_number=1", "revision_number=7"] {
                let headers: HTTPFields = [.ifMatch: revision]
                try await same(.put, path + "/ID", id, #"{"\#(name)": {"name": "x"}}"#, headers: headers, status: 404)
                try await same(.delete, path + "/ID", id, headers: headers, status: 404)
            }
            try await same(.put, path + "/ID", id, #"{"\#(name)": {"id": "x"}}"#, status: 400)
            try await same(.put, path + "/ID", id, #"{"\#(name)": {"no": "x"}}"#, status: 400)
            try await same(.get, path + "/ID?fields=id", id, status: 404)
            try await same(.get, path + "?id=ID", id, status: 200)
            try await same(.get, path + "?marker=ID&limit=5", id, status: 200)
            try await same(.get, path + "?marker=ID&limit=5&page_reverse=True", id, status: 200)
        }
        try await same(.get, "networks?name=secret-net", network, status: 200)
        try await same(.post, "ports", network, #"{"port": {"network_id": "ID"}}"#, status: 404)
        try await same(.post, "taas/tap_services", world.port, #"{"tap_service": {"port_id": "ID"}}"#, status: 404)
        try await same(
            .post, "taas/tap_flows", world.port,
            #"{"tap_flow": {"tap_service_id": "\#(ownService)", "source_port": "ID", "direction": "IN"}}"#, status: 404)
        try await same(
            .post, "taas/tap_flows", world.tap.service,
            #"{"tap_flow": {"tap_service_id": "ID", "source_port": "\#(own)", "direction": "IN"}}"#, status: 404)
        try await same(
            .post, "taas/tap_mirrors", world.port,
            #"{"tap_mirror": {"port_id": "ID", "directions": {"IN": 7}, "remote_ip": "192.0.2.50", "mirror_type": "gre"}}"#,
            status: 404)
        // A tunnel id that project A has is free in B: nobody learns of it.
        let mirror =
            #"{"tap_mirror": {"port_id": "\#(own)", "directions": {"IN": 7}, "remote_ip": "192.0.2.50", "mirror_type": "gre"}}"#
        #expect(try await api.send(.post, "/v2.0/taas/tap_mirrors", mirror, responder: member).status == 201)
        // Limits and use of another project, and of one that there is not.
        _ = try await api.send(.put, "/v2.0/quotas/a", #"{"quota": {"port": 3}}"#)
        for place in ["", "/default", "/details"] {
            let theirs = try await api.send(.get, "/v2.0/quotas/a\(place)", responder: member)
            let nobodys = try await api.send(.get, "/v2.0/quotas/none\(place)", responder: member)
            #expect(theirs.status == 403 && theirs.text == nobodys.text, "\(place): \(theirs.text)")
        }
        for path in ["heliostat/status", "heliostat/statistics"] {
            #expect(try await api.send(.get, "/v2.0/\(path)", responder: member).status == 403)
        }
        #expect(try await api.send(.get, "/v2.0/heliostat/hosts", responder: member).text == #"{"hosts": []}"#)
    }
}
