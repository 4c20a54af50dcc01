// rtnetlink: literal messages, cut and corrupted ones, and next hops asked of a real kernel.

import CShims
import FastPathHost
import MirrorProgram
import Testing

@Suite struct NetlinkTests {
    /// RTM_NEWLINK for interface 7, "v0", 1500 bytes, up, Ethernet, of kind veth.
    static let link: [UInt8] = [
        84, 0, 0, 0, 16, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0,  // length, RTM_NEWLINK, flags, sequence, port
        0, 0, 1, 0, 7, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0,  // AF_UNSPEC, ARPHRD_ETHER, index, IFF_UP | IFF_LOWER_UP
        7, 0, 3, 0, 0x76, 0x30, 0, 0,  // IFLA_IFNAME "v0"
        8, 0, 4, 0, 0xDC, 5, 0, 0,  // IFLA_MTU 1500
        10, 0, 1, 0, 0x52, 0x54, 0, 1, 2, 3, 0, 0,  // IFLA_ADDRESS
        5, 0, 33, 0, 1, 0, 0, 0,  // IFLA_CARRIER
        16, 0, 18, 0, 9, 0, 1, 0, 0x76, 0x65, 0x74, 0x68, 0, 0, 0, 0,  // IFLA_LINKINFO { IFLA_INFO_KIND "veth" }
    ]

    @Test func readsALink() throws {
        let message = try #require(NetlinkMessage.parse(Self.link[...]).first)
        let link = try #require(Link(message))
        #expect(link.index == 7 && link.name == "v0" && link.mtu == 1500 && link.kind == "veth")
        #expect(link.mac == MACAddress("52:54:00:01:02:03"))
        #expect(link.carries && link.isEthernet && link.side == .peer)
    }

    /// The same with IFLA_LINKINFO { kind "vxlan", data { id 77, group 198.18.8.9, port 4789 } } in the place of veth's.
    static let vxlan: [UInt8] = {
        var bytes = Array(link.dropLast(16))
        bytes += [44, 0, 18, 0]
        bytes += [10, 0, 1, 0, 0x76, 0x78, 0x6C, 0x61, 0x6E, 0, 0, 0]
        bytes += [28, 0, 2, 0, 8, 0, 1, 0, 77, 0, 0, 0, 8, 0, 2, 0, 198, 18, 8, 9, 6, 0, 15, 0, 0x12, 0xB5, 0, 0]
        bytes[0] = UInt8(bytes.count)
        return bytes
    }()

