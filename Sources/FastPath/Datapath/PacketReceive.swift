// The `tap` source where BPF may not be loaded: what the capture program does in the kernel is done here, from a packet
// socket's ring. Before it: PacketSource.swift. After it: CaptureRings.swift takes the record as one of its own.
//
// A packet carries no generation: it is acted on under the program of this moment. Order holds within a port, whose two
// directions share a ring; the rings of two ports are handed over block by block.

import CShims

extension Worker {
    /// Acts on up to `budget` packets of one port.
    ///
    /// - Returns: the number of packets.
    @inline(__always)
    mutating func takePackets(_ source: UnsafeMutablePointer<PacketSource>, budget: Int) -> Int {
        var taken = 0
        while taken < budget && emitted < mostEmitted && source.pointee.look() {
            take(source.pointee.packet, of: source)
            source.pointee.pass()
            taken &+= 1
        }
        return taken
    }

    @inline(__always)
    private mutating func take(_ packet: UnsafeRawPointer, of source: UnsafeMutablePointer<PacketSource>) {
        var record = hs_read_packet(packet)
        let bytes = packet + Int(packet.load(fromByteOffset: Int(HS_PACKET_FRAME), as: UInt16.self))
        record.direction ^= source.pointee.received
        let slot = table.pointee.slots + source.pointee.slot
        record.taps = record.direction == 0 ? slot.pointee.inward : slot.pointee.outward
        guard record.taps != 0, hs_is_own(bytes, record.captured, table.pointee.own, table.pointee.ownMask) == 0 else {
            return
        }
        record.time &-= toRealTime
        record.generation = table.pointee.generation
        record.slot = UInt16(truncatingIfNeeded: source.pointee.slot)
        record.flags |= UInt8(HS_UNFILTERED.rawValue)
        if record.gso_size != 0 { judgeOffload(&record, bytes) }
        source.pointee.record.pointee = record
        take(source.pointee.record, bytes)
    }

    /// Of a super-frame in a tunnel the kernel tells the inner kind only: then the checksum is the inner one's too.
    @inline(__always)
    private func judgeOffload(_ record: inout hs_record, _ bytes: UnsafeRawPointer) {
        let layers = Layers(bytes, Int(record.captured))
        let start = Int(record.csum_start)
        let isOuter =
            start == layers.payload || record.flags & UInt8(HS_VLAN.rawValue) != 0 && start == layers.payload &+ 4
        if record.flags & UInt8(HS_CHECKSUM_PARTIAL.rawValue) != 0 && !isOuter { record.gso_type |= 1 << 10 }
    }
}
