// Super-frames that leave whole: into the device hs-encap, where encapsulate.bpf.c puts the outer header in front, and the
// uplink's NIC, or the kernel for it, segments behind that. Before it: Segmentation.swift, which does what is left.
// After it: the uplink's queueing discipline.
//
// What waits in the TX ring leaves first, so that one way does not overtake the other.

import CShims
import MirrorProgram

/// The way of whole super-frames toward one destination.
public struct WholeWay: Hashable, Sendable {
    /// A packet socket on hs-encap.
    var socket: Int32
    /// Index of the destination's route.
    var route: UInt16

    public init(socket: Int32, route: UInt16) {
        self.socket = socket
        self.route = route
    }
}

/// Longest packet behind an Ethernet header.
private var longestPacket: Int { 65535 }

extension Worker {
    /// Sends a super-frame to those destinations of `match` that take it whole, counts it there, and takes them out.
    ///
    /// - Parameters:
    ///   - layers: of a TCP or UDP super-frame.
    ///   - headers: bytes that every segment repeats.
    @inline(__always)
    mutating func sendWhole(
        _ record: hs_record, _ bytes: UnsafeRawPointer, _ layers: Layers, headers: Int, _ match: inout Match
    ) {
        // Taps that act look at segments; a tag is no device's to put behind a tunnel header.
        guard match.slot.pointee.isPlain, record.flags == UInt8(HS_CHECKSUM_PARTIAL.rawValue),
            record.captured == record.length, record.gso_type & ~Offload.plain == 0,
            layers.payload &+ (layers.transport == IPProtocol.tcp ? 16 : 6)
                == Int(record.csum_start) &+ Int(record.csum_offset)
        else { return }
        let length = Int(record.captured)
        let size = Int(record.gso_size)
        let payload = length &- headers
        let frames = UInt64((payload &+ size &- 1) / size)
        var left = match.destinations
        while left != 0 {
            let bit = left.trailingZeroBitCount
            left &= left &- 1
            let destination = table.pointee.destinations + Int(match.slot.pointee.destinations[bit])
            guard let way = destination.pointee.whole, destination.pointee.fate == Destination.noFate,
                size &+ headers <= destination.pointee.frameLimit,
                length &+ destination.pointee.headerLength <= longestPacket &+ 14,
                destination.pointee.uplink.pointee.isEmptied(&umem)
            else { continue }
            let error = hs_send_whole(
                way.socket, record, bytes, UInt16(truncatingIfNeeded: headers),
                layers.transport == IPProtocol.tcp ? layers.version : 0, mark(record, way))
            var outcome = Outcome(fate: Destination.noFate, bytes: payload &+ headers &* Int(frames))
            if error != 0 { outcome = .dropped(error == EAGAIN ? .txRingFull : .kernelRefused) }
            match.count(outcome, frames: frames, bit: bit, destination)
            match.destinations &= ~(1 << UInt64(bit))
        }
        if match.destinations == 0 { emitted &+= wholeWeight }
    }

    @inline(__always)
    private func mark(_ record: hs_record, _ way: WholeWay) -> UInt32 {
        let direction =
            record.direction == UInt8(truncatingIfNeeded: HS_OUT.rawValue)
            ? UInt32(truncatingIfNeeded: HS_CARRY_OUT) : 0
        return UInt32(truncatingIfNeeded: HS_CARRY | HS_CARRY_WORKER) | direction | UInt32(way.route)
            | UInt32(record.slot) << UInt32(truncatingIfNeeded: HS_CARRY_SLOT_SHIFT)
    }
}

/// How many frames of a turn a super-frame stands for.
private var wholeWeight: Int { 8 }

extension Uplink {
    /// Whether everything that was queued has left, after a kick if something was.
    @inline(__always)
    mutating func isEmptied(_ umem: inout UMEM) -> Bool {
        if isDirty || transmit.pending() > 0 { kick(&umem) }
        return transmit.pending() == 0
    }
}
