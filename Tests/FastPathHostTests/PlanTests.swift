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

    static func view(_ links: LinkTable) -> NamespaceView { NamespaceView(links: links) }

    static func tap(_ id: String, _ direction: MirrorProgram.Direction, _ destinations: [String] = ["d"])
        -> MirrorProgram.Tap
    {
        MirrorProgram.Tap(id: id, port: "p", direction: direction, destinations: destinations)
    }

    @Test func inOfAPeerIsEgress() {
        let port = MirrorProgram.Port(id: "p", interface: "v0")
        let plan = PortPlan(port, slot: 3, taps: [Self.tap("t", .in)], Self.view(Self.links()))
        #expect(plan.side == .peer)
        #expect(plan.hooks == [HookPlace(point: CapturePoint(slot: 3, direction: 0), interface: 7, ingress: false)])
    }

    @Test func inOfANICIsIngress() {
        let port = MirrorProgram.Port(id: "p", interface: "v0")
        let plan = PortPlan(port, slot: 3, taps: [Self.tap("t", .both)], Self.view(Self.links("bond")))
        #expect(plan.side == .`self`)
        #expect(
            plan.hooks == [
                HookPlace(point: CapturePoint(slot: 3, direction: 0), interface: 7, ingress: true),
                HookPlace(point: CapturePoint(slot: 3, direction: 1), interface: 7, ingress: false),
            ])
    }

    @Test func anotherMACCapturesNothing() {
        let port = MirrorProgram.Port(id: "p", interface: "v0", mac: MACAddress("52:54:00:01:02:04"))
        let plan = PortPlan(port, slot: 0, taps: [Self.tap("t", .both)], Self.view(Self.links()))
        #expect(plan.hooks.isEmpty && plan.link == nil)
        #expect(plan.down == "v0 has the MAC address 52:54:00:01:02:03, not 52:54:00:01:02:04")
    }

    /// Copies leave from the dataplane's own namespace: both ends of a veth in another one harm nobody.
    @Test func inAnotherNamespaceEveryModeIsServed() {
        for mode in [MirrorProgram.CaptureMode.xdp, .span, .inline] {
            let port = MirrorProgram.Port(
                id: "p", interface: "v0", netns: "blue", capture: mode, policy: .require,
                pair: mode == .inline ? "v1" : nil)
            let plan = PortPlan(port, slot: 3, taps: [Self.tap("t", .in)], Self.view(Self.pair(isUp: true)))
            #expect(plan.mode == mode && plan.error == nil && plan.down == nil && plan.link?.index == 7)
            #expect(plan.side == (mode == .inline ? .peer : .`self`) && plan.pair?.index == (mode == .inline ? 8 : nil))
            #expect(plan.hooks.map(\.isXDP) == (mode == .xdp ? [true] : []))
        }
    }

    @Test func aMissingInterfaceIsDown() {
        let plan = PortPlan(
            .init(id: "p", interface: "v9"), slot: 0, taps: [Self.tap("t", .both)], Self.view(Self.links()))
        #expect(plan.down == "there is no interface v9")
    }

    @Test func xdpIsForWhatIsReceived() {
        let port = MirrorProgram.Port(id: "p", interface: "v0", capture: .xdp, policy: .require)
        let plan = PortPlan(port, slot: 3, taps: [Self.tap("t", .both)], Self.view(Self.links()))
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
            port, slot: 3, taps: [Self.tap("t", .both)], Self.view(Self.links(isVeth ? "veth" : "bond")),
            defaultRoutes: isVeth ? [] : [7])
        #expect(plan.mode == .tap && plan.error == nil && plan.hooks.count == 2 && !plan.hooks.contains { $0.isXDP })
        #expect(plan.refusal?.contains(isVeth ? "is a veth" : "default route") == true)
    }

    /// A program that only passes, for a driver that sends without copying beside one alone.
    @Test(arguments: ["bond", "veth"]) func whereAnUplinkGetsAProgram(kind: String) {
        let link = Self.links(kind)["v0"]!
        func obstacle(claimed: Set<Int32> = [], defaultRoutes: Set<Int32> = []) -> String? {
            PassPlan.obstacle(link, claimed: claimed, defaultRoutes: defaultRoutes)
        }
        let own = obstacle(claimed: [8], defaultRoutes: [9])
        #expect(kind == "veth" ? own?.hasPrefix("v0 is a veth") == true : own == nil)
        #expect(obstacle(claimed: [7])?.contains("the XDP program of a port on v0") == true)
        #expect(obstacle(defaultRoutes: [7])?.contains(kind == "veth" ? "veth" : "default route") == true)
    }

    /// A copy that is sent to one end of a veth comes in at the other: there XDP would copy it again, without end.
    @Test(arguments: [MirrorProgram.CapturePolicy.require, .prefer])
    func xdpIsNotForAVethWithBothEndsHere(policy: MirrorProgram.CapturePolicy) {
        let port = MirrorProgram.Port(id: "p", interface: "v0", capture: .xdp, policy: policy)
        let plan = PortPlan(port, slot: 3, taps: [Self.tap("t", .both)], Self.view(Self.pair()))
        #expect((plan.error ?? plan.refusal)?.hasPrefix("v1, the other end of v0, is on this host too") == true)
        #expect(plan.hooks.count == (policy == .prefer ? 2 : 0) && !plan.hooks.contains { $0.isXDP })
    }

    /// v0 (7) and v1 (8), each other's end.
    private static func pair(isUp: Bool = false) -> LinkTable {
        var table = LinkTable()
        for (index, name, peer) in [(7, "v0", 8), (8, "v1", 7)] as [(Int32, String, Int32)] {
            table.apply(message(index, name, "veth", lower: peer, isUp: isUp))
        }
        return table
    }

    /// RTM_NEWLINK of an Ethernet interface.
    private static func message(
        _ index: Int32, _ name: String, _ kind: String, lower: Int32? = nil, master: Int32? = nil,
        isUp: Bool = false
    ) -> NetlinkMessage {
        var link = ifinfomsg()
        link.ifi_index = index
        link.ifi_type = UInt16(HS_ARPHRD_ETHER)
        if isUp { link.ifi_flags = UInt32(HS_IFF_UP) }
        var request = NetlinkRequest(type: Int(RTM_NEWLINK), flags: 0, header: link)
        request.append(Int(IFLA_IFNAME), Array(name.utf8) + [0])
        request.append(Int(IFLA_MTU), [0xDC, 5, 0, 0])
        for (type, value) in [(IFLA_LINK, lower), (IFLA_MASTER, master)] {
            if let value { request.append(Int(type), withUnsafeBytes(of: value) { Array($0) }) }
        }
        let length = UInt16(4 + kind.utf8.count)
        request.append(
            Int(IFLA_LINKINFO), [UInt8(length), 0, UInt8(IFLA_INFO_KIND), 0] + Array(kind.utf8))
        return NetlinkMessage.parse(request.bytes[...])[0]
    }

    /// A default route of a VLAN device on a bridge runs through the bridge's NIC, and not through a guest's tap device.
    @Test func whatADefaultRouteRunsThrough() {
        var table = LinkTable()
        table.apply(Self.message(2, "eth0", "", master: 5))
        table.apply(Self.message(3, "tap0", "tun", master: 5))
        table.apply(Self.message(4, "eth1", ""))
        table.apply(Self.message(5, "br0", "bridge"))
        table.apply(Self.message(6, "br0.7", "vlan", lower: 5))
        #expect(table.carriers(of: [6]) == [2, 5, 6])
        #expect(table.carriers(of: [4]) == [4] && table.carriers(of: []) == [])
    }

    @Test func aSpanThatIsPreferredIsTappedWhereItReceives() {
        let port = MirrorProgram.Port(id: "p", interface: "v0", capture: .span, policy: .prefer)
        let plan = PortPlan(port, slot: 3, taps: [Self.tap("t", .both)], Self.view(Self.links()), refused: "no")
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
        #expect(CaptureRingSet.size(rings: 1) == 16 << 20)
        #expect(CaptureRingSet.size(rings: 2) == 16 << 20)
        #expect(CaptureRingSet.size(rings: 6) == 4 << 20)
        #expect(CaptureRingSet.size(rings: 256) == 2 << 20)
        #expect(CaptureRingSet.cpus(in: "0-2,8\n") == [0, 1, 2, 8])
        #expect(CaptureRingSet.cpus(in: "0\n") == [0])
    }
}
