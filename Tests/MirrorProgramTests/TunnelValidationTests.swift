// What of tunnels, spreads, deliveries and taps' actions is refused, and in which words.

import MirrorProgram
import Testing

@Suite("Tunnels, spreads, deliveries and actions that cannot be run are refused")
struct TunnelValidationTests {
    private typealias Destination = MirrorProgram.Destination
    private typealias Tap = MirrorProgram.Tap
    private typealias Delivery = MirrorProgram.Delivery
    private static let v4 = IPAddress("192.0.2.9")!
    private static let v6 = IPAddress("2001:db8::9")!

    private func refusal(
        _ destinations: [Destination] = [], taps: [Tap] = [], deliveries: [Delivery] = []
    ) -> String? {
        do throws(ProgramError) {
            try MirrorProgram(
                ports: [.init(id: "web", interface: "veth0")], destinations: destinations, taps: taps,
                deliveries: deliveries
            ).validate()
            return nil
        } catch {
            return error.description
        }
    }

    private func refusal(
        _ encapsulation: MirrorProgram.Encapsulation, id: UInt32 = 1, to remote: IPAddress = v4,
        _ change: (inout MirrorProgram.Tunnel) -> Void = { _ in }
    ) -> String? {
        var tunnel = MirrorProgram.Tunnel(remote: remote, encapsulation: encapsulation, tunnelID: id)
        change(&tunnel)
        return refusal([.init(id: "d", target: .tunnel(tunnel))])
    }

