// Copies through an uplink of kind `udp`, with a local socket in the place of the kernel's: what is put together is, taken
// apart again, what an AF_XDP uplink would have sent, in the same order, and nothing is lost where the kernel is behind.

import CShims
import FastPath
import Glibc
import MirrorProgram
import Testing

/// One message as the kernel would get it.
private struct Message {
    var offload: virtio_net_hdr
    var packet: [UInt8]

    /// The packets that it stands for, as udp_offload.c makes them but for the checksum, which it leaves at 0.
    func segments() -> [[UInt8]] {
        if offload.gso_type == 0 { return [packet] }
        let (headers, size) = (Int(offload.hdr_len), Int(offload.gso_size))
        let (transport, isIPv6) = (headers - 8, headers - 8 >= 54)
        return stride(from: headers, to: packet.count, by: size).map { start in
            var segment = Array(packet[..<headers] + packet[start..<min(start + size, packet.count)])
            let length = segment.count - transport
            segment.replaceSubrange(transport + 4..<headers, with: big16(length) + [0, 0])
            let network = transport - (isIPv6 ? 40 : 20)
            if isIPv6 {
                segment.replaceSubrange(network + 4..<network + 6, with: big16(length))
            } else {
                segment.replaceSubrange(network + 2..<network + 4, with: big16(20 + length))
                segment.replaceSubrange(network + 10..<network + 12, with: [0, 0])
                let sum = internetChecksum(Array(segment[network..<network + 20]))
                segment.replaceSubrange(network + 10..<network + 12, with: big16(Int(sum)))
            }
            return segment
        }
    }
}

/// A worker whose uplink sends into a local socket.
private final class Way {
    let rig = Rig(chunks: 1024)
    let uplink: FakeUplink
    let tap = CounterBlock.allocate()
    let destination = CounterBlock.allocate()
    private let exit: UnsafeMutablePointer<DatagramExit>
    private var sockets: [Int32] = [0, 0]

    /// - Parameter buffer: bytes that the socket takes, 0 for as many as usual.
    init(_ header: OuterHeader?, buffer: Int32 = 0, combines: Bool = true) {
        #expect(socketpair(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0, &sockets) == 0)
        if buffer > 0 {
            var buffer = buffer
            setsockopt(sockets[0], SOL_SOCKET, SO_SNDBUF, &buffer, 4)
        }
        exit = .allocate(capacity: 1)
        uplink = FakeUplink(number: 1, size: 512, datagrams: exit)
        exit.initialize(
            to: DatagramExit(
                socket: sockets[0], transmit: uplink.transmit.mapping, completion: uplink.completion.mapping,
                area: rig.area, combines: combines))
        let plan = DestinationPlan(
            encapsulation: header, frameLimit: 9_000, uplink: uplink.uplink, fate: nil, counters: destination)
        _ = rig.publish(Selection(generation: 1, ports: [.init(slot: 0, taps: [(tap, [0])])]), [plan], [uplink])
    }

    deinit {
        sockets.forEach { _ = close($0) }
        exit.deinitialize(count: 1)
        exit.deallocate()
    }

    var refused: UInt64 { exit.pointee.refused }

    func push(_ frames: [[UInt8]]) {
        for frame in frames { rig.rings[0].push(record(length: frame.count), frame) }
    }

    /// What has arrived by now.
    func received() -> [Message] {
        var messages: [Message] = []
        var bytes = [UInt8](repeating: 0, count: 70_000)
        while true {
            let count = recv(sockets[1], &bytes, bytes.count, Int32(MSG_DONTWAIT))
            if count < 0 { return messages }
            let offload = bytes.withUnsafeBytes { $0.load(as: virtio_net_hdr.self) }
            messages.append(
                Message(offload: offload, packet: Array(bytes[MemoryLayout<virtio_net_hdr>.size..<count])))
        }
    }

    /// Turns and reads until there is nothing left of either.
    func drain() -> [Message] {
        var messages: [Message] = []
        while true {
            rig.run()
            let more = received()
            messages += more
            if more.isEmpty { return messages }
        }
    }
}

@Suite struct DatagramTests {
    private func frame(_ flow: Int, _ length: Int, _ number: Int = 0) -> [UInt8] {
        var frame = Frames.udp4(payload: [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: length - 42))
        frame.replaceSubrange(34..<36, with: big16(1000 + flow))
        return frame
    }

    /// What leaves through AF_XDP of the same frames.
    private func single(_ frames: [[UInt8]], _ header: OuterHeader?) -> [[UInt8]] {
        let (rig, uplink, counters) = (Rig(chunks: 1024), FakeUplink(number: 1, size: 1024), CounterBlock.allocate())
        let plan = DestinationPlan(
            encapsulation: header, frameLimit: 9_000, uplink: uplink.uplink, fate: nil, counters: counters)
        _ = rig.publish(Selection(generation: 1, ports: [.init(slot: 0, taps: [(counters, [0])])]), [plan], [uplink])
        for frame in frames { rig.rings[0].push(record(length: frame.count), frame) }
        rig.run()
        return uplink.sent(rig.area)
    }

    /// Without the UDP checksum, which whoever takes a super-frame apart puts there.
    private func unsummed(_ packets: [[UInt8]], transport: Int) -> [[UInt8]] {
        packets.map { Array($0[..<(transport + 6)] + [0, 0] + $0[(transport + 8)...]) }
    }

