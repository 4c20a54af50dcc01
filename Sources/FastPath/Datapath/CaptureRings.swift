// The `tap` source: the capture rings of all CPUs, merged by time, so that an answer never leaves before its
// question. Before it: CaptureRing.swift. After it: Mirror.swift, or Segmentation.swift for a super-frame.
//
// A record can be seen before the frame goes on, so before anything that the frame brings about is captured. When the clock
// is read first and the producer positions afterwards, a record up to that time (the horizon) has all that led to it before
// it, in rings that are looked at; later ones wait for the next turn.

import CShims
import MirrorProgram
import Synchronization

/// Wire frames after which a turn ends, so that super-frames do not keep it from anything else.
var mostEmitted: Int { 512 }

extension Worker {
    /// Acts on up to `budget` records.
    ///
    /// - Returns: the number of records.
    @inline(__always)
    mutating func takeCaptured(budget: Int) -> Int {
        let horizon = max(hs_clock(), latest)
        toRealTime = realTimeOffset.pointee.load(ordering: .relaxed)
        turnTime = horizon &+ toRealTime
        for index in 0..<ringCount { rings[index].refresh() }
        var taken = 0
        emitted = 0
        while taken < budget && emitted < mostEmitted {
            var best = -1
            var earliest = horizon
            for index in 0..<ringCount {
                let ring = rings + index
                if ring.pointee.hasRecord && ring.pointee.record.pointee.time <= earliest {
                    earliest = ring.pointee.record.pointee.time
                    best = index
                }
            }
            if best < 0 { break }
            let ring = rings + best
            take(ring.pointee.record, ring.pointee.bytes)
            ring.pointee.pass()
            taken &+= 1
        }
        releaseRings()
        return taken
    }

    @inline(__always)
    private func releaseRings() {
        for index in 0..<ringCount { rings[index].release() }
    }

    /// Acts on one record, of a ring or of PacketReceive.swift, under the program that matched it.
    @inline(always)
    mutating func take(_ record: UnsafePointer<hs_record>, _ bytes: UnsafeRawPointer) {
        var slots = table.pointee.slots
        if record.pointee.generation != table.pointee.generation {
            slots = table.pointee.previousSlots
            if record.pointee.generation != table.pointee.previousGeneration {
                strays.drop(
                    UInt64(max(record.pointee.gso_segments, 1)), index: DropReason.unknownGeneration.index)
                return
            }
        }
        let match = Match(
            slots + Int(record.pointee.slot & UInt16(HS_SLOTS - 1)), taps: record.pointee.taps,
            isJudged: record.pointee.flags & UInt8(HS_RECHECK.rawValue | HS_UNFILTERED.rawValue) == 0)
        let captured = Int(record.pointee.captured)
        guard captured >= 14 else {
            match.drop(UInt64(max(record.pointee.gso_segments, 1)), .malformed, table.pointee.destinations)
            return
        }
        let layers = Layers(bytes, captured)
        let hash = FlowHash.symmetric(bytes, captured, layers)
        // The common way stays in this function: one more call would cost it a tenth.
        let changes = UInt8(HS_CHECKSUM_PARTIAL.rawValue | HS_CHECKSUM_UNKNOWN.rawValue | HS_VLAN.rawValue)
        if record.pointee.flags & changes == 0 && record.pointee.gso_size == 0 && match.slot.pointee.isPlain {
            mirrorPlain(frame(record, bytes, hash), match)
        } else {
            takeChanged(record, bytes, layers, hash: hash, match)
        }
    }

    @inline(always)
    private func frame(_ record: UnsafePointer<hs_record>, _ bytes: UnsafeRawPointer, _ hash: UInt32) -> WireFrame {
        let captured = Int(record.pointee.captured)
        return WireFrame(
            head: bytes, headLength: 0, body: bytes, bodyLength: captured,
            missing: max(0, Int(record.pointee.length) &- captured), hash: hash, origin: origin(of: record.pointee))
    }

    /// Acts on a record that is not the frame as it was on the wire, or whose taps do more than to copy.
    @inline(never)
    private mutating func takeChanged(
        _ record: UnsafePointer<hs_record>, _ bytes: UnsafeRawPointer, _ layers: Layers, hash: UInt32, _ match: Match
    ) {
        let flags = record.pointee.flags
        if record.pointee.gso_size != 0 {
            segment(record.pointee, bytes, layers, hash: hash, match)
            return
        }
        var frame = frame(record, bytes, hash)
        if flags & UInt8(HS_CHECKSUM_PARTIAL.rawValue | HS_CHECKSUM_UNKNOWN.rawValue) != 0 {
            complete(record.pointee, bytes, layers, &frame)
        }
        if flags & UInt8(HS_VLAN.rawValue) != 0 {
            scratch.copyMemory(from: bytes, byteCount: 12)
            putTag(record.pointee)
            frame.head = UnsafeRawPointer(scratch)
            frame.headLength = 16
            frame.body = bytes + 12
            frame.bodyLength &-= 12
            if frame.checksumAt >= 0 { frame.checksumAt &+= 4 }
        }
        mirror(frame, match)
    }

    @inline(__always)
    func origin(of record: hs_record) -> Origin {
        Origin(time: record.time &+ toRealTime, slot: record.slot, direction: record.direction)
    }

    /// Writes the tag that the kernel took out behind the MAC addresses in `scratch`.
    @inline(__always)
    func putTag(_ record: hs_record) {
        scratch.put16(record.vlan_protocol, 12)
        scratch.put16(record.vlan_tci, 14)
    }

    /// Completes a checksum whose sender left it to the NIC. Complete ones, right or wrong, stay as they are.
    @inline(__always)
    private func complete(
        _ record: hs_record, _ bytes: UnsafeRawPointer, _ layers: Layers, _ frame: inout WireFrame
    ) {
        let captured = Int(record.captured)
        var start = Int(record.csum_start)
        var offset = Int(record.csum_offset)
        if record.flags & UInt8(HS_CHECKSUM_PARTIAL.rawValue) == 0 {
            guard layers.looksPartial(bytes, captured) else { return }
            start = layers.payload
            offset = layers.transport == IPProtocol.udp ? 6 : 16
        }
        // A CRC32c (SCTP) is not a sum; docs/limits.md.
        guard layers.transport != IPProtocol.sctp, captured == Int(record.length), start &+ offset &+ 2 <= captured
        else { return }
        let sum = ~Checksum.fold(Checksum.sum(bytes + start, captured &- start))
        frame.checksumAt = start &+ offset
        frame.checksum = sum == 0 && layers.transport == IPProtocol.udp ? 0xFFFF : sum
    }
}

extension Layers {
    /// Whether the transport checksum equals the pseudo-header's sum, as senders leave it for their NIC.
    @inline(__always)
    func looksPartial(_ bytes: UnsafeRawPointer, _ length: Int) -> Bool {
        guard !isFragment, version != 0, transport == IPProtocol.tcp || transport == IPProtocol.udp else {
            return false
        }
        let offset = payload &+ (transport == IPProtocol.udp ? 6 : 16)
        guard offset &+ 2 <= length else { return false }
        let ipPayload =
            version == 4
            ? Int(bytes.big16(network &+ 2)) &- (payload &- network)
            : Int(bytes.big16(network &+ 4)) &- (payload &- network &- 40)
        guard ipPayload >= 0 else { return false }
        let expected = Checksum.fold(Checksum.pseudoHeader(bytes, self, transportLength: ipPayload))
        return bytes.big16(offset) == expected
    }
}
