// deliver.bpf.c in a real kernel: packets as literal bytes into an underlay interface, inner frames out of a port.

import CShims
import FastPath
import FastPathHost
import Glibc
import MirrorProgram
import Testing

@Suite(.enabled(if: isRoot, Comment(rawValue: needsRoot)), .serialized)
struct DeliverTests {
    // MARK: Packets, written by hand

    static let inner: [UInt8] = [2, 0, 0, 0, 0, 0xB, 2, 0, 0, 0, 0, 0xA, 0x88, 0xB5]

    /// An inner frame of `length` bytes that says so.
    static func frame(_ length: Int) -> [UInt8] { inner + (14..<max(14, length)).map { UInt8($0 & 0xFF) } }

    /// VXLAN, GRE, ERSPAN or Geneve in front of a frame, with UDP where there is one.
    static func tunnel(
        _ encapsulation: MirrorProgram.Encapsulation, id: Int, _ frame: [UInt8], number: Int = 7
    ) -> (proto: UInt8, bytes: [UInt8]) {
        let erspan = big16(0x1000 | 0)  // flags: S
        switch encapsulation {
        case .vxlan: return (17, udp(4789, [8, 0, 0, 0] + big32(id << 8) + frame))
        case .geneve:  // one option of four bytes, not critical
            return (17, udp(6081, [2, 0, 0x65, 0x58] + big32(id << 8) + [0xFF, 0xF0, 1, 1, 0, 0, 0, 9] + frame))
        case .gre: return (47, big16(0x2000) + big16(0x6558) + big32(id) + frame)
        case .erspan2:
            return (47, erspan + big16(0x88BE) + big32(number) + big16(0x1000) + big16(id) + big32(0) + frame)
        case .erspan3:  // with the subheader
            return (
                47,
                erspan + big16(0x22EB) + big32(number) + big16(0x2000) + big16(id) + big32(5) + big16(0) + big16(1)
                    + [UInt8](repeating: 0, count: 8) + frame
            )
        }
    }

    static func udp(_ port: Int, _ payload: [UInt8]) -> [UInt8] {
        big16(50000) + big16(port) + big16(8 + payload.count) + big16(0) + payload
    }

    static func ipv4(
        _ proto: UInt8, _ payload: [UInt8], from peer: [UInt8] = [192, 0, 2, 7], to local: [UInt8] = [192, 0, 2, 1],
        options: [UInt8] = [], fragment: Int = 0
    ) -> [UInt8] {
        let length = 20 + options.count
        var header: [UInt8] =
            [0x40 | UInt8(length / 4), 0] + big16(length + payload.count) + big16(0) + big16(fragment)
            + [64, proto, 0, 0] + peer + local + options
        header.replaceSubrange(10..<12, with: big16(Int(internetChecksum(header))))
        return ethernet(0x0800, header + payload)
    }

    /// With the Destination Options header that the kernel's ip6gre puts in front.
    static func ipv6(_ proto: UInt8, _ payload: [UInt8], to local: String = "2001:db8::1") -> [UInt8] {
        let options: [UInt8] = proto == 47 ? [47, 0, 4, 1, 4, 1, 1, 0] : []
        let next: UInt8 = proto == 47 ? 60 : proto
        return ethernet(
            0x86DD,
            [0x60, 0, 0, 0] + big16(options.count + payload.count) + [next, 64]
                + IPv6Address("2001:db8::7")!.octets + IPv6Address(local)!.octets + options + payload)
    }

    static func ethernet(_ type: Int, _ payload: [UInt8]) -> [UInt8] {
        [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2] + big16(type) + payload
    }

    static func internetChecksum(_ bytes: [UInt8]) -> UInt16 {
        var sum: UInt32 = 0
        for index in stride(from: 0, to: bytes.count, by: 2) {
            sum += UInt32(bytes[index]) << 8 | UInt32(bytes[index + 1])
            sum = (sum & 0xFFFF) + (sum >> 16)
        }
        return UInt16(~sum & 0xFFFF)
    }

    // MARK: The bench