    @Test(
        "each encapsulation has a largest tunnel id",
        arguments: [
            (.vxlan, 0xFF_FFFF, "a VNI"), (.geneve, 0xFF_FFFF, "a VNI"), (.erspan2, 0x3FF, "an ERSPAN session id"),
            (.erspan3, 0x3FF, "an ERSPAN session id"),
        ] as [(MirrorProgram.Encapsulation, UInt32, String)])
    func tunnelIDs(encapsulation: MirrorProgram.Encapsulation, largest: UInt32, name: String) {
        #expect(refusal(encapsulation, id: largest) == nil)
        #expect(
            refusal(encapsulation, id: largest + 1)
                == "destination 'd': tunnel_id \(largest + 1) is not \(name), 0 to \(largest)")
        #expect(refusal(.gre, id: .max) == nil)
    }

    @Test("source and remote are of one IP version, and remotes are unicast")
    func versions() {
        #expect(refusal(.geneve, to: Self.v6) { $0.source = IPAddress("2001:db8::1") } == nil)
        #expect(
            refusal(.geneve, to: Self.v6) { $0.source = IPAddress("192.0.2.1") }
                == "destination 'd': source 192.0.2.1 and remote 2001:db8::9 are of different IP versions")
        #expect(
            refusal(.gre, to: IPAddress("ff02::1")!)
                == "destination 'd': remote ff02::1 is a multicast address; name a unicast address")
    }

    @Test("the fields of the outer header have their ranges")
    func fields() {
        #expect(refusal(.vxlan) { $0.dscp = 64 } == "destination 'd': dscp 64 is not a code point, 0 to 63")
        #expect(refusal(.vxlan) { $0.timeToLive = 0 } == "destination 'd': ttl 0 would go nowhere; use 1 to 255")
        #expect(refusal(.vxlan) { $0.vlan = 0 } == "destination 'd': vlan 0 is not a VLAN id, 1 to 4094")
        #expect(refusal(.vxlan) { $0.vlan = 4095 } == "destination 'd': vlan 4095 is not a VLAN id, 1 to 4094")
        #expect(refusal(.vxlan) { $0.sourcePorts = 0...9 } == "destination 'd': source_ports begin at 1")
        #expect(refusal(.geneve) { $0.udpPort = 0 } == "destination 'd': udp_port 0 cannot be sent to; use 1 to 65535")
        #expect(
            refusal(.vxlan) {
                $0.dscp = 63
                $0.timeToLive = 255
                $0.vlan = 4094
                $0.sourcePorts = 1...1
            } == nil)
    }

    @Test("a spread has members that are there and are none themselves")
    func spreads() {
        let one = Destination(id: "a", target: .interface("veth1"))
        let spread = { (ids: [String]) in Destination(id: "s", target: .spread(ids)) }
        #expect(refusal([one, spread(["a"])]) == nil)
        #expect(refusal([spread([])]) == "destination 's' spreads over nothing; name at least one destination")
        #expect(refusal([spread(["b"])]) == "destination 's' names destination 'b', which the program does not have")
        #expect(refusal([one, spread(["a", "a"])]) == "member of destination 's': 'a' is there twice; ids are unique")
        #expect(
            refusal([one, spread(["a", "t"]), Destination(id: "t", target: .spread(["a"]))])
                == "destination 's' spreads over 't', which is a spread itself; name its members")
        let back = Destination(id: "a", target: .interface("veth0"))
        #expect(
            refusal([back, spread(["a"])], taps: [Tap(id: "t", port: "web", direction: .both, destinations: ["s"])])
                == "tap 't' would send copies of 'veth0' back into it (destination 'a'): that is a loop")
    }

    private func refusal(_ change: (inout Tap) -> Void) -> String? {
        var tap = Tap(id: "t", port: "web", direction: .both, destinations: ["d"])
        change(&tap)
        return refusal([.init(id: "d", target: .interface("veth1"))], taps: [tap])
    }

    @Test("a tap's actions have their ranges")
    func actions() {
        for snaplen in [13, 65536] {
            #expect(refusal { $0.snaplen = snaplen } == "tap 't': snaplen \(snaplen) is not within 14 to 65535 bytes")
        }
        #expect(refusal { $0.snaplen = 14 } == nil && refusal { $0.snaplen = 65535 } == nil)
        for count: UInt32 in [0, 1_000_001] {
            #expect(
                refusal { $0.sampling = .init(oneIn: count) }
                    == "tap 't': sampling one_in \(count) is not within 1 to 1000000")
        }
        #expect(
            refusal { $0.rateLimit = .init() }
                == "tap 't': rate_limit sets neither bits_per_second nor frames_per_second")
        #expect(
            refusal { $0.rateLimit = .init(bitsPerSecond: 0) }
                == "tap 't': rate_limit bits_per_second 0 is not within 1 to 10^12")
        #expect(
            refusal { $0.rateLimit = .init(framesPerSecond: 1_000_000_000_001) }
                == "tap 't': rate_limit frames_per_second 1000000000001 is not within 1 to 10^12")
        #expect(refusal { $0.rateLimit = .init(bitsPerSecond: 1, framesPerSecond: 1_000_000_000_000) } == nil)
    }

    private static let take = MirrorProgram.FilterInstruction(code: 0x06, jumpTrue: 0, jumpFalse: 0, k: 1)

    private static func unstored(_ word: Int) -> String {
        "loads scratch word \(word), which is not stored on every way to it"
    }

    @Test(
        "a filter's code ends, jumps forward, and stays within its memory",
        arguments: [
            ([(0x08, 0, 0, 0)], "instruction 0 of the filter has the unknown code 8"),
            ([(0x05, 0, 0, 1)], "instruction 0 of the filter jumps behind the end"),
            ([(0x05, 0, 0, 0xFFFF_FFFF)], "instruction 0 of the filter jumps behind the end"),
            ([(0x15, 0, 1, 0)], "instruction 0 of the filter jumps behind the end"),
            ([(0x15, 1, 0, 0)], "instruction 0 of the filter jumps behind the end"),
            ([(0x15, 0, 0, 0), (0x34, 0, 0, 0)], "instruction 1 of the filter divides by 0"),
            ([(0x94, 0, 0, 0)], "instruction 0 of the filter divides by 0"),
            ([(0x64, 0, 0, 32)], "instruction 0 of the filter shifts by over 31"),
            ([(0x74, 0, 0, 32)], "instruction 0 of the filter shifts by over 31"),
            ([(0x02, 0, 0, 16)], "instruction 0 of the filter stores behind the scratch memory"),
            ([(0x03, 0, 0, 16)], "instruction 0 of the filter stores behind the scratch memory"),
            ([(0x60, 0, 0, 16)], "instruction 0 of the filter loads from behind the scratch memory"),
            ([(0x61, 0, 0, 16)], "instruction 0 of the filter loads from behind the scratch memory"),
            ([(0x60, 0, 0, 3)], "instruction 0 of the filter \(unstored(3))"),
            ([(0x02, 0, 0, 2), (0x61, 0, 0, 3)], "instruction 1 of the filter \(unstored(3))"),
            // One of two ways, and a way that ends before.
            ([(0x15, 0, 1, 0), (0x02, 0, 0, 3), (0x61, 0, 0, 3)], "instruction 2 of the filter \(unstored(3))"),
            ([(0x05, 0, 0, 1), (0x03, 0, 0, 3), (0x60, 0, 0, 3)], "instruction 2 of the filter \(unstored(3))"),
            ([(0x15, 0, 2, 0), (0x03, 0, 0, 3), (0x05, 0, 0, 1), (0x02, 0, 0, 3), (0x61, 0, 0, 3)], nil),
            (
                [(0x15, 0, 1, 0), (0x06, 0, 0, 0), (0x02, 0, 0, 3), (0x15, 1, 0, 0), (0x06, 0, 0, 0), (0x60, 0, 0, 3)],
                nil
            ),
            ([(0x15, 0, 0, 0), (0x02, 0, 0, 15), (0x60, 0, 0, 15), (0x64, 0, 0, 31), (0x34, 0, 0, 1)], nil),
        ] as [([(UInt16, UInt8, UInt8, UInt32)], String?)])
    func filterCode(rows: [(UInt16, UInt8, UInt8, UInt32)], fault: String?) {
        let code = rows.map { MirrorProgram.FilterInstruction(code: $0.0, jumpTrue: $0.1, jumpFalse: $0.2, k: $0.3) }
        #expect(
            refusal { $0.filter = .init(expression: "x", code: code + [Self.take]) } == fault.map { "tap 't': \($0)" })
    }

    @Test("a filter has bounds, and ends with a return")
    func filterBounds() {
        #expect(
            refusal { $0.filter = .init(expression: String(repeating: "x", count: 4097)) }
                == "tap 't': column 1: the filter has 4097 bytes; 4096 is the limit")
        #expect(
            refusal { $0.filter = .init(expression: "x", code: Array(repeating: Self.take, count: 4097)) }
                == "tap 't': the filter has 4097 instructions; 4096 is the limit")
        let load = MirrorProgram.FilterInstruction(code: 0x28, jumpTrue: 0, jumpFalse: 0, k: 12)
        #expect(
            refusal { $0.filter = .init(expression: "x", code: [load]) }
                == "tap 't': the filter does not end with a return")
    }

    private func delivery(
        _ id: String = "b", from peers: [IPAddress] = [v4], local: IPAddress? = nil, tunnelID: UInt32 = 1,
        port: UInt16? = nil, to interface: String = "veth1"
    ) -> Delivery {
        Delivery(id: id, peers: peers, local: local, tunnelID: tunnelID, udpPort: port, interface: interface)
    }

    @Test("a delivery has peers, an id and a port, and nobody else has the same")
    func deliveries() {
        #expect(refusal(deliveries: [delivery(), delivery("c", tunnelID: 2), delivery("d", port: 4790)]) == nil)
        #expect(refusal(deliveries: [delivery("")]) == "a delivery has an empty id")
        #expect(refusal(deliveries: [delivery(), delivery()]) == "delivery 'b' is there twice; ids are unique")
        #expect(refusal(deliveries: [delivery(from: [])]) == "delivery 'b' accepts no peer; name at least one")
        #expect(
            refusal(deliveries: [delivery(from: [IPAddress("127.0.0.1")!])])
                == "delivery 'b': peer 127.0.0.1 is a loopback address; name a unicast address")
        #expect(
            refusal(deliveries: [delivery(from: [Self.v6], local: Self.v4)])
                == "delivery 'b': local 192.0.2.9 and peer 2001:db8::9 are of different IP versions")
        #expect(
            refusal(deliveries: [delivery(tunnelID: 0x100_0000)])
                == "delivery 'b': tunnel_id 16777216 is not a VNI, 0 to 16777215")
        #expect(
            refusal(deliveries: [delivery(port: 0)]) == "delivery 'b': udp_port 0 cannot be sent to; use 1 to 65535")
        #expect(
            refusal(deliveries: [delivery(), delivery("c")])
                == "delivery 'c' accepts peer 192.0.2.9 with tunnel_id 1, as delivery 'b' does; one of them is enough")
        #expect(
            refusal(deliveries: [delivery(to: "hs-x")])
                == "delivery 'b': interfaces whose names begin with 'hs-' are Heliostat's own")
        let many = (0..<4097).map { delivery("d\($0)", tunnelID: UInt32($0)) }
        #expect(refusal(deliveries: Array(many.dropLast())) == nil)
        #expect(
            refusal(deliveries: many) == "the program accepts 4097 peers and ids; one dataplane serves 4096 at most")
    }
}
