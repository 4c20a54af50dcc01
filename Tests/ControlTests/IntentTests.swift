// What the API does to intents: statuses on deletion, cascades, tunnel ids, and races.

import ControlModel
import ControlReconcile
import ControlStore
import MirrorProgram
import Testing

@Suite struct IntentTests {
    private func status(_ api: APIHarness, _ path: String, _ name: String) async throws -> String? {
        try await api.get(path).object[name]?.object?["status"]?.string
    }

    @Test func deletingWhatIsNotActiveIsAtOnce() async throws {
        let api = try await APIHarness()
        let tap = try await api.makeTap()
        #expect(try await api.delete("taas/tap_services/\(tap.service)").status == 204)
        #expect(try await api.get("taas/tap_services/\(tap.service)").status == 404)
        #expect(try await api.get("taas/tap_flows/\(tap.flow)").status == 404)
        // Its tunnel id is owed until the dataplane has let go.
        #expect(try await api.store.snapshot().owedTunnelIDs.map(\.owner) == [tap.service])
    }

    @Test func deletingWhatIsActiveWaits() async throws {
        let api = try await APIHarness()
        let tap = try await api.makeTap()
        try await api.set(TapService.self, tap.service, .active)
        try await api.set(TapFlow.self, tap.flow, .active)
        #expect(try await api.delete("taas/tap_flows/\(tap.flow)").status == 204)
        #expect(try await status(api, "taas/tap_flows/\(tap.flow)", "tap_flow") == "PENDING_DELETE")
        try await api.set(TapFlow.self, tap.flow, .active)
        #expect(try await api.delete("taas/tap_services/\(tap.service)").status == 204)
        #expect(try await status(api, "taas/tap_services/\(tap.service)", "tap_service") == "PENDING_DELETE")
        #expect(try await status(api, "taas/tap_flows/\(tap.flow)", "tap_flow") == "PENDING_DELETE")
        let late = try await api.post(
            "taas/tap_flows",
            [
                "tap_flow": [
                    "tap_service_id": .string(tap.service), "source_port": .string(tap.source), "direction": "IN",
                ]
            ])
        #expect(late.fault == "404 TapServiceNotFound: Tap Service  \(tap.service) does not exist")
        // A second DELETE does not wait.
        #expect(try await api.delete("taas/tap_services/\(tap.service)").status == 204)
        #expect(try await api.get("taas/tap_services/\(tap.service)").status == 404)
        #expect(try await api.get("taas/tap_flows/\(tap.flow)").status == 404)
    }

    @Test func deletingAPortTakesAllThatNamesIt() async throws {
        let api = try await APIHarness()
        let first = try await api.makeTap()
        try await api.set(TapFlow.self, first.flow, .active)
        #expect(try await api.delete("ports/\(first.source)").status == 204)
        #expect(try await api.get("taas/tap_flows/\(first.flow)").status == 404)
        #expect(try await api.get("taas/tap_services/\(first.service)").status == 200)
        try await api.set(TapService.self, first.service, .active)
        #expect(try await api.delete("ports/\(first.collector)").status == 204)
        #expect(try await api.get("taas/tap_services/\(first.service)").status == 404)
        #expect(try await api.store.list(["port", "tap_flow", "tap_service"]).rows.isEmpty)
        // Its tunnel id is owed until the dataplane has let go of it.
        #expect(try await api.store.list(["tunnel_id"]).rows.count == 1)
    }