    /// `v1` -> `v0` (underlay) and `t0` (port) -> `t1`.
    final class Bench {
        let program: DeliverProgram
        let deliveries: [MirrorProgram.Delivery]
        private let receiver: Int32
        private var arrived: [[UInt8]] = []

        init(_ deliveries: [MirrorProgram.Delivery], kind: CaptureHookKind? = nil, portUp: Bool = true) throws {
            for (one, other) in [("v0", "v1"), ("t0", "t1")] {
                try ip("link add \(one) type veth peer name \(other)")
                try ip("link set \(one) up")
                try ip("link set \(other) up")
            }
            if !portUp { try ip("link set t0 down") }
            self.deliveries = deliveries
            program = try DeliverProgram(kind: kind)
            receiver = lab_packet_socket(if_nametoindex("t1"), 1 << 20)
            #expect(receiver >= 0)
            try apply(deliveries)
        }

        deinit { close(receiver) }

        func apply(_ deliveries: [MirrorProgram.Delivery]) throws {
            var links = LinkTable()
            try links.reload(NetlinkSocket())
            let underlay = Int32(if_nametoindex("v0"))
            try program.apply(
                deliveries.map { delivery in
                    DeliveryPlan(
                        delivery,
                        ways: Dictionary(uniqueKeysWithValues: delivery.peers.map { ($0, .success(underlay)) }),
                        links: links)
                })
            #expect(program.errors.isEmpty, "\(program.errors)")
        }

        /// The next frame at `t1` that is one of ours, a tag in its place; nil after 0.3 s without one.
        func receive() -> [UInt8]? {
            let stride = 2048
            var room = [UInt8](repeating: 0, count: stride * Int(LAB_BATCH))
            var results = [lab_received](repeating: lab_received(), count: Int(LAB_BATCH))
            _ = eventually(.milliseconds(300)) {
                let count = lab_receive(receiver, &room, stride, &results)
                for index in 0..<max(0, Int(count)) {
                    let (result, at) = (results[index], index * stride)
                    var bytes = Array(room[at..<at + min(Int(result.length), stride)])
                    if result.tag_protocol != 0 {
                        bytes.insert(contentsOf: big16(Int(result.tag_protocol)) + big16(Int(result.tag)), at: 12)
                    }
                    if bytes.starts(with: DeliverTests.inner.prefix(6)) { arrived.append(bytes) }
                }
                return !arrived.isEmpty
            }
            return arrived.isEmpty ? nil : arrived.removeFirst()
        }

        func statistics(_ index: Int = 0) -> DeliveryStatistics { program.statistics(of: deliveries[index]) }
    }

    static func delivery(
        _ encapsulation: MirrorProgram.Encapsulation, v6: Bool = false, id: UInt32 = 77
    ) -> MirrorProgram.Delivery {
        .init(
            id: "d", peers: [IPAddress(v6 ? "2001:db8::7" : "192.0.2.7")!], encapsulation: encapsulation, tunnelID: id,
            interface: "t0")
    }

    // MARK: The tests

    @Test(arguments: MirrorProgram.Encapsulation.allCases, [false, true])
    func innerFramesComeOut(_ encapsulation: MirrorProgram.Encapsulation, v6: Bool) throws {
        try inNamespace {
            let bench = try Bench([Self.delivery(encapsulation, v6: v6)])
            for length in [14, 15, 33, 34, 54, 60, 128, 1400] {
                let frame = Self.frame(length)
                let (proto, bytes) = Self.tunnel(encapsulation, id: 77, frame, number: length)
                try CaptureTests.send(v6 ? Self.ipv6(proto, bytes) : Self.ipv4(proto, bytes), "v1")
                #expect(bench.receive() == frame, "\(length) bytes")
            }
            let statistics = bench.statistics()
            #expect(statistics.frames == 8 && statistics.bytes == UInt64(14 + 15 + 33 + 34 + 54 + 60 + 128 + 1400))
            #expect(statistics.drops.values.allSatisfy { $0 == 0 }, "\(statistics)")
        }
    }

