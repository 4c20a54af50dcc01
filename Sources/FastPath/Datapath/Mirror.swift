// From a matched frame to its copies: the union of the taps' destinations, one emission for each, and the counting.
// Between the sources (CaptureRings.swift, SpanReceive.swift) and Emission.swift.

import CShims
import MirrorProgram

/// The taps that matched a frame, and where they want it.
struct Match {
    let slot: UnsafeMutablePointer<Slot>
    var taps: UInt64
    /// Of `taps`, those whose filters are still to be run on every frame.
    var open: UInt64
    /// Bit i: destination i of the slot; a frame reaches each once, however many taps name it.
    var destinations: UInt64

    /// - Parameters:
    ///   - taps: the bits that the capture program set; those that the slot does not know are left out.
    ///   - isJudged: the filters of these taps have taken the frame.
    @inline(__always)
    init(_ slot: UnsafeMutablePointer<Slot>, taps: UInt64, isJudged: Bool) {
        self.slot = slot
        self.taps = taps & slot.pointee.known
        open = isJudged ? 0 : self.taps & slot.pointee.filtered
        destinations = 0
        var left = self.taps
        while left != 0 {
            destinations |= slot.pointee.taps[left.trailingZeroBitCount].destinations
            left &= left &- 1
        }
    }

    /// Counts offered frames toward destination `bit`, and what became of them.
    @inline(__always)
    func count(
        _ outcome: Outcome, frames: UInt64 = 1, bit: Int, _ destination: UnsafeMutablePointer<Destination>
    ) {
        destination.pointee.counters.note(outcome, frames)
        var left = taps
        while left != 0 {
            let tap = slot.pointee.taps + left.trailingZeroBitCount
            if tap.pointee.destinations >> UInt64(bit) & 1 != 0 { tap.pointee.counters.note(outcome, frames) }
            left &= left &- 1
        }
    }

    /// Counts `frames` offered frames that met the same fate toward every destination. A spread counts them itself: no
    /// member was chosen.
    @inline(__always)
    func drop(_ frames: UInt64, _ reason: DropReason, _ destinations: UnsafeMutablePointer<Destination>) {
        var left = self.destinations
        while left != 0 {
            let bit = left.trailingZeroBitCount
            let destination = destinations + Int(slot.pointee.destinations[bit])
            destination.pointee.counters.note(.dropped(reason), frames)
            var remaining = taps
            while remaining != 0 {
                let tap = slot.pointee.taps + remaining.trailingZeroBitCount
                if tap.pointee.destinations >> UInt64(bit) & 1 != 0 {
                    tap.pointee.counters.note(.dropped(reason), frames)
                }
                remaining &= remaining &- 1
            }
            left &= left &- 1
        }
        if !slot.pointee.isPlain { dropSpreads(frames, reason) }
    }

    private func dropSpreads(_ frames: UInt64, _ reason: DropReason) {
        var spreads: UInt64 = 0
        var left = taps
        while left != 0 {
            let tap = slot.pointee.taps + left.trailingZeroBitCount
            tap.pointee.counters.note(.dropped(reason), frames &* UInt64(tap.pointee.spreads.nonzeroBitCount))
            spreads |= tap.pointee.spreads
            left &= left &- 1
        }
        while spreads != 0 {
            slot.pointee.spreads[spreads.trailingZeroBitCount].counters.note(.dropped(reason), frames)
            spreads &= spreads &- 1
        }
    }
}

extension CounterBlock {
    /// Counts `frames` offered frames and what became of them.
    @inline(__always)
    func note(_ outcome: Outcome, _ frames: UInt64) {
        offer(frames)
        if outcome.fate == Destination.noFate {
            hand(frames, bytes: outcome.bytes, truncated: outcome.truncated)
        } else {
            drop(frames, index: Int(outcome.fate))
        }
    }
}

extension Worker {
    /// One copy of `frame` toward every destination of `match`.
    @inline(never)
    mutating func mirror(_ frame: WireFrame, _ match: Match) {
        if match.slot.pointee.isPlain { mirrorPlain(frame, match) } else { act(frame, match) }
    }

    /// The same where no tap does more than to copy.
    @inline(always)
    mutating func mirrorPlain(_ frame: WireFrame, _ match: Match) {
        var left = match.destinations
        while left != 0 {
            let bit = left.trailingZeroBitCount
            let destination = table.pointee.destinations + Int(match.slot.pointee.destinations[bit])
            match.count(emit(frame, destination, &umem), bit: bit, destination)
            left &= left &- 1
        }
    }
}