    @Test(
        arguments: [MirrorProgram.Encapsulation.vxlan, .geneve],
        [(isIPv6: false, vlan: nil), (true, nil), (false, 7), (true, 7)] as [(isIPv6: Bool, vlan: UInt16?)])
    func oneFlowIsOneMessage(
        _ encapsulation: MirrorProgram.Encapsulation, outer: (isIPv6: Bool, vlan: UInt16?)
    ) throws {
        let (isIPv6, vlan) = outer
        let header = sampleHeader(encapsulation, 5, isIPv6: isIPv6) {
            $0.vlan = vlan
            $0.geneveOptions = [.direction]
        }
        let frames = (0..<5).map { frame(1, 200, $0) }
        let way = Way(header)
        way.push(frames)
        let messages = way.drain()
        let transport = 14 + (vlan == nil ? 0 : 4) + (isIPv6 ? 40 : 20)
        #expect(messages.count == 1)
        let message = try #require(messages.first)
        #expect(message.offload.flags == 1 && message.offload.gso_type == 5)
        #expect(message.offload.hdr_len == UInt16(transport + 8))
        #expect(Int(message.offload.gso_size) == header.length - transport - 8 + 200)
        #expect(message.offload.csum_start == UInt16(transport) && message.offload.csum_offset == 6)
        let expected = single(frames, header)
        let isEqual = unsummed(message.segments(), transport: transport) == unsummed(expected, transport: transport)
        #expect(isEqual)
        // The super-frame's own headers: what looks at it whole has to believe them.
        let packet = message.packet
        #expect(packet.big16(transport + 4) == packet.count - transport)
        let addresses = isIPv6 ? packet[(transport - 32)..<transport] : packet[(transport - 8)..<transport]
        let pseudo = internetChecksum(Array(addresses) + big16(17) + big16(packet.count - transport))
        #expect(packet.big16(transport + 6) == Int(~pseudo))
        if !isIPv6 {
            #expect(packet.big16(transport - 18) == packet.count - transport + 20)
            #expect(internetChecksum(Array(packet[(transport - 20)..<transport])) == 0)
        }
        #expect(way.rig.worker.census().free == 1024)
        #expect(way.destination.frames == 5 && way.refused == 0)
    }

    @Test func onlyNeighboursOfOneFlowAndLengthArePutTogether() {
        let frames =
            [
                frame(1, 100, 0), frame(1, 100, 1), frame(2, 100, 2), frame(1, 100, 3), frame(1, 100, 4),
                frame(1, 101, 5),
            ]
            + [frame(1, 5_000, 6), frame(1, 5_000, 7), frame(1, 100, 8), frame(1, 100, 9), frame(1, 100, 10)]
        let way = Way(sampleVXLAN)
        way.push(frames)
        let messages = way.drain()
        #expect(messages.map { $0.segments().count } == [2, 1, 2, 1, 1, 1, 3])
        let isEqual =
            unsummed(messages.flatMap { $0.segments() }, transport: 34)
            == unsummed(single(frames, sampleVXLAN), transport: 34)
        #expect(isEqual)
    }

    /// Without an outer UDP header nothing is put together, however alike: GRE, and frames in no tunnel.
    @Test(arguments: [nil, sampleHeader(.gre, 5), sampleHeader(.gre, 5, isIPv6: true)] as [OuterHeader?])
    func othersGoOneByOne(_ header: OuterHeader?) {
        let frames = (0..<4).map { _ in frame(1, 100) }
        let way = Way(header, combines: header != nil)
        way.push(frames)
        let messages = way.drain()
        let isEqual = messages.map(\.packet) == single(frames, header)
        #expect(isEqual)
        #expect(messages.allSatisfy { $0.offload.gso_type == 0 && $0.offload.flags == 0 })
    }

    @Test func aMessageIsNoLongerThanAPacketCanBe() {
        let frames = (0..<200).map { frame(1, 1_500, $0) } + (0..<200).map { frame(1, 60, $0) }
        let way = Way(sampleVXLAN)
        way.push(frames)
        let messages = way.drain()
        #expect(messages.allSatisfy { $0.packet.count - 14 <= 65_535 && $0.segments().count <= 64 })
        #expect(messages.count <= 12)
        let parts = [Array(frames[..<200]), Array(frames[200...])]
        let isEqual =
            unsummed(messages.flatMap { $0.segments() }, transport: 34)
            == unsummed(parts.flatMap { single($0, sampleVXLAN) }, transport: 34)
        #expect(isEqual)
    }

    /// The kernel takes a few at a time: what it does not take stays, in order.
    @Test func whatIsNotTakenStays() {
        let frames = (0..<150).map { frame($0, 80, $0) }
        let way = Way(sampleVXLAN, buffer: 2_304)
        way.push(frames)
        way.rig.run()
        let first = way.received()
        #expect(!first.isEmpty && first.count < 150, "\(first.count)")
        let all = first + way.drain()
        let isEqual = all.map(\.packet) == single(frames, sampleVXLAN)
        #expect(isEqual)
        #expect(way.refused == 0 && way.rig.worker.census().free == 1024)
    }

    /// One that the kernel refuses is told, and does not keep the others.
    @Test func whatIsRefusedIsCounted() {
        let way = Way(sampleVXLAN, buffer: 2_304)
        way.push([frame(1, 100, 0), frame(1, 8_000, 1), frame(1, 90, 2)])
        let messages = way.drain()
        let isEqual = messages.map(\.packet) == single([frame(1, 100, 0), frame(1, 90, 2)], sampleVXLAN)
        #expect(isEqual)
        #expect(way.refused == 1 && way.destination.frames == 3)
        #expect(way.rig.worker.census().free == 1024)
    }
}