    @Test(arguments: [CaptureHookKind.tcx, .clsact]) func othersAreUntouched(kind: CaptureHookKind) throws {
        try inNamespace {
            let bench = try Bench([Self.delivery(.vxlan)], kind: kind)
            let foreign = [
                Self.ipv4(17, Self.tunnel(.vxlan, id: 78, Self.frame(60)).bytes),
                Self.ipv4(17, Self.tunnel(.vxlan, id: 77, Self.frame(60)).bytes, from: [192, 0, 2, 8]),
                Self.ipv4(17, Self.udp(4790, [8, 0, 0, 0] + big32(77 << 8) + Self.frame(60))),
                Self.ipv4(47, Self.tunnel(.gre, id: 77, Self.frame(60)).bytes),
                Self.ipv6(17, Self.tunnel(.vxlan, id: 77, Self.frame(60)).bytes),
            ]
            for packet in foreign { try CaptureTests.send(packet, "v1") }
            #expect(bench.receive() == nil)
            let statistics = bench.statistics()
            #expect(statistics.frames == 0 && statistics.drops.values.allSatisfy { $0 == 0 }, "\(statistics)")
        }
    }

    @Test(arguments: [false, true]) func malformedPacketsAreCountedAndNeverDelivered(v6: Bool) throws {
        try inNamespace {
            let kinds: [MirrorProgram.Encapsulation] = [.vxlan, .geneve, .gre, .erspan2, .erspan3]
            let bench = try Bench(
                kinds.map { kind in
                    var delivery = Self.delivery(kind, v6: v6)
                    delivery.id = kind.rawValue
                    return delivery
                })
            for (index, packet, what) in Self.malformed(v6: v6) {
                let before = bench.statistics(index).drops["malformed"]!
                try CaptureTests.send(packet, "v1")
                #expect(
                    eventually(.seconds(1)) { bench.statistics(index).drops["malformed"]! == before + 1 }, "\(what)")
            }
            if !v6 {
                let (_, vxlan) = Self.tunnel(.vxlan, id: 77, Self.frame(60))
                try CaptureTests.send(Self.ipv4(17, vxlan, fragment: 0x2000), "v1")
                #expect(eventually(.seconds(1)) { bench.statistics(0).drops["fragment"]! == 1 })
            }
            #expect(bench.receive() == nil)
            #expect((0..<5).allSatisfy { bench.statistics($0).frames == 0 })
        }
    }

    /// The delivery's number, a packet, what is wrong with it.
    private static func malformed(v6: Bool) -> [(Int, [UInt8], String)] {
        func ip(_ proto: UInt8, _ payload: some Sequence<UInt8>) -> [UInt8] {
            v6 ? ipv6(proto, Array(payload)) : ipv4(proto, Array(payload))
        }
        func changed(_ bytes: [UInt8], _ at: Int, _ value: UInt8) -> [UInt8] {
            var bytes = bytes
            bytes[at] = value
            return bytes
        }
        func tunnel(_ kind: MirrorProgram.Encapsulation) -> [UInt8] { self.tunnel(kind, id: 77, frame(60)).bytes }
        let (vxlan, geneve, gre) = (tunnel(.vxlan), tunnel(.geneve), tunnel(.gre))
        let (erspan2, erspan3) = (tunnel(.erspan2), tunnel(.erspan3))
        let outer: [(Int, [UInt8], String)] =
            v6
            ? [
                (0, changed(ip(17, vxlan), 14, 0x50), "IP version 5"),
                (0, changed(ip(17, vxlan), 18, 2), "a payload beyond the packet"),
                (3, changed(ip(47, erspan2), 18, 2), "a payload beyond the packet, with destination options"),
            ]
            : [
                (0, changed(ip(17, vxlan), 24, 0x55), "IPv4 checksum"),
                (0, changed(ip(17, vxlan), 14, 0x55), "IP version 5"),
                (0, changed(ip(17, vxlan), 16, 2), "an IPv4 length beyond the packet"),
            ]
        return outer + [
            (0, ip(17, changed(vxlan, 5, 200)), "UDP length beyond the packet"),
            (0, ip(17, changed(vxlan, 5, 20)), "UDP length shorter than the packet"),
            (0, ip(17, udp(4789, [8, 0, 0, 0] + big32(77 << 8) + frame(14).dropLast())), "13 bytes"),
            (0, ip(17, udp(4789, [8, 0, 0, 0] + big32(77 << 8))), "no inner frame"),
            (1, ip(17, changed(geneve, 8, 0x42)), "Geneve version 1"),
            (1, ip(17, changed(geneve, 9, 0x40)), "a critical option"),
            (1, ip(17, changed(geneve, 9, 0x80)), "a control packet"),
            (1, ip(17, changed(geneve, 8, 0x3F)), "options beyond the packet"),
            (2, ip(47, [0xA0, 0, 0x65, 0x58] + big32(0) + gre.dropFirst(4)), "a GRE checksum"),
            (2, ip(47, changed(gre, 1, 0x01)), "GRE version 1"),
            (2, ip(47, gre.prefix(8 + 13)), "13 bytes behind GRE"),
            (3, ip(47, changed(erspan2, 8, 0x20)), "Type II that says it is III"),
            (3, ip(47, erspan2.prefix(16 + 13)), "13 bytes behind Type II"),
            (4, ip(47, changed(erspan3, 8, 0x10)), "Type III that says it is II"),
            (4, ip(47, erspan3.prefix(28 + 13)), "no whole Ethernet header"),
            (4, ip(47, changed(erspan3, 18, 0x08)), "a frame type that is not Ethernet"),
        ]
    }

    @Test func skippedNumbersAreGaps() throws {
        try inNamespace {
            let bench = try Bench([Self.delivery(.erspan2)])
            // 3 missing; then one of them late, one twice; then a sender that begins anew.
            for number in [10, 11, 15, 13, 15, 16, 1, 2] {
                let (_, bytes) = Self.tunnel(.erspan2, id: 77, Self.frame(60), number: number)
                try CaptureTests.send(Self.ipv4(47, bytes), "v1")
                #expect(bench.receive() != nil)
            }
            #expect(bench.statistics().gaps == 2)
            #expect(bench.statistics().frames == 8)
        }
    }

    @Test func aPortThatIsDownIsACount() throws {
        try inNamespace {
            let bench = try Bench([Self.delivery(.vxlan)], portUp: false)
            let packet = Self.ipv4(17, Self.tunnel(.vxlan, id: 77, Self.frame(60)).bytes)
            try CaptureTests.send(packet, "v1")
            #expect(eventually(.seconds(1)) { bench.statistics().drops["interface_down"] == 1 })
            try ip("link set t0 up")
            #expect(
                try eventually(.seconds(2)) {
                    try bench.apply(bench.deliveries)
                    try CaptureTests.send(packet, "v1")
                    return bench.receive() == Self.frame(60)
                })
        }
    }

    @Test func whatThePortCannotTakeIsACount() throws {
        try inNamespace {
            let bench = try Bench([Self.delivery(.vxlan)])
            try ip("link set t0 mtu 500")
            for length in [514, 515] {
                try CaptureTests.send(Self.ipv4(17, Self.tunnel(.vxlan, id: 77, Self.frame(length)).bytes), "v1")
            }
            #expect(bench.receive() == Self.frame(514))
            #expect(eventually(.seconds(1)) { bench.statistics().drops["exceeds_mtu"] == 1 })
            #expect(bench.statistics().frames == 1)
        }
    }

    @Test func whatLeavesAProgramLeavesTheKernel() throws {
        try inNamespace {
            let other = MirrorProgram.Delivery(
                id: "e", peers: [IPAddress("192.0.2.7")!], tunnelID: 78, interface: "t0")
            let bench = try Bench([Self.delivery(.vxlan), other])
            try bench.apply([Self.delivery(.vxlan)])
            try CaptureTests.send(Self.ipv4(17, Self.tunnel(.vxlan, id: 78, Self.frame(60)).bytes), "v1")
            #expect(bench.receive() == nil)
            try CaptureTests.send(Self.ipv4(17, Self.tunnel(.vxlan, id: 77, Self.frame(61)).bytes), "v1")
            #expect(bench.receive() == Self.frame(61))
        }
    }
}

func big16(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)] }
func big32(_ value: Int) -> [UInt8] { big16(value >> 16 & 0xFFFF) + big16(value & 0xFFFF) }
