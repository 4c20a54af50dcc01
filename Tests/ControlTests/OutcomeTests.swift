// From what the dataplane says to the statuses of the intents.

import ControlModel
import ControlReconcile
import ControlStore
import MirrorProgram
import Testing

@Suite struct OutcomeTests {
    private func snapshot(_ service: String = "DOWN", _ flow: String = "DOWN", port: String = "DOWN") -> Snapshot {
        Sample.snapshot(
            ports: [Sample.port("web", interface: "veth0", status: port), Sample.port("ids", host: "ids")],
            services: [Sample.service("s", port: "ids", status: service)],
            flows: [Sample.flow("f", service: "s", port: "web", status: flow)])
    }

    private func outcome(
        _ snapshot: Snapshot, _ acknowledgement: Acknowledgement, interfaces: Set<String> = ["veth0"]
    ) -> Outcome {
        Outcome(
            snapshot, DesiredState(snapshot, host: "here"), acknowledgement, host: "here", interfaces: interfaces)
    }

    private func status(
        tap: TapStatus.State? = .active, _ reason: String? = nil, destination: DestinationStatus.State? = .ready,
        why: String? = nil, port: PortStatus.State = .capturing
    ) -> DataplaneStatus {
        DataplaneStatus(
            version: "1", pid: 1, epoch: "e", generation: 1,
            ports: [PortStatus(id: "web", interface: "veth0", state: port, capture: .tap, reason: why)],
            destinations: destination.map { [DestinationStatus(id: "s", state: $0, reason: why)] } ?? [],
            taps: tap.map { [TapStatus(id: "f", state: $0, reason: reason)] } ?? [])
    }

    @Test func acknowledgedIsActive() {
        let outcome = outcome(snapshot(), .running(status()))
        #expect(outcome.tapFlows.map(\.object.status) == [.active])
        #expect(outcome.tapServices.map(\.object.status) == [.active])
        #expect(outcome.ports.map(\.object.id) == ["web", "ids"])
        #expect(outcome.ports[0].object.status == .active)
        // On a bare collector.
        #expect(outcome.ports[1].object.status == .active)
        #expect(outcome.ports[1].object.statusReason == nil)
        #expect(outcome.statuses.expectations[Key("tap_flow", "f")] == .some(4))
        #expect(outcome.removals.isEmpty)
    }

    @Test func theSecondTurnChangesNothing() {
        var snapshot = snapshot()
        let first = outcome(snapshot, .running(status()))
        snapshot.ports = first.ports
        snapshot.tapServices = first.tapServices
        snapshot.tapFlows = first.tapFlows
        #expect(outcome(snapshot, .running(status())).statuses.isEmpty)
    }

    @Test func statusesMoveBothWays() {
        let active = snapshot("ACTIVE", "ACTIVE")
        let down = outcome(active, .running(status(tap: .down, "interface 'veth0' is missing")))
        #expect(down.tapFlows.map(\.object.status) == [.down])
        #expect(down.tapFlows.map(\.object.statusReason?.full) == ["interface 'veth0' is missing"])
        let error = outcome(active, .running(status(tap: .error, "no", destination: .error, why: "no uplink")))
        #expect(error.tapFlows.map(\.object.status) == [.error])
        #expect(error.tapServices.map(\.object.statusReason?.full) == ["no uplink"])
    }

    @Test func anUnreachableCollectorIsActiveWithAReason() {
        let outcome = outcome(snapshot(), .running(status(destination: .unreachable, why: "no route to 192.0.2.9")))
        #expect(outcome.tapServices.map(\.object.status) == [.active])
        #expect(outcome.tapServices.map(\.object.statusReason?.full) == ["no route to 192.0.2.9"])
        #expect(outcome.tapFlows.map(\.object.status) == [.active])
        #expect(outcome.tapFlows.map(\.object.statusReason?.full) == ["no route to 192.0.2.9"])
    }

