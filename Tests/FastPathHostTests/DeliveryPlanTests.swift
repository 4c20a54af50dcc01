// What a delivery asks of the kernel: ports that are missing, down or no Ethernet, ways to peers, loops.

import CShims
import FastPathHost
import MirrorProgram
import Testing

@Suite struct DeliveryPlanTests {
    private static let peer = IPAddress("192.0.2.7")!, other = IPAddress("2001:db8::7")!
    private static let ethernet: UInt8 = 1, noneOfIt: UInt8 = 0xFE  // ARPHRD_ETHER, ARPHRD_NONE's low byte

    /// `v3`, the port, and `v7` and `v8`, which lead to peers.
    private static func links(
        flags: UInt8 = 1, carrier: UInt8 = 1, portType: UInt8 = ethernet, underlayType: UInt8 = ethernet
    ) -> LinkTable {
        var table = LinkTable()
        for index in [3, 7, 8] as [UInt8] {
            var bytes = NetlinkTests.link
            bytes[20] = index
            bytes[37] = 0x30 + index
            if index == 3 { (bytes[18], bytes[24], bytes[64]) = (portType, flags, carrier) }
            if index == 8 { bytes[18] = underlayType }
            for message in NetlinkMessage.parse(bytes[...]) { table.apply(message) }
        }
        return table
    }

    private static func plan(
        _ peers: [IPAddress] = [peer], _ ways: [IPAddress: Result<Int32, NextHopFailure>] = [peer: .success(7)],
        links: LinkTable = Self.links(), interface: String = "v3"
    ) -> DeliveryPlan {
        DeliveryPlan(.init(id: "d", peers: peers, tunnelID: 77, interface: interface), ways: ways, links: links)
    }

    @Test func aPortAndAWay() {
        let plan = Self.plan()
        #expect(plan.interface == 3 && plan.underlays == [7: "v7"])
        #expect(plan.down == nil && !plan.isError)
    }

    @Test func aPortThatCannotTakeFrames() {
        let missing = Self.plan(interface: "v9")
        #expect(missing.interface == nil && missing.down == "there is no interface v9" && !missing.isError)
        let down = Self.plan(links: Self.links(flags: 0))
        #expect(down.interface == nil && down.down == "v3 is down" && !down.isError)
        let bare = Self.plan(links: Self.links(carrier: 0))
        #expect(bare.interface == nil && bare.down == "v3 has no carrier" && !bare.isError)
        // Their packets are still ours to drop and to count.
        for plan in [missing, down, bare] { #expect(plan.underlays == [7: "v7"]) }
        let tun = Self.plan(links: Self.links(portType: Self.noneOfIt))
        #expect(tun.interface == nil && tun.down == "v3 is not an Ethernet interface" && tun.isError)
    }

    @Test func everyPeerHasItsWay() {
        let peers = [Self.peer, Self.other]
        let both = Self.plan(peers, [Self.peer: .success(7), Self.other: .success(8)])
        #expect(both.underlays == [7: "v7", 8: "v8"] && both.down == nil)
        let same = Self.plan(peers, [Self.peer: .success(7), Self.other: .success(7)])
        #expect(same.underlays == [7: "v7"] && same.down == nil)
        let failure = NextHopFailure(.noRoute, "there is no route to 2001:db8::7")
        let one = Self.plan(peers, [Self.peer: .success(7), Self.other: .failure(failure)])
        #expect(one.underlays == [7: "v7"] && one.interface == 3 && !one.isError)
        #expect(one.down == "there is no route to 2001:db8::7")
        // An interface that has gone between two looks leads nowhere.
        #expect(Self.plan([Self.peer], [Self.peer: .success(99)]).underlays.isEmpty)
    }

    @Test func whatCannotWorkIsAnError() {
        let loop = Self.plan([Self.peer], [Self.peer: .success(3)])
        #expect(loop.isError && loop.interface == nil && loop.underlays.isEmpty)
        #expect(loop.down == "peer 192.0.2.7 is behind v3, where its copies would be delivered: that is a loop")
        let tunnel = Self.plan([Self.peer], [Self.peer: .success(8)], links: Self.links(underlayType: Self.noneOfIt))
        #expect(tunnel.isError && tunnel.underlays.isEmpty)
        #expect(tunnel.down == "v8, which leads to peer 192.0.2.7, is not an Ethernet interface")
    }

    @Test func aKeyForEachPeer() {
        let delivery = MirrorProgram.Delivery(
            id: "d", peers: [Self.peer, Self.other], encapsulation: .geneve, tunnelID: 77, udpPort: 6082,
            interface: "v3")
        let keys = DeliveryPlan(delivery, ways: [:], links: Self.links()).keys
        let anywhere = [IPAddress("0.0.0.0")!, IPAddress("::")!]
        #expect(
            keys
                == zip(delivery.peers, anywhere).map {
                    TunnelKey(source: $0, remote: $1, encapsulation: .geneve, tunnelID: 77, udpPort: 6082)
                })
        #expect(Set(keys).count == 2)
    }
}