    @Test func projectsMustAgree() async throws {
        let api = try await APIHarness()
        let port = try await api.makePort(["tenant_id": "demo"])
        let refused = try await api.post("taas/tap_services", ["tap_service": ["port_id": .string(port)]])
        #expect(refused.fault == "403 PortDoesNotBelongToTenant: The specified port does not belong to the tenant")
        let service = try await api.make(
            "taas/tap_services", "tap_service", ["port_id": .string(port), "project_id": "demo"])
        let flow: JSON = ["tap_service_id": .string(service), "source_port": .string(port), "direction": "IN"]
        #expect(
            try await api.post("taas/tap_flows", ["tap_flow": flow]).fault
                == "403 TapServiceNotBelongToTenant: Specified Tap Service does not belong to the tenant")
        let other = try await api.makePort()
        let trespass = try await api.post(
            "taas/tap_flows",
            [
                "tap_flow": [
                    "tap_service_id": .string(service), "source_port": .string(other), "direction": "IN",
                    "project_id": "demo",
                ]
            ])
        #expect(trespass.fault == "403 PortDoesNotBelongToTenant: The specified port does not belong to the tenant")
    }

    @Test func tunnelIDsAreUnique() async throws {
        let api = try await APIHarness()
        let port = try await api.makePort()
        let body: JSON = ["tap_service": ["port_id": .string(port), "tunnel_id": 5001]]
        let first = try await api.post("taas/tap_services", body)
        #expect(first.status == 201)
        #expect(try await api.post("taas/tap_services", body).fault.hasPrefix("409 TunnelIdInUse: Tunnel id 5001 "))
        let chosen = try await api.post("taas/tap_services", ["tap_service": ["port_id": .string(port)]])
        let id = try #require(chosen.object["tap_service"]?.object?["tunnel_id"]?.integer)
        #expect(TapService.tunnelIDPool.contains(id))
        _ = try await api.delete("taas/tap_services/\(first.object["tap_service"]!.object!["id"]!.string!)")
        // The dataplane has not said that it let go.
        #expect(try await api.post("taas/tap_services", body).fault.hasPrefix("409 TunnelIdInUse: Tunnel id 5001 "))
        let snapshot = try await api.store.snapshot()
        #expect(snapshot.owedTunnelIDs.map(\.taken) == [TapService.tunnelIDKey(5001)])
        let status = DataplaneStatus(
            version: "1", pid: 1, epoch: "e", generation: 1, ports: [], destinations: [], taps: [])
        let outcome = Outcome(
            snapshot, DesiredState(snapshot, host: "here"), .running(status), host: "here", interfaces: [])
        _ = try await api.store.commit(outcome.removals)
        #expect(try await api.store.snapshot().owedTunnelIDs.isEmpty)
        #expect(try await api.post("taas/tap_services", body).status == 201)
    }

    /// A mirror's row goes at once; its tunnel ids are free when the dataplane has let go.
    @Test func aDeletedMirrorsTunnelIDsAreOwed() async throws {
        let api = try await APIHarness()
        let port = try await api.makePort()
        let body: JSON = [
            "tap_mirror": [
                "port_id": .string(port), "directions": ["IN": 101, "OUT": "102", "BOTH": 101],
                "remote_ip": "192.0.2.50", "mirror_type": "gre",
            ]
        ]
        func make() async throws -> String {
            try await api.post("taas/tap_mirrors", body).object["tap_mirror"]?.object?["id"]?.string ?? "none"
        }
        // No dataplane was ever given a program: nothing can be owed.
        #expect(try await api.delete("taas/tap_mirrors/\(try await make())").status == 204)
        #expect(try await api.store.list(["mirror_tunnel_id", OwedTunnelID.kind]).rows.isEmpty)
        _ = try await api.store.transact { $0.put(StoredProgram.key("here"), [:]) }
        let mirror = try await make()
        #expect(try await api.delete("taas/tap_mirrors/\(mirror)").status == 204)
        #expect(try await api.get("taas/tap_mirrors/\(mirror)").status == 404)
        #expect(try await api.post("taas/tap_mirrors", body).fault.hasPrefix("409 TapMirrorTunnelConflict"))
        // A port that goes takes its mirror with it; its ids are owed as well.
        let snapshot = try await api.store.snapshot()
        #expect(snapshot.owedTunnelIDs.map(\.owner) == [mirror, mirror])
        func removals(_ destinations: [String]) -> Commit {
            let status = DataplaneStatus(
                version: "1", pid: 1, epoch: "e", generation: 1,
                destinations: destinations.map { DestinationStatus(id: $0, state: .ready) })
            return Outcome(
                snapshot, DesiredState(snapshot, host: "here"), .running(status), host: "here", interfaces: []
            ).removals
        }
        #expect(removals(["\(mirror)/101"]).isEmpty)
        _ = try await api.store.commit(removals([]))
        #expect(try await api.store.list(["mirror_tunnel_id", OwedTunnelID.kind]).rows.isEmpty)
        _ = try await make()
        #expect(try await api.delete("ports/\(port)").status == 204)
        #expect(try await api.store.snapshot().owedTunnelIDs.count == 2)
    }

    /// DELETE of a service that is being deleted removes its row; the dataplane may still run it.
    @Test func aSecondDeleteLeavesTheTunnelIDOwed() async throws {
        let api = try await APIHarness()
        let tap = try await api.makeTap()
        let service = "taas/tap_services/\(tap.service)"
        try await api.set(TapService.self, tap.service, .active)
        #expect(try await api.delete(service).status == 204)
        #expect(try await api.store.snapshot().owedTunnelIDs.isEmpty)
        #expect(try await api.delete(service).status == 204)
        #expect(try await api.get(service).status == 404)
        #expect(try await api.store.snapshot().owedTunnelIDs.map(\.owner) == [tap.service])
        #expect(try await api.store.list([TapService.tunnelIDKind]).rows.count == 1)
    }

    @Test func parallelCreatesNeverShareATunnelID() async throws {
        let api = try await APIHarness()
        let port = try await api.makePort()
        let answers = try await withThrowingTaskGroup { group in
            for index in 0..<64 {
                group.addTask {
                    // Half of them want the same one.
                    let wanted: JSON = index % 2 == 0 ? 5001 : nil
                    return try await api.post(
                        "taas/tap_services", ["tap_service": ["port_id": .string(port), "tunnel_id": wanted]])
                }
            }
            var answers: [APIHarness.Answer] = []
            for try await answer in group { answers.append(answer) }
            return answers
        }
        let made = answers.compactMap { $0.object["tap_service"]?.object?["tunnel_id"]?.integer }
        #expect(made.count == 33)
        #expect(Set(made).count == 33)
        #expect(answers.filter { $0.status == 409 }.count == 31)
        #expect(try await api.store.list(["tunnel_id"]).rows.count == 33)
    }

    @Test func racesLeaveNoOrphans() async throws {
        let api = try await APIHarness()
        for _ in 0..<10 {
            let port = try await api.makePort(["name": "p"])
            let service = try await api.make("taas/tap_services", "tap_service", ["port_id": .string(port)])
            try await withThrowingTaskGroup { group in
                for _ in 0..<4 {
                    group.addTask {
                        _ = try await api.post(
                            "taas/tap_flows",
                            [
                                "tap_flow": [
                                    "tap_service_id": .string(service), "source_port": .string(port), "direction": "IN",
                                ]
                            ])
                    }
                }
                group.addTask { _ = try await api.put("ports/\(port)", ["port": ["name": "q"]]) }
                group.addTask { _ = try await api.delete("ports/\(port)") }
                try await group.waitForAll()
            }
        }
        #expect(try await api.store.list(["tap_flow", "tap_service", "port"]).rows.isEmpty)
    }
}
