// From a matched frame to its copies: the union of the taps' destinations, one emission for each, and the counting.
// Between the sources (CaptureRings.swift, SpanReceive.swift) and Emission.swift.

import CShims
import MirrorProgram

/// The taps that matched a frame, and where they want it.
struct Match {
    var slot: Slot
    var taps: UInt64
    /// Bit i: destination i of the slot; a frame reaches each once, however many taps name it.
    var destinations: UInt64

    /// - Parameter taps: the bits that the capture program set; those that the slot does not know are left out.
    @inline(__always)
    init(_ slot: Slot, taps: UInt64) {
        self.slot = slot
        self.taps = taps & slot.known
        destinations = 0
        var left = self.taps
        while left != 0 {
            destinations |= slot.taps[left.trailingZeroBitCount].destinations
            left &= left &- 1
        }
    }

    /// Counts one offered frame toward destination `bit`, and what became of it.
    @inline(__always)
    func count(_ outcome: Outcome, bit: Int, _ destination: UnsafeMutablePointer<Destination>) {
        note(outcome, in: destination.pointee.counters, 1)
        var left = taps
        while left != 0 {
            let tap = slot.taps + left.trailingZeroBitCount
            if tap.pointee.destinations >> UInt64(bit) & 1 != 0 { note(outcome, in: tap.pointee.counters, 1) }
            left &= left &- 1
        }
    }

    /// Counts `frames` offered frames that met the same fate toward every destination.
    @inline(__always)
    func drop(_ frames: UInt64, _ reason: DropReason, _ destinations: UnsafeMutablePointer<Destination>) {
        var left = self.destinations
        while left != 0 {
            let bit = left.trailingZeroBitCount
            let destination = destinations + Int(slot.destinations[bit])
            note(.dropped(reason), in: destination.pointee.counters, frames)
            var remaining = taps
            while remaining != 0 {
                let tap = slot.taps + remaining.trailingZeroBitCount
                if tap.pointee.destinations >> UInt64(bit) & 1 != 0 {
                    note(.dropped(reason), in: tap.pointee.counters, frames)
                }
                remaining &= remaining &- 1
            }
            left &= left &- 1
        }
    }

    @inline(__always)
    private func note(_ outcome: Outcome, in counters: CounterBlock, _ frames: UInt64) {
        counters.offer(frames)
        if outcome.fate == Destination.noFate {
            counters.hand(bytes: outcome.bytes, truncated: outcome.truncated)
        } else {
            counters.drop(frames, index: Int(outcome.fate))
        }
    }
}

extension Worker {
    /// One copy of `frame` toward every destination of `match`.
    @inline(__always)
    mutating func mirror(_ frame: WireFrame, _ match: Match) {
        var left = match.destinations
        while left != 0 {
            let bit = left.trailingZeroBitCount
            let destination = table.pointee.destinations + Int(match.slot.destinations[bit])
            match.count(emit(frame, destination, &umem), bit: bit, destination)
            left &= left &- 1
        }
    }
}
