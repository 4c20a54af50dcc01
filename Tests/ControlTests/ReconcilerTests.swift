// Intents through the API, the store and the reconciler to a dataplane on a socket, and back as statuses.

import ControlModel
import ControlReconcile
import ControlStore
import ControlTelemetry
import Foundation
import Logging
import MirrorProgram
import Testing

@Suite(.timeLimit(.minutes(2))) struct ReconcilerTests {
    /// An API, a fake dataplane, and a reconciler between them.
    private final class System: Sendable {
        let api: APIHarness
        let path: String
        let task: Task<Void, Never>

        init(_ api: APIHarness, patience: Duration = .seconds(2)) {
            self.api = api
            path = api.directory.path + "/dataplane.sock"
            let reconciler = Reconciler(
                store: api.store, host: "here", dataplane: DataplaneClient(path: path), telemetry: api.telemetry,
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, patience: patience)
            task = Task { await reconciler.run() }
        }

        deinit { task.cancel() }

        /// Waits until `path`'s attribute has the value; gives how long that took.
        func wait(
            _ path: String, _ name: String, _ value: JSON, of attribute: String = "status"
        ) async throws -> Duration {
            let start = ContinuousClock.now
            while ContinuousClock.now - start < .seconds(20) {
                let answer = try await api.get(path)
                if answer.status == 404, value == .null { return ContinuousClock.now - start }
                if answer.object[name]?.object?[attribute] == value { return ContinuousClock.now - start }
                try await Task.sleep(for: .milliseconds(2))
            }
            Issue.record("\(path): \(try await api.get(path).text), not \(attribute) \(value.text)")
            return .seconds(20)
        }
    }

    @Test func anIntentBecomesAProgramAndGoes() async throws {
        let api = try await APIHarness()
        let system = System(api)
        let dataplane = FakeDataplane(path: system.path)
        let tap = try await api.makeTap()
        let (flow, service) = ("taas/tap_flows/\(tap.flow)", "taas/tap_services/\(tap.service)")
        _ = try await system.wait(flow, "tap_flow", "ACTIVE")
        _ = try await system.wait(service, "tap_service", "ACTIVE")
        let program = try #require(dataplane.program)
        #expect(program.taps.map(\.id) == [tap.flow])
        #expect(program.generation > 0)
        #expect(api.telemetry.observation.isConnected)

        // Idle: nothing is applied again.
        let applied = dataplane.applied
        try await Task.sleep(for: .milliseconds(2500))
        #expect(dataplane.applied == applied)
        #expect(api.telemetry.observation.statistics?.taps.map(\.id) == [tap.flow])

        // A new flow on an idle system.
        let second = try await api.make(
            "taas/tap_flows", "tap_flow",
            ["tap_service_id": .string(tap.service), "source_port": .string(tap.source), "direction": "IN"])
        let latency = try await system.wait("taas/tap_flows/\(second)", "tap_flow", "ACTIVE")
        #expect(latency < .milliseconds(500), "took \(latency)")

        #expect(try await api.delete(service).status == 204)
        _ = try await system.wait(flow, "tap_flow", .null)
        _ = try await system.wait(service, "tap_service", .null)
        let last = try #require(dataplane.program)
        #expect(last.taps.isEmpty && last.destinations.isEmpty)
        #expect(last.generation > program.generation)
        #expect(try await api.store.list(["tunnel_id", "tap_flow"]).rows.isEmpty)
    }

    @Test func deletionWaitsForADataplaneThatIsAway() async throws {
        let api = try await APIHarness()
        let system = System(api, patience: .seconds(60))
        let first = FakeDataplane(path: system.path)
        let tap = try await api.makeTap()
        let flow = "taas/tap_flows/\(tap.flow)"
        _ = try await system.wait(flow, "tap_flow", "ACTIVE")
        let program = first.program
        first.stop()
        unlink(system.path)
        try await Task.sleep(for: .milliseconds(300))
        #expect(try await api.delete(flow).status == 204)
        let second = FakeDataplane(path: system.path + ".new")
        second.change { $0.program = program }
        _ = rename(system.path + ".new", system.path)
        _ = try await system.wait(flow, "tap_flow", .null)
        #expect(second.program?.taps.isEmpty == true)
    }

    @Test func silenceBringsItDownAndAnswersBringItBack() async throws {
        let api = try await APIHarness()
        let system = System(api, patience: .milliseconds(300))
        let tap = try await api.makeTap()
        let flow = "taas/tap_flows/\(tap.flow)"
        while try await api.get(flow).object["tap_flow"]?.object?["status_reason"] == .null {
            try await Task.sleep(for: .milliseconds(20))
        }
        let reason = try await api.get(flow).object["tap_flow"]?.object?["status_reason"]?.string
        #expect(reason?.hasPrefix("the dataplane does not answer: ") == true)
        #expect(reason?.hasSuffix("; restart heliostat serve as root, or start heliostat-dataplane") == true)
        #expect(api.telemetry.observation.reason?.contains("restart heliostat serve as root") == true)
        #expect(!api.telemetry.observation.isConnected)
        let dataplane = FakeDataplane(path: system.path)
        _ = try await system.wait(flow, "tap_flow", "ACTIVE")
        dataplane.change { $0.missing = ["veth0"] }
        _ = try await system.wait(flow, "tap_flow", "DOWN")
        _ = try await system.wait(flow, "tap_flow", "its interface is missing", of: "status_reason")
        dataplane.change { $0.missing = [] }
        _ = try await system.wait(flow, "tap_flow", "ACTIVE")
    }

    @Test func oneBadIntentKeepsNothingFromRunning() async throws {
        let api = try await APIHarness()
        let system = System(api)
        let dataplane = FakeDataplane(path: system.path)
        let tap = try await api.makeTap()
        let loop = try await api.make("taas/tap_services", "tap_service", ["port_id": .string(tap.source)])
        let bad = try await api.make(
            "taas/tap_flows", "tap_flow",
            ["tap_service_id": .string(loop), "source_port": .string(tap.source), "direction": "BOTH"])
        _ = try await system.wait("taas/tap_flows/\(bad)", "tap_flow", "ERROR")
        _ = try await system.wait("taas/tap_flows/\(tap.flow)", "tap_flow", "ACTIVE")
        #expect(dataplane.program?.taps.map(\.id) == [tap.flow])
    }

    @Test func refusalIsAnErrorThatHeals() async throws {
        let api = try await APIHarness()
        let system = System(api)
        let dataplane = FakeDataplane(path: system.path)
        dataplane.change { $0.refusal = "no more room" }
        let tap = try await api.makeTap()
        let flow = "taas/tap_flows/\(tap.flow)"
        _ = try await system.wait(flow, "tap_flow", "ERROR")
        _ = try await system.wait(
            flow, "tap_flow", "the dataplane refused the program: no more room", of: "status_reason")
        dataplane.change { $0.refusal = nil }
        _ = try await system.wait(flow, "tap_flow", "ACTIVE")
    }

    @Test func aRefusalKeepsNothingFromBeingRemoved() async throws {
        let api = try await APIHarness()
        let system = System(api)
        let dataplane = FakeDataplane(path: system.path)
        let tap = try await api.makeTap()
        let flow = "taas/tap_flows/\(tap.flow)"
        _ = try await system.wait(flow, "tap_flow", "ACTIVE")
        func make(_ direction: String) async throws -> String {
            try await api.make(
                "taas/tap_flows", "tap_flow",
                [
                    "tap_service_id": .string(tap.service), "source_port": .string(tap.source),
                    "direction": .string(direction),
                ])
        }
        let second = try await make("IN")
        _ = try await system.wait("taas/tap_flows/\(second)", "tap_flow", "ACTIVE")
        dataplane.change { $0.refusal = "not now" }
        let bad = try await make("OUT")
        dataplane.change { ($0.refusal, $0.refusedTap) = (nil, bad) }
        _ = try await system.wait("taas/tap_flows/\(bad)", "tap_flow", "ERROR")
        #expect(try await api.delete(flow).status == 204)
        _ = try await system.wait(flow, "tap_flow", .null)
        #expect(dataplane.program?.taps.map(\.id) == [second])
        #expect(try await api.get("taas/tap_flows/\(second)").object["tap_flow"]?.object?["status"] == "ACTIVE")
        // Nothing is taken away over and over.
        let applied = dataplane.applied
        try await Task.sleep(for: .milliseconds(600))
        #expect(dataplane.applied == applied)
        #expect(try await api.delete("taas/tap_flows/\(bad)").status == 204)
        _ = try await system.wait("taas/tap_flows/\(bad)", "tap_flow", .null)
        let third = try await make("IN")
        _ = try await system.wait("taas/tap_flows/\(third)", "tap_flow", "ACTIVE")
    }

    @Test(arguments: [UInt64.max, MirrorProgram.largestGeneration, MirrorProgram.largestGeneration - 1])
    func generationsBeginAgain(_ generation: UInt64) async throws {
        let api = try await APIHarness()
        let system = System(api)
        let dataplane = FakeDataplane(path: system.path)
        dataplane.change {
            $0.program = MirrorProgram(generation: generation, ports: [.init(id: "x", interface: "veth9")])
        }
        let tap = try await api.makeTap()
        _ = try await system.wait("taas/tap_flows/\(tap.flow)", "tap_flow", "ACTIVE")
        let program = try #require(dataplane.program)
        #expect((1...3).contains(program.generation) || program.generation == MirrorProgram.largestGeneration)
        let row = try #require(try await api.store.get(Key("program", "here")))
        #expect(try JSONDecoder().decode(MirrorProgram.self, from: Data(row.value)) == program)
        let second = try await api.make(
            "taas/tap_flows", "tap_flow",
            ["tap_service_id": .string(tap.service), "source_port": .string(tap.source), "direction": "IN"])
        _ = try await system.wait("taas/tap_flows/\(second)", "tap_flow", "ACTIVE")
        #expect((1...4).contains(try #require(dataplane.program).generation))
    }

    @Test func aKeptProgramThatDoesNotDecodeIsReplaced() async throws {
        let api = try await APIHarness()
        try await api.store.transact { $0.put(Key("program", "here"), ["generation": "seven"]) }
        let system = System(api)
        let dataplane = FakeDataplane(path: system.path)
        let tap = try await api.makeTap()
        _ = try await system.wait("taas/tap_flows/\(tap.flow)", "tap_flow", "ACTIVE")
        let row = try #require(try await api.store.get(Key("program", "here")))
        #expect(try JSONDecoder().decode(MirrorProgram.self, from: Data(row.value)) == dataplane.program)
    }

    @Test func aTurnThatIsCancelledSaysNothing() async throws {
        let api = try await APIHarness()
        let log = CapturedLog()
        let reconciler = Reconciler(
            store: api.store, host: "here", dataplane: DataplaneClient(path: api.directory.path + "/none.sock"),
            telemetry: api.telemetry, logger: Logger(label: "test") { _ in log })
        let turn = Task {
            while !Task.isCancelled { await Task.yield() }
            return await reconciler.turn()
        }
        turn.cancel()
        _ = await turn.value
        #expect(log.lines.isEmpty)
        _ = await reconciler.turn()
        #expect(log.lines.count == 1)
    }

    @Test func aForeignProgramIsReplacedUnderALargerGeneration() async throws {
        let api = try await APIHarness()
        let system = System(api)
        let dataplane = FakeDataplane(path: system.path)
        dataplane.change { $0.program = MirrorProgram(generation: 41, ports: [.init(id: "x", interface: "veth9")]) }
        let tap = try await api.makeTap()
        _ = try await system.wait("taas/tap_flows/\(tap.flow)", "tap_flow", "ACTIVE")
        #expect(try #require(dataplane.program).generation > 41)
    }

    @Test func aRestartFindsEverythingAndTouchesNothing() async throws {
        let api = try await APIHarness()
        var system: System? = System(api)
        let dataplane = FakeDataplane(path: system!.path)
        let tap = try await api.makeTap()
        _ = try await system!.wait("taas/tap_flows/\(tap.flow)", "tap_flow", "ACTIVE")
        system!.task.cancel()
        await system!.task.value
        system = nil
        let applied = dataplane.applied
        let again = System(api)
        while api.telemetry.observation.statisticsTime == nil { try await Task.sleep(for: .milliseconds(10)) }
        try await Task.sleep(for: .milliseconds(300))
        #expect(dataplane.applied == applied)
        #expect(try await api.get("taas/tap_flows/\(tap.flow)").object["tap_flow"]?.object?["status"] == "ACTIVE")
        again.task.cancel()
    }
}
