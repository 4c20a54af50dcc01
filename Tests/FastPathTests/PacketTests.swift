// Packets of a TPACKET_V3 ring in plain memory, byte by byte as the kernel writes them: what the worker makes of them.

import CShims
import FastPath
import MirrorProgram
import Testing

@Suite struct PacketTests {
    let inward = CounterBlock.allocate(), outward = CounterBlock.allocate(), destination = CounterBlock.allocate()
    let uplink = FakeUplink(number: 1)
    let rig = Rig(chunks: 256)
    static let blockSize = 4096, blockCount = 3
    let ring = UnsafeMutableRawPointer.allocate(byteCount: blockSize * blockCount, alignment: 4096)

    /// One packet: header and address of 48 and 20 bytes, the virtio header in front of the frame.
    private struct Packet {
        var frame: [UInt8]
        var isOutgoing = false
        var tag: (tci: UInt16, type: UInt16)?
        var checksum: (start: UInt16, offset: UInt16)?
    }

    /// Fills a block and hands it over.
    private func fill(_ block: Int, _ packets: [Packet]) {
        let start = ring + block * Self.blockSize
        (start + 12).storeBytes(of: UInt32(packets.count), as: UInt32.self)
        (start + 16).storeBytes(of: 48, as: UInt32.self)
        var at = start + 48
        for packet in packets {
            let mac = 48 + 20 + 22
            let next = (mac + packet.frame.count + 15) / 16 * 16
            let status: UInt32 = packet.tag == nil ? 1 : 1 | 1 << 4 | 1 << 6
            let length = UInt32(packet.frame.count)
            for (offset, word) in [(0, UInt32(next)), (4, 7), (8, 5), (12, length), (16, length), (20, status)] {
                (at + offset).storeBytes(of: word, as: UInt32.self)
            }
            (at + 24).storeBytes(of: UInt16(mac), as: UInt16.self)
            (at + 32).storeBytes(of: UInt32(packet.tag?.tci ?? 0), as: UInt32.self)
            (at + 36).storeBytes(of: packet.tag?.type ?? 0, as: UInt16.self)
            (at + 48 + 10).storeBytes(of: packet.isOutgoing ? 4 : 0, as: UInt8.self)
            let virtio = at + mac - 10
            virtio.initializeMemory(as: UInt8.self, repeating: 0, count: 10)
            if let checksum = packet.checksum {
                virtio.storeBytes(of: 1, as: UInt8.self)
                (virtio + 6).storeBytes(of: checksum.start, as: UInt16.self)
                (virtio + 8).storeBytes(of: checksum.offset, as: UInt16.self)
            }
            packet.frame.withUnsafeBytes { (at + mac).copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
            at += next
        }
        (start + 8).storeBytes(of: 1, as: UInt32.self)
    }

    private func isOurs(_ block: Int) -> Bool { (ring + block * Self.blockSize + 8).load(as: UInt32.self) == 1 }

    private func start(received: UInt32 = HS_IN.rawValue, own: [hs_tunnel_key] = []) {
        ring.initializeMemory(as: UInt8.self, repeating: 0, count: Self.blockSize * Self.blockCount)
        let source = UnsafeMutablePointer<PacketSource>.allocate(capacity: 1)
        source.initialize(
            to: PacketSource(
                slot: 5, received: UInt8(received), base: ring, blockSize: Self.blockSize, blockCount: Self.blockCount))
        let taps = [
            Selection.Tap(counters: inward, destinations: [0], direction: .in),
            Selection.Tap(counters: outward, destinations: [0], direction: .out),
        ]
        _ = rig.publish(
            Selection(generation: 1, ports: [Selection.Port(slot: 5, taps: taps, spreads: [])]),
            [
                DestinationPlan(
                    encapsulation: sampleVXLAN, frameLimit: 1514, uplink: uplink.uplink, fate: nil,
                    counters: destination)
            ], [uplink], packets: PacketSources(sources: [source], own: own))
        rig.run()
    }

    @Test func blocksAreReadAndGivenBack() {
        start()
        let frames = (0..<7).map { Frames.macs + [0x88, 0xB5] + [UInt8](repeating: UInt8($0), count: 60 + $0) }
        fill(0, [Packet(frame: frames[0]), Packet(frame: frames[1], isOutgoing: true)])
        fill(1, [])
        fill(2, [Packet(frame: frames[2])])
        rig.run()
        #expect(uplink.sent(rig.area).map { Array($0[50...]) } == Array(frames[0..<3]))
        #expect(inward.frames == 2 && outward.frames == 1)
        #expect((0..<3).allSatisfy { !isOurs($0) })
        fill(0, frames[3...].map { Packet(frame: $0) })
        rig.run()
        #expect(destination.frames == 7 && !isOurs(0))
    }

    @Test func directionIsThePorts() {
        start(received: HS_OUT.rawValue)
        let frame = Frames.macs + [0x88, 0xB5] + [UInt8](repeating: 1, count: 60)
        fill(0, [Packet(frame: frame), Packet(frame: frame), Packet(frame: frame, isOutgoing: true)])
        rig.run()
        #expect(outward.frames == 2 && inward.frames == 1)
    }

    @Test func tagsAreBackInTheirPlace() {
        start()
        let frame = Frames.macs + [0x88, 0xB5] + [UInt8](repeating: 1, count: 60)
        fill(0, [Packet(frame: frame, tag: (0xA064, 0x88A8))])
        rig.run()
        #expect(
            uplink.sent(rig.area).map { Array($0[50...]) } == [Frames.macs + [0x88, 0xA8, 0xA0, 0x64] + frame[12...]])
    }

    /// A VXLAN packet with our addresses and VNI, and one with another VNI.
    @Test func copiesOfOursAreLeft() {
        func packet(_ vni: UInt8) -> [UInt8] {
            let udp: [UInt8] = [0xC0, 0, 0x12, 0xB5, 0, 58, 0, 0, 8, 0, 0, 0, 0, 0, vni, 0]
            let ip: [UInt8] = [0x45, 0, 0, 78, 0, 0, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 9]
            return Frames.macs + [8, 0] + ip + udp + [UInt8](repeating: 7, count: 42)
        }
        var key = hs_tunnel_key()
        key.source.0 = UInt32(0xC000_0201).bigEndian
        key.remote.0 = UInt32(0xC000_0209).bigEndian
        key.tunnel_id = UInt32(9 << 8).bigEndian
        key.udp_port = UInt16(4789).bigEndian
        key.version = 4
        start(own: [key])
        fill(0, [Packet(frame: packet(9)), Packet(frame: packet(10)), Packet(frame: packet(9), isOutgoing: true)])
        rig.run()
        #expect(uplink.sent(rig.area).map { Array($0[50...]) } == [packet(10)])
        #expect(destination.offered == 1)
    }
}
