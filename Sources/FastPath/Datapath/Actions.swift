// The taps of a port that do more than copy: filters that are still open, sampling, snap length and rate limit, then
// destinations and spreads, each frame once to each. Between Mirror.swift, which leaves such ports to it, and
// Emission.swift.
//
// A destination gets a frame when any tap carries it there, with the longest snap length among those taps. A watcher is a
// destination whose copies nobody else counts.

import CShims
import MirrorProgram

/// What the taps make of one frame. The arrays behind the pointers are the worker's own, one frame's at a time.
struct Desk {
    /// Destination bits of each tap, 64.
    let masks: UnsafeMutablePointer<UInt64>
    /// Destination bit that each spread has chosen, 64.
    let choices: UnsafeMutablePointer<UInt8>
    /// Scratch memory of filters.
    let words: UnsafeMutablePointer<UInt32>

    init() {
        masks = .allocate(capacity: 64)
        masks.initialize(repeating: 0, count: 64)
        choices = .allocate(capacity: 64)
        choices.initialize(repeating: 0, count: 64)
        words = .allocate(capacity: ClassicBPF.scratchWords)
        words.initialize(repeating: 0, count: ClassicBPF.scratchWords)
    }
}

extension Worker {
    /// Does the actions of the taps of `match` on one wire frame.
    @inline(never)
    mutating func act(_ frame: WireFrame, _ match: Match) {
        let slot = match.slot.pointee
        var carried: UInt64 = 0
        var limited: UInt64 = 0
        var left = match.taps
        while left != 0 {
            let bit = left.trailingZeroBitCount
            left &= left &- 1
            let rules = slot.taps + bit
            if match.open >> UInt64(bit) & 1 != 0 && !rules.pointee.rules.select(frame, desk.words) { continue }
            if !rules.pointee.rules.sample(frame.hash) { continue }
            let bytes = min(frame.wireLength, rules.pointee.rules.snaplen)
            if rules.pointee.rules.exceed(bytes, at: frame.origin.time &- toRealTime) {
                limited |= 1 << UInt64(bit)
            } else {
                carried |= 1 << UInt64(bit)
            }
        }
        let spreads = choose(frame.hash, slot, carried | limited)
        let wanted = resolve(slot, carried)
        send(frame, slot, carried, wanted.destinations, wanted.spreads)
        if limited != 0 { refuse(slot, limited, besides: wanted.destinations, spreads & ~wanted.spreads) }
    }

    /// Has every spread of `taps` choose its member.
    ///
    /// - Returns: those spreads.
    @inline(__always)
    private func choose(_ hash: UInt32, _ slot: Slot, _ taps: UInt64) -> UInt64 {
        var spreads: UInt64 = 0
        var left = taps
        while left != 0 {
            spreads |= slot.taps[left.trailingZeroBitCount].spreads
            left &= left &- 1
        }
        left = spreads
        while left != 0 {
            let spread = left.trailingZeroBitCount
            let bit = slot.spreads[spread].choose(hash, slot, table.pointee.destinations)
            desk.choices[spread] = UInt8(truncatingIfNeeded: bit)
            left &= left &- 1
        }
        return spreads
    }

    /// The union of what `taps` want; leaves the destinations of each in `desk.masks`.
    @inline(__always)
    private func resolve(_ slot: Slot, _ taps: UInt64) -> (destinations: UInt64, spreads: UInt64) {
        var destinations: UInt64 = 0
        var spreads: UInt64 = 0
        var left = taps
        while left != 0 {
            let bit = left.trailingZeroBitCount
            left &= left &- 1
            var mask = slot.taps[bit].destinations | slot.taps[bit].watchers
            var mine = slot.taps[bit].spreads
            spreads |= mine
            while mine != 0 {
                mask |= 1 << UInt64(desk.choices[mine.trailingZeroBitCount] & 63)
                mine &= mine &- 1
            }
            desk.masks[bit] = mask
            destinations |= mask
        }
        return (destinations, spreads)
    }

    /// One copy toward each of `destinations`, counted for it, for the taps that carry it there, and for their spreads; a
    /// watcher's for it alone.
    @inline(__always)
    private mutating func send(
        _ frame: WireFrame, _ slot: Slot, _ taps: UInt64, _ destinations: UInt64, _ spreads: UInt64
    ) {
        var left = destinations
        while left != 0 {
            let bit = left.trailingZeroBitCount
            left &= left &- 1
            var snaplen = 0
            var carriers = taps
            while carriers != 0 {
                let tap = carriers.trailingZeroBitCount
                carriers &= carriers &- 1
                if desk.masks[tap] >> UInt64(bit) & 1 != 0 { snaplen = max(snaplen, slot.taps[tap].rules.snaplen) }
            }
            let destination = table.pointee.destinations + Int(slot.destinations[bit])
            let outcome = emit(frame, snaplen: snaplen, destination, &umem)
            destination.pointee.counters.note(outcome, 1)
            if slot.watchers >> UInt64(bit) & 1 != 0 { continue }
            carriers = taps
            while carriers != 0 {
                let tap = carriers.trailingZeroBitCount
                carriers &= carriers &- 1
                if desk.masks[tap] >> UInt64(bit) & 1 != 0 { slot.taps[tap].counters.note(outcome, 1) }
            }
            note(outcome, slot, spreads, choosing: bit)
        }
    }

    /// Counts what taps over their limits would have carried: for them, and for a destination or a spread that no other tap
    /// serves.
    @inline(__always)
    private func refuse(_ slot: Slot, _ taps: UInt64, besides served: UInt64, _ spreads: UInt64) {
        let outcome = Outcome.dropped(.rateLimited)
        var left = resolve(slot, taps).destinations & ~served & ~slot.watchers
        while left != 0 {
            let bit = left.trailingZeroBitCount
            left &= left &- 1
            table.pointee.destinations[Int(slot.destinations[bit])].counters.note(outcome, 1)
        }
        left = spreads
        while left != 0 {
            slot.spreads[left.trailingZeroBitCount].counters.note(outcome, 1)
            left &= left &- 1
        }
        left = taps
        while left != 0 {
            let tap = left.trailingZeroBitCount
            slot.taps[tap].counters.note(outcome, UInt64((desk.masks[tap] & ~slot.watchers).nonzeroBitCount))
            left &= left &- 1
        }
    }

    @inline(__always)
    private func note(_ outcome: Outcome, _ slot: Slot, _ spreads: UInt64, choosing bit: Int) {
        var left = spreads
        while left != 0 {
            let spread = left.trailingZeroBitCount
            if Int(desk.choices[spread]) == bit { slot.spreads[spread].counters.note(outcome, 1) }
            left &= left &- 1
        }
    }
}
