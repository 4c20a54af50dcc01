// From intents to a program: what is in it, what is not, and why.

import ControlModel
import ControlReconcile
import ControlStore
import MirrorProgram
import Testing

@Suite struct DesiredStateTests {
    private let web = Sample.port("web", interface: "veth0")
    private let ids = Sample.port("ids", host: "ids")

    private func desired(ports: [Port], services: [TapService], flows: [TapFlow]) throws -> DesiredState {
        let desired = DesiredState(Sample.snapshot(ports: ports, services: services, flows: flows), host: "here")
        try desired.program.validate()
        return desired
    }

    @Test func collectorIsATunnel() throws {
        let desired = try desired(
            ports: [web, ids], services: [Sample.service("s", port: "ids")],
            flows: [Sample.flow("f", service: "s", port: "web", direction: "IN")])
        #expect(desired.verdicts.isEmpty)
        #expect(
            desired.program
                == MirrorProgram(
                    ports: [.init(id: "web", interface: "veth0")],
                    destinations: [.init(id: "s", target: .tunnel(.init(remote: .init("192.0.2.9")!, tunnelID: 5001)))],
                    taps: [.init(id: "f", port: "web", direction: .in, destinations: ["s"])]))
    }

    @Test func thisHostIsAnInterface() throws {
        let monitor = Sample.port("monitor", interface: "veth9")
        let desired = try desired(
            ports: [web, monitor], services: [Sample.service("s", port: "monitor")],
            flows: [Sample.flow("f", service: "s", port: "web")])
        #expect(desired.program.destinations == [.init(id: "s", target: .interface("veth9"))])
        #expect(desired.program.taps.map(\.id) == ["f"])
    }

    /// What one host sends on is what the other accepts.
    @Test func portOfAnotherHeliostatHostIsATunnelThereAndADeliveryHere() throws {
        let far = Sample.port("far", host: "there", interface: "veth9")
        let snapshot = Sample.snapshot(
            ports: [web, far], services: [Sample.service("s", port: "far")],
            flows: [Sample.flow("f", service: "s", port: "web")])
        let sender = DesiredState(snapshot, host: "here")
        #expect(sender.verdicts.isEmpty)
        #expect(
            sender.program.destinations == [
                .init(
                    id: "s",
                    target: .tunnel(
                        .init(remote: .init("192.0.2.2")!, tunnelID: 5001, source: .init("192.0.2.1")!)))
            ])
        #expect(sender.program.taps.map(\.id) == ["f"] && sender.program.deliveries.isEmpty)
        let receiver = DesiredState(snapshot, host: "there")
        try receiver.program.validate()
        #expect(
            receiver.program.deliveries == [
                .init(
                    id: "s", peers: [.init("192.0.2.1")!], local: .init("192.0.2.2")!, tunnelID: 5001,
                    interface: "veth9")
            ])
        #expect(receiver.program.taps.isEmpty)
        // Without a flow from elsewhere nobody's packets are accepted.
        let quiet = DesiredState(
            Sample.snapshot(ports: [far], services: [Sample.service("s", port: "far")]), host: "there")
        #expect(quiet.program.deliveries.isEmpty)
    }

    @Test func capturesAsTheProfileSays() throws {
        var span = Sample.port("span", interface: "eth7", capture: .span)
        span.profile.side = .`self`
        span.profile.netns = "blue"
        span.profile.capturePolicy = .prefer
        span.profile.mac = MACAddress("52:54:00:00:00:01")
        let desired = try desired(
            ports: [span, ids], services: [Sample.service("s", port: "ids")],
            flows: [Sample.flow("f", service: "s", port: "span", direction: "IN")])
        #expect(
            desired.program.ports == [
                .init(
                    id: "span", interface: "eth7", netns: "blue", mac: MACAddress("52:54:00:00:00:01"), capture: .span,
                    policy: .prefer,
                    side: .`self`)
            ])
    }

    /// An interface of the dataplane's own namespace may have the same name: it is not the port.
    @Test func nothingIsDeliveredIntoAnotherNamespace() throws {
        var far = Sample.port("far", interface: "veth9")
        far.profile.netns = "blue"
        let desired = try desired(
            ports: [web, far], services: [Sample.service("s", port: "far")],
            flows: [Sample.flow("f", service: "s", port: "web")])
        #expect(desired.program.destinations.isEmpty && desired.program.taps.isEmpty)
        #expect(desired.verdicts["s"]?.status == .error)
        #expect(desired.verdicts["s"]?.reason.full.contains("in network namespace 'blue'") == true)
        #expect(desired.verdicts["s"]?.reason.forMembers.contains("blue") == false)
    }

    @Test func severalFlowsOnOnePort() throws {
        let desired = try desired(
            ports: [web, ids],
            services: [Sample.service("s", port: "ids"), Sample.service("t", port: "ids", tunnelID: 2)],
            flows: [
                Sample.flow("f", service: "s", port: "web"),
                Sample.flow("g", service: "t", port: "web", direction: "OUT"),
                Sample.flow("h", service: "s", port: "web", direction: "IN"),
            ])
        #expect(desired.program.ports.count == 1)
        #expect(desired.program.destinations.map(\.id) == ["s", "t"])
        #expect(desired.program.taps.map(\.id) == ["f", "g", "h"])
    }

    @Test(arguments: [
        (Sample.port("d", host: "there"), Status.down, "no interface"),
        (Sample.port("d", host: "nowhere"), .down, "which is not known"),
        (Sample.port("d", host: ""), .down, "not bound"),
        (Sample.port("d", host: "bare"), .error, "no tunnel address"),
        (Sample.port("d", host: "mirror"), .error, "would come back"),
        (Sample.port("d"), .down, "no interface"),
        (Sample.port("d", interface: "veth9", up: false), .down, "admin_state_up"),
        (Sample.port("d", host: "ids", up: false), .down, "admin_state_up"),
        (Sample.port("d", interface: "hs-9"), .error, "Heliostat's own"),
    ])
    func aBadDestinationIsAVerdict(_ port: Port, _ status: Status, _ text: String) throws {
        let desired = try desired(
            ports: [web, ids, port], services: [Sample.service("s", port: "ids"), Sample.service("bad", port: "d")],
            flows: [Sample.flow("f", service: "bad", port: "web"), Sample.flow("good", service: "s", port: "web")])
        #expect(desired.verdicts["bad"]?.status == status)
        #expect(desired.verdicts["bad"]?.reason.full.contains(text) == true)
        #expect(desired.verdicts["f"]?.status == status)
        #expect(desired.verdicts["f"]?.reason.full.contains(text) == true)
        #expect(desired.program.taps.map(\.id) == ["good"])
    }

    @Test(arguments: [
        (Sample.port("p", host: "there", interface: "veth1"), "BOTH", Status.down, "does not serve"),
        (Sample.port("p", host: ""), "BOTH", .down, "not bound"),
        (Sample.port("p"), "BOTH", .down, "no interface"),
        (Sample.port("p", interface: "veth1", up: false), "BOTH", .down, "admin_state_up"),
        (Sample.port("p", interface: "eth7", capture: .span), "OUT", .error, "span port has IN only"),
        (Sample.port("p", interface: "veth0"), "BOTH", .error, "tapped already"),
        (Sample.port("p", interface: "a b"), "BOTH", .error, "not an interface name"),
    ])
    func aBadSourceIsAVerdict(_ port: Port, _ direction: String, _ status: Status, _ text: String) throws {
        let desired = try desired(
            ports: [port, web, ids], services: [Sample.service("s", port: "ids")],
            flows: [
                Sample.flow("good", service: "s", port: "web"),
                Sample.flow("bad", service: "s", port: "p", direction: direction),
                Sample.flow("too", service: "s", port: "web"),
            ])
        #expect(desired.verdicts["bad"]?.status == status)
        #expect(desired.verdicts["bad"]?.reason.full.contains(text) == true)
        #expect(desired.program.taps.map(\.id) == ["good", "too"])
    }

    @Test func loopsAreRefused() throws {
        let a = Sample.port("a", interface: "veth1")
        let b = Sample.port("b", interface: "veth2")
        let desired = try desired(
            ports: [web, a, b],
            services: [
                Sample.service("to-web", port: "web"), Sample.service("to-a", port: "a"),
                Sample.service("to-b", port: "b"),
            ],
            flows: [
                Sample.flow("itself", service: "to-web", port: "web"), Sample.flow("1", service: "to-a", port: "web"),
                Sample.flow("2", service: "to-b", port: "a"), Sample.flow("3", service: "to-web", port: "b"),
                Sample.flow("4", service: "to-b", port: "web"),
            ])
        #expect(desired.program.taps.map(\.id) == ["1", "2", "4"])
        #expect(desired.verdicts["itself"]?.reason.full.contains("loop") == true)
        #expect(desired.verdicts["3"]?.reason.full.contains("loop") == true)
        #expect(Set(desired.verdicts.keys) == ["itself", "3"])
    }

    @Test func whatIsBeingDeletedIsNotDesired() throws {
        let desired = try desired(
            ports: [web, ids],
            services: [
                Sample.service("s", port: "ids"),
                Sample.service("t", port: "ids", tunnelID: 2, status: "PENDING_DELETE"),
            ],
            flows: [
                Sample.flow("f", service: "s", port: "web", status: "PENDING_DELETE"),
                Sample.flow("g", service: "s", port: "web"),
            ])
        #expect(desired.program.destinations.map(\.id) == ["s"])
        #expect(desired.program.taps.map(\.id) == ["g"])
    }

    @Test func tooManyPortsKeepTheEarlierOnes() throws {
        let limit = MirrorProgram.portsPerProgram
        let ports = (0..<limit + 2).map { Sample.port("p\($0)", interface: "if\($0)") }
        var flows = ports.map { Sample.flow("f\($0.id)", service: "s", port: $0.id) }
        flows.append(Sample.flow("late", service: "s", port: "p0", direction: "IN"))
        let desired = try desired(ports: ports + [ids], services: [Sample.service("s", port: "ids")], flows: flows)
        #expect(desired.program.ports.map(\.id) == ports.prefix(limit).map(\.id))
        #expect(Set(desired.verdicts.keys) == ["fp\(limit)", "fp\(limit + 1)"])
        #expect(desired.verdicts["fp\(limit)"]?.status == .error)
        #expect(
            desired.verdicts["fp\(limit)"]?.reason.full == "this host has 1024 tapped ports already, which is the limit"
        )
        #expect(desired.program.taps.last?.id == "late")
    }

    @Test func tooManyServicesKeepTheEarlierOnes() throws {
        let limit = MirrorProgram.destinationsPerProgram
        let services = (0..<limit + 1).map { Sample.service("s\($0)", port: "ids", tunnelID: Int64($0)) }
        let desired = try desired(
            ports: [web, ids], services: services,
            flows: [
                Sample.flow("f", service: "s0", port: "web"), Sample.flow("g", service: "s\(limit)", port: "web"),
            ])
        #expect(desired.program.destinations.map(\.id) == services.prefix(limit).map(\.id))
        #expect(Set(desired.verdicts.keys) == ["s\(limit)", "g"])
        #expect(desired.verdicts["s\(limit)"]?.status == .error)
        #expect(desired.verdicts["g"]?.status == .error)
        #expect(desired.program.taps.map(\.id) == ["f"])
    }

    @Test func aFlowThatDoesNotFitIsNoPartOfALoop() throws {
        // web is full; the flow that does not fit must not count as a path from web to a.
        let a = Sample.port("a", interface: "veth1")
        let full = (0..<MirrorProgram.tapsPerPort).map { Sample.flow("\($0)", service: "s", port: "web") }
        let desired = try desired(
            ports: [web, ids, a],
            services: [
                Sample.service("s", port: "ids"), Sample.service("to-a", port: "a"),
                Sample.service("to-web", port: "web"),
            ],
            flows: full + [
                Sample.flow("over", service: "to-a", port: "web"), Sample.flow("back", service: "to-web", port: "a"),
            ])
        #expect(Set(desired.verdicts.keys) == ["over"])
        #expect(desired.program.taps.last?.id == "back")
    }

    @Test func aPortHasSixtyFourTaps() throws {
        let flows = (0..<66).map { Sample.flow("\($0)", service: "s", port: "web") }
        let desired = try desired(ports: [web, ids], services: [Sample.service("s", port: "ids")], flows: flows)
        #expect(desired.program.taps.count == 64)
        #expect(Set(desired.verdicts.keys) == ["64", "65"])
    }
}