    @Test func readsWhatAGeneveDeviceTakes() throws {
        func device(_ data: [UInt8]) throws -> TunnelDevice? {
            // { IFLA_INFO_KIND "geneve", IFLA_INFO_DATA { IFLA_GENEVE_PORT 6081, ... } }
            let data: [UInt8] = [6, 0, 5, 0, 0x17, 0xC1, 0, 0] + data
            let info: [UInt8] =
                [11, 0, 1, 0, 0x67, 0x65, 0x6E, 0x65, 0x76, 0x65, 0, 0] + [UInt8(4 + data.count), 0, 2, 0] + data
            var bytes = Array(Self.link.dropLast(16)) + [UInt8(4 + info.count), 0, 18, 0] + info
            bytes[0] = UInt8(bytes.count)
            let message = try #require(NetlinkMessage.parse(bytes[...]).first)
            return Link(message)?.tunnel
        }
        let remote = [20, 0, 7, 0] + IPv6Address("2001:db8::9")!.octets  // IFLA_GENEVE_REMOTE6
        #expect(
            try device([8, 0, 1, 0, 9, 0, 0, 0] + remote)
                == TunnelDevice(.geneve, udpPort: 6081, tunnelID: 9, isIPv6: true))
        // IFLA_GENEVE_COLLECT_METADATA, a flag.
        #expect(try device([4, 0, 6, 0]) == TunnelDevice(.geneve, udpPort: 6081, tunnelID: nil))
        #expect(try device([]) == nil)
    }

    @Test func readsWhatAVXLANDeviceTakes() throws {
        let message = try #require(NetlinkMessage.parse(Self.vxlan[...]).first)
        let link = try #require(Link(message))
        #expect(link.tunnel == TunnelDevice(.vxlan, udpPort: 4789, tunnelID: 77, isIPv6: false))
        // Moved here from another namespace, where it still listens: IFLA_LINK_NETNSID.
        var moved = Self.vxlan + [8, 0, 37, 0, 0, 0, 0, 0]
        moved[0] = UInt8(moved.count)
        let other = try #require(NetlinkMessage.parse(moved[...]).first)
        #expect(Link(other)?.tunnel == nil)
    }

    @Test func rivalsAreDevicesOfTheSameTunnel() throws {
        var table = LinkTable()
        for message in NetlinkMessage.parse(Self.vxlan[...]) { table.apply(message) }
        func rival(_ encapsulation: MirrorProgram.Encapsulation, _ port: UInt16, _ id: UInt32, v6: Bool = false)
            -> String?
        { table.rival(encapsulation, udpPort: port, tunnelID: id, isIPv6: v6)?.name }
        #expect(rival(.vxlan, 4789, 77) == "v0")
        #expect(rival(.vxlan, 4790, 77) == nil && rival(.vxlan, 4789, 78) == nil && rival(.geneve, 4789, 77) == nil)
        #expect(rival(.vxlan, 4789, 77, v6: true) == nil)
        var down = Self.vxlan
        down[24] = 0
        for message in NetlinkMessage.parse(down[...]) { table.apply(message) }
        #expect(rival(.vxlan, 4789, 77) == nil)
        for message in NetlinkMessage.parse(Self.vxlan[...]) { table.apply(message) }
        #expect(rival(.vxlan, 4789, 77) == "v0")
        var gone = Self.vxlan
        gone[4] = 17  // RTM_DELLINK
        for message in NetlinkMessage.parse(gone[...]) { table.apply(message) }
        #expect(rival(.vxlan, 4789, 77) == nil)
    }

    @Test(.enabled(if: isRoot, Comment(rawValue: needsRoot))) func knowsTheKernelsTunnelDevices() throws {
        try inNamespace {
            try ip("link add x4 type vxlan id 1 remote 192.0.2.9 dstport 4789")
            try ip("link add x6 type vxlan id 1 local 2001:db8::1 dstport 4790")
            try ip("link add xa type vxlan dstport 8472 external")
            try ip("link add xn type vxlan id 5 dstport 4791")
            for name in ["x4", "x6", "xa", "xn"] { try ip("link set \(name) up") }
            var links = LinkTable()
            try links.reload(NetlinkSocket())
            #expect(links["x4"]?.tunnel == TunnelDevice(.vxlan, udpPort: 4789, tunnelID: 1, isIPv6: false))
            #expect(links["x6"]?.tunnel == TunnelDevice(.vxlan, udpPort: 4790, tunnelID: 1, isIPv6: true))
            #expect(links["xa"]?.tunnel == TunnelDevice(.vxlan, udpPort: 8472, tunnelID: nil))
            #expect(links["xn"]?.tunnel == TunnelDevice(.vxlan, udpPort: 4791, tunnelID: 5))
            #expect(links.rival(.vxlan, udpPort: 8472, tunnelID: 4242, isIPv6: true)?.name == "xa")
            #expect(links.rival(.vxlan, udpPort: 4791, tunnelID: 5, isIPv6: true)?.name == "xn")
        }
    }

    @Test func survivesEveryCut() {
        for length in 0..<Self.link.count {
            for message in NetlinkMessage.parse(Self.link[..<length]) { _ = Link(message) }
        }
        for at in Self.link.indices {
            var bytes = Self.link
            bytes[at] = 0xFF
            for message in NetlinkMessage.parse(bytes[...]) { _ = Link(message) }
        }
    }

    @Test func leavesBridgePortsAlone() {
        var bytes = Self.link
        bytes[16] = 7  // AF_BRIDGE
        var table = LinkTable()
        for message in NetlinkMessage.parse(Self.link[...]) { table.apply(message) }
        bytes[4] = 17  // RTM_DELLINK
        for message in NetlinkMessage.parse(bytes[...]) { table.apply(message) }
        #expect(table["v0"]?.index == 7)
    }

    @Test func followsARename() throws {
        var table = LinkTable()
        for message in NetlinkMessage.parse(Self.link[...]) { table.apply(message) }
        var bytes = Self.link
        bytes[37] = 0x31
        for message in NetlinkMessage.parse(bytes[...]) { table.apply(message) }
        #expect(table["v0"] == nil && table["v1"]?.index == 7)
    }

    @Test func writesARequest() {
        var request = NetlinkRequest(type: 26, flags: 4, header: UInt32(0x0403_0201))
        request.append(1, [192, 0, 2])
        #expect(
            request.bytes == [
                28, 0, 0, 0, 26, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 7, 0, 1, 0, 192, 0, 2, 0,
            ])
    }

    @Test(.enabled(if: isRoot, Comment(rawValue: needsRoot))) func resolvesNextHops() throws {
        try inNamespace {
            try ip("link add up0 type veth peer name far0")
            try ip("addr add 192.0.2.1/24 dev up0")
            try ip("link set up0 up mtu 1400")
            try ip("route add 198.51.100.0/24 via 192.0.2.254 mtu 1300")
            try ip("route add blackhole 203.0.113.0/24")
            try ip("neigh add 192.0.2.254 lladdr 02:00:00:00:00:fe dev up0")
            let socket = try NetlinkSocket()
            let resolver = NextHopResolver(socket)
            var links = LinkTable()
            try links.reload(socket)
            let far = IPAddress("198.51.100.9")!
            #expect(throws: NextHopFailure.self) { try resolver.resolve(far, links) }  // no carrier
            try ip("link set far0 up")
            #expect(
                try eventually {
                    try links.reload(socket); return links["up0"]!.hasCarrier
                })
            let hop = try resolver.resolve(far, links)
            #expect(hop.mac == MACAddress("02:00:00:00:00:fe") && hop.source == IPAddress("192.0.2.1"))
            #expect(hop.mtu == 1300 && hop.sourceMAC == links["up0"]!.mac)
            func failure(_ remote: String) -> NextHopFailure? {
                do throws(NextHopFailure) {
                    _ = try resolver.resolve(IPAddress(remote)!, links)
                    return nil
                } catch {
                    return error
                }
            }
            #expect(failure("203.0.113.1")?.drop == .noRoute)
            #expect(failure("8.8.8.8")?.drop == .noRoute)
            #expect(failure("192.0.2.1")?.isError == true)
            #expect(failure("192.0.2.77")?.drop == .neighbourUnresolved)
            // The sender's address may be chosen among this host's.
            try ip("addr add 192.0.2.2/24 dev up0")
            #expect(
                try resolver.resolve(Way(to: far, from: IPAddress("192.0.2.2")), links).source
                    == IPAddress("192.0.2.2"))
            let stranger = failure(Way(to: far, from: IPAddress("192.0.2.3")))
            #expect(stranger?.isError == true && stranger!.reason.contains("not an address of this host"))
            #expect(failure(Way(to: far, from: IPAddress("127.0.0.1")))?.isError == true)
            func failure(_ way: Way) -> NextHopFailure? {
                do throws(NextHopFailure) {
                    _ = try resolver.resolve(way, links)
                    return nil
                } catch {
                    return error
                }
            }
        }
    }

    @Test(.enabled(if: isRoot, Comment(rawValue: needsRoot))) func resolvesNextHopsOverIPv6() throws {
        try inNamespace {
            try ip("link add up0 type veth peer name far0")
            try ip("link set far0 up")
            try ip("link set up0 up mtu 1400")
            try ip("addr add 2001:db8::1/64 dev up0 nodad")
            try ip("addr add 2001:db8::2/64 dev up0 nodad")
            try ip("addr add 192.0.2.1/24 dev up0")
            // A gateway by its link-local address, as routers advertise themselves.
            try ip("route add 2001:db8:1::/48 via fe80::fe dev up0 src 2001:db8::1 mtu 1300")
            try ip("route add 198.51.100.0/24 via inet6 fe80::fe dev up0")
            try ip("-6 route add blackhole 2001:db8:2::/48")
            try ip("-6 route add unreachable 2001:db8:3::/48")
            try ip("neigh add fe80::fe lladdr 02:00:00:00:00:fe dev up0")
            try ip("neigh add 2001:db8::9 lladdr 02:00:00:00:00:09 dev up0")
            let socket = try NetlinkSocket()
            let resolver = NextHopResolver(socket)
            var links = LinkTable()
            #expect(
                try eventually {
                    try links.reload(socket); return links["up0"]!.hasCarrier
                })
            let hop = try resolver.resolve(IPAddress("2001:db8:1::9")!, links)
            #expect(hop.mac == MACAddress("02:00:00:00:00:fe") && hop.source == IPAddress("2001:db8::1"))
            #expect(hop.mtu == 1300 && hop.interface == links["up0"]!.index)
            let near = try resolver.resolve(
                Way(to: IPAddress("2001:db8::9")!, from: IPAddress("2001:db8::2")), links)
            #expect(near.mac == MACAddress("02:00:00:00:00:09") && near.source == IPAddress("2001:db8::2"))
            #expect(near.mtu == 1400)
            let mixed = try resolver.resolve(IPAddress("198.51.100.9")!, links)
            #expect(mixed.mac == MACAddress("02:00:00:00:00:fe") && mixed.source == IPAddress("192.0.2.1"))
            func failure(_ remote: String, from source: String? = nil) -> NextHopFailure? {
                do throws(NextHopFailure) {
                    _ = try resolver.resolve(Way(to: IPAddress(remote)!, from: source.flatMap { IPAddress($0) }), links)
                    return nil
                } catch {
                    return error
                }
            }
            #expect(failure("2001:db8:2::1")?.reason.contains("blackhole") == true)
            #expect(failure("2001:db8:3::1")?.reason.contains("unreachable") == true)
            #expect(failure("2620:fe::9")?.drop == .noRoute)
            #expect(failure("2001:db8::1")?.isError == true)
            #expect(failure("2001:db8::9", from: "2001:db8::3")?.isError == true)
            let silent = failure("2001:db8::77")
            #expect(silent?.drop == .neighbourUnresolved && silent!.reason.contains("neighbour solicitations"))
        }
    }
}