    @Test func silenceIsDownAfterAWhile() {
        let active = snapshot("ACTIVE", "ACTIVE")
        #expect(outcome(active, .unknown).tapFlows.isEmpty)
        let silent = outcome(active, .silent("gone"))
        #expect(silent.tapFlows.map(\.object.status) == [.down])
        #expect(silent.tapFlows.map(\.object.statusReason?.full) == ["the dataplane does not answer: gone"])
    }

    @Test func aRefusedProgramLeavesWhatRuns() {
        let active = snapshot("ACTIVE", "ACTIVE")
        #expect(outcome(active, .refused("too many", status())).tapFlows.isEmpty)
        let new = outcome(snapshot(), .refused("too many", status(tap: nil, destination: nil)))
        #expect(new.tapFlows.map(\.object.status) == [.error])
        #expect(new.tapFlows.map(\.object.statusReason?.full) == ["the dataplane refused the program: too many"])
    }

    @Test func removalWaitsForTheDataplane() {
        let pending = snapshot("PENDING_DELETE", "PENDING_DELETE")
        #expect(outcome(pending, .silent("gone")).removals.isEmpty)
        #expect(outcome(pending, .unknown).removals.isEmpty)
        #expect(outcome(pending, .refused("no", status())).removals.isEmpty)
        let gone = outcome(pending, .running(status(tap: nil, destination: nil)))
        #expect(
            Set(gone.removals.writes.map(\.key)) == [
                Key("tap_flow", "f"), Key("tap_service", "s"), Key("tunnel_id", "5001"),
            ])
        #expect(gone.removals.writes.allSatisfy { $0.value == nil })
        #expect(gone.statuses.writes.allSatisfy { $0.key.kind == "port" })
    }

    /// A delivery that is not in order is a reason beside the service's status, whatever that is.
    @Test func aDeliverysReasonIsItsServices() {
        var answer = status()
        answer.deliveries = [DeliveryStatus(id: "s", state: .ready, reason: "vxlan device vx0 has the same VNI")]
        let service = outcome(snapshot(), .running(answer)).tapServices[0].object
        #expect(service.status == .active)
        #expect(service.statusReason?.full == "copies from other hosts: vxlan device vx0 has the same VNI")
    }

    @Test func aPortElsewhereIsDown() {
        let snapshot = Sample.snapshot(ports: [
            Sample.port("a", host: "there", status: "ACTIVE"), Sample.port("b", host: "nowhere", status: "ACTIVE"),
            Sample.port("c", host: "ids", up: false, status: "ACTIVE"),
        ])
        #expect(
            outcome(snapshot, .running(status())).ports.map(\.object.statusReason?.full) == [
                "on host 'there', which this process does not serve",
                "on host 'nowhere', which this process does not serve", "admin_state_up is false",
            ])
    }

    @Test func aPortIsActiveWhereItsInterfaceIs() {
        let gone = outcome(snapshot(port: "ACTIVE"), .running(status()), interfaces: [])
        #expect(
            gone.ports.first { $0.object.id == "web" }?.object.statusReason?.full
                == "interface 'veth0' is not on host 'here'"
        )
        let otherMAC = outcome(snapshot(port: "ACTIVE"), .running(status(why: "another MAC address", port: .down)))
        #expect(otherMAC.ports.first { $0.object.id == "web" }?.object.statusReason?.full == "another MAC address")
        let refused = outcome(snapshot(port: "ACTIVE"), .running(status(why: "xdp is not served", port: .error)))
        let web = refused.ports.first { $0.object.id == "web" }?.object
        #expect(web?.status == .error && web?.statusReason?.full == "xdp is not served")
        #expect(web?.statusReason?.forMembers == "its host cannot capture it")
        let other = outcome(snapshot(port: "DOWN"), .running(status(why: "veth0 is a veth", port: .capturing)))
        let tapped = other.ports.first { $0.object.id == "web" }?.object
        #expect(tapped?.status == .active && tapped?.statusReason?.full == "veth0 is a veth")
        #expect(tapped?.statusReason?.forMembers == "it is captured in another way than asked for")
    }
}
