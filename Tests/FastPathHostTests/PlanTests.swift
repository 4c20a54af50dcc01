// The pure parts: what a port asks of the kernel, the bits of taps, the sizes of rings.

import CShims
import FastPathHost
import MirrorProgram
import Testing

@Suite struct PlanTests {
    static func links(_ kind: String = "veth") -> LinkTable {
        var bytes = NetlinkTests.link
        if kind != "veth" { bytes.replaceSubrange(76..<80, with: kind.utf8.prefix(4)) }
        var table = LinkTable()
        for message in NetlinkMessage.parse(bytes[...]) { table.apply(message) }
        return table
    }

    static func tap(_ id: String, _ direction: MirrorProgram.Direction, _ destinations: [String] = ["d"])
        -> MirrorProgram.Tap
    {
        MirrorProgram.Tap(id: id, port: "p", direction: direction, destinations: destinations)
    }

    @Test func inOfAPeerIsEgress() {
        let port = MirrorProgram.Port(id: "p", interface: "v0")
        let plan = PortPlan(port, slot: 3, taps: [Self.tap("t", .in)], links: Self.links())
        #expect(plan.side == .peer)
        #expect(plan.hooks == [HookPlace(point: CapturePoint(slot: 3, direction: 0), interface: 7, ingress: false)])
    }

    @Test func inOfANICIsIngress() {
        let port = MirrorProgram.Port(id: "p", interface: "v0")
        let plan = PortPlan(port, slot: 3, taps: [Self.tap("t", .both)], links: Self.links("bond"))
        #expect(plan.side == .`self`)
        #expect(
            plan.hooks == [
                HookPlace(point: CapturePoint(slot: 3, direction: 0), interface: 7, ingress: true),
                HookPlace(point: CapturePoint(slot: 3, direction: 1), interface: 7, ingress: false),
            ])
    }

    @Test func anotherMACCapturesNothing() {
        let port = MirrorProgram.Port(id: "p", interface: "v0", mac: MACAddress("52:54:00:01:02:04"))
        let plan = PortPlan(port, slot: 0, taps: [Self.tap("t", .both)], links: Self.links())
        #expect(plan.hooks.isEmpty && plan.link == nil)
        #expect(plan.down == "v0 has the MAC address 52:54:00:01:02:03, not 52:54:00:01:02:04")
    }

    @Test func whatIsNotServedIsRefusedWhateverIsThere() {
        let refused: [(MirrorProgram.Port, String)] = [
            (
                .init(id: "p", interface: "v0", netns: "blue"),
                "ports of other network namespaces are not served by this version"
            ),
        ]
        for (port, reason) in refused {
            let plan = PortPlan(port, slot: 0, taps: [Self.tap("t", .both)], links: Self.links())
            #expect(plan.error == reason && plan.down == nil && plan.link == nil && plan.hooks.isEmpty)
        }
    }

    @Test func aMissingInterfaceIsDown() {
        let plan = PortPlan(.init(id: "p", interface: "v9"), slot: 0, taps: [Self.tap("t", .both)], links: Self.links())
        #expect(plan.down == "there is no interface v9")
    }

    @Test func xdpIsForWhatIsReceived() {
        let port = MirrorProgram.Port(id: "p", interface: "v0", capture: .xdp, policy: .require)
        let plan = PortPlan(port, slot: 3, taps: [Self.tap("t", .both)], links: Self.links())
        #expect(plan.mode == .xdp && plan.refusal == nil)
        #expect(
            plan.hooks == [
                HookPlace(point: CapturePoint(slot: 3, direction: 0), interface: 7, ingress: false),
                HookPlace(point: CapturePoint(slot: 3, direction: 1), interface: 7, ingress: true, isXDP: true),
            ])
    }

    @Test(arguments: [false, true]) func xdpIsNotPreferredWhereItHarms(isVeth: Bool) {
        let port = MirrorProgram.Port(id: "p", interface: "v0", capture: .xdp)
        let plan = PortPlan(
            port, slot: 3, taps: [Self.tap("t", .both)], links: Self.links(isVeth ? "veth" : "bond"),
            defaultRoutes: isVeth ? [] : [7])
        #expect(plan.mode == .tap && plan.error == nil && plan.hooks.count == 2 && !plan.hooks.contains { $0.isXDP })
        #expect(plan.refusal?.contains(isVeth ? "is a veth" : "carries a default route") == true)
    }

    @Test func aSpanThatIsPreferredIsTappedWhereItReceives() {
        let port = MirrorProgram.Port(id: "p", interface: "v0", capture: .span, policy: .prefer)
        let plan = PortPlan(port, slot: 3, taps: [Self.tap("t", .both)], links: Self.links(), refused: "no")
        #expect(plan.mode == .tap && plan.refusal == "no")
        #expect(plan.hooks == [HookPlace(point: CapturePoint(slot: 3, direction: 0), interface: 7, ingress: true)])
    }

    @Test func bitsFollowTheTapsOfAPort() {
        let program = MirrorProgram(
            ports: [.init(id: "p", interface: "v0"), .init(id: "s", interface: "v1", capture: .span)],
            destinations: [.init(id: "d", target: .interface("m")), .init(id: "e", target: .interface("n"))],
            taps: [
                Self.tap("t0", .in), .init(id: "t1", port: "s", direction: .both, destinations: ["d"]),
                Self.tap("t2", .both, ["d", "e"]),
            ])
        let plan = CapturePlan(program, slots: ["p": 4, "s": 5])
        let into = CapturePoint(slot: 4, direction: 0), out = CapturePoint(slot: 4, direction: 1)
        #expect(plan.taps == [into: 0b11, out: 0b10])
        #expect(plan.losers[into]?.taps == ["t0", "t2"])
        #expect(plan.losers[out]?.destinations == ["d", "e"])
        #expect(plan.losers[CapturePoint(slot: 5, direction: 0)]?.taps == ["t1"])
        #expect(plan.losers[CapturePoint(slot: 5, direction: 1)] == nil)
    }

    @Test func sharesTheRingBudget() {
        #expect(CaptureRingSet.size(cpus: 1) == 16 << 20)
        #expect(CaptureRingSet.size(cpus: 2) == 16 << 20)
        #expect(CaptureRingSet.size(cpus: 6) == 4 << 20)
        #expect(CaptureRingSet.size(cpus: 256) == 2 << 20)
        #expect(CaptureRingSet.cpus(in: "0-2,8\n") == [0, 1, 2, 8])
        #expect(CaptureRingSet.cpus(in: "0\n") == [0])
    }
}
