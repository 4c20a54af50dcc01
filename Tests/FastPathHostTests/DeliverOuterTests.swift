// Outer headers of every form in front of deliver.bpf.c in a real kernel: tags, IPv4 options, other addresses of this
// host. Packets and bench are those of DeliverTests.swift.

import CShims
import FastPathHost
import Glibc
import MirrorProgram
import Testing

@Suite(.enabled(if: isRoot, Comment(rawValue: needsRoot)), .serialized)
struct DeliverOuterTests {
    private typealias Packets = DeliverTests

    private static func tagged(_ packet: [UInt8], _ type: Int, _ control: Int) -> [UInt8] {
        packet[..<12] + big16(type) + big16(control) + packet[12...]
    }

    /// The kernel takes the first tag out before the program sees the packet; a second one is no peer's.
    @Test(arguments: MirrorProgram.Encapsulation.allCases, [false, true])
    func oneOuterTagIsRead(_ encapsulation: MirrorProgram.Encapsulation, v6: Bool) throws {
        try inNamespace {
            let bench = try Packets.Bench([Packets.delivery(encapsulation, v6: v6)])
            for (number, length) in [14, 60, 1400].enumerated() {
                let frame = Packets.frame(length)
                let (proto, bytes) = Packets.tunnel(encapsulation, id: 77, frame, number: number)
                let packet = v6 ? Packets.ipv6(proto, bytes) : Packets.ipv4(proto, bytes)
                for type in [0x8100, 0x88A8] {
                    try CaptureTests.send(Self.tagged(packet, type, 0xA064), "v1")
                    #expect(bench.receive() == frame, "\(length) bytes behind \(type)")
                }
                try CaptureTests.send(Self.tagged(Self.tagged(packet, 0x8100, 100), 0x88A8, 7), "v1")
            }
            #expect(bench.receive() == nil, "behind two tags")
            #expect(bench.statistics().frames == 6)
            #expect(bench.statistics().drops.values.allSatisfy { $0 == 0 })
        }
    }

    /// Tags of the inner frame are cut off and pushed again: they are what they were, from none to three of them.
    @Test(arguments: MirrorProgram.Encapsulation.allCases, [false, true])
    func innerTagsStay(_ encapsulation: MirrorProgram.Encapsulation, v6: Bool) throws {
        try inNamespace {
            let bench = try Packets.Bench([Packets.delivery(encapsulation, v6: v6)])
            let tags = [(0x88A8, 0xF007), (0x8100, 0xA064), (0x8100, 0x0FFE)]
            for count in 1...3 {
                for length in [14, 15, 40, 60, 1400] {
                    let frame = tags.suffix(count).reversed().reduce(Packets.frame(length)) {
                        Self.tagged($0, $1.0, $1.1)
                    }
                    let (proto, bytes) = Packets.tunnel(encapsulation, id: 77, frame, number: count)
                    try CaptureTests.send(v6 ? Packets.ipv6(proto, bytes) : Packets.ipv4(proto, bytes), "v1")
                    #expect(bench.receive() == frame, "\(length) bytes behind \(count) tags")
                }
            }
            #expect(bench.statistics().frames == 15)
            #expect(bench.statistics().drops.values.allSatisfy { $0 == 0 })
        }
    }

    @Test(arguments: MirrorProgram.Encapsulation.allCases)
    func optionsOfIPv4ArePassedOver(_ encapsulation: MirrorProgram.Encapsulation) throws {
        try inNamespace {
            let bench = try Packets.Bench([Packets.delivery(encapsulation)])
            for words in 1...10 {
                let frame = Packets.frame(60 + words)
                let (proto, bytes) = Packets.tunnel(encapsulation, id: 77, frame, number: words)
                let options = [UInt8](repeating: 1, count: words * 4 - 1) + [0]
                try CaptureTests.send(Packets.ipv4(proto, bytes, options: options), "v1")
                #expect(bench.receive() == frame, "\(words) words")
            }
            #expect(bench.statistics().frames == 10)
            #expect(bench.statistics().drops.values.allSatisfy { $0 == 0 })
        }
    }

    /// What goes to another address of this host belongs to somebody else: the kernel gets it as it came.
    @Test(arguments: [false, true]) func aForeignLocalAddressIsLeftAlone(v6: Bool) throws {
        try inNamespace {
            var delivery = Packets.delivery(.vxlan, v6: v6)
            delivery.local = IPAddress(v6 ? "2001:db8::1" : "192.0.2.1")!
            let bench = try Packets.Bench([delivery])
            try ip("link set v0 address 02:00:00:00:00:01")
            try ip(v6 ? "address add 2001:db8::2/64 dev v0 nodad" : "address add 192.0.2.2/24 dev v0")
            let raw = socket(v6 ? AF_INET6 : AF_INET, Int32(SOCK_RAW.rawValue), 17)
            defer { close(raw) }
            var limit = timeval(tv_sec: 0, tv_usec: 100_000)
            setsockopt(raw, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
            let bytes = Packets.tunnel(.vxlan, id: 77, Packets.frame(60)).bytes
            var room = [UInt8](repeating: 0, count: 2000)
            var count = -1
            // The kernel finishes an IPv6 address in a work queue (addrconf_dad_work): until then it drops what goes there.
            for _ in 1...50 where count < 0 {
                try CaptureTests.send(
                    v6 ? Packets.ipv6(17, bytes, to: "2001:db8::2") : Packets.ipv4(17, bytes, to: [192, 0, 2, 2]), "v1")
                count = recv(raw, &room, room.count, 0)
            }
            // A raw socket of IPv4 hands out the IP header too.
            #expect(Array(room.prefix(max(0, count)).dropFirst(v6 ? 0 : 20)) == bytes, "the whole datagram")
            #expect(bench.receive() == nil)
            try CaptureTests.send(v6 ? Packets.ipv6(17, bytes) : Packets.ipv4(17, bytes), "v1")
            #expect(bench.receive() == Packets.frame(60))
            #expect(bench.statistics().frames == 1)
            #expect(bench.statistics().drops.values.allSatisfy { $0 == 0 })
        }
    }
}
