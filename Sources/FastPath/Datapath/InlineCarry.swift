// The `inline` ports: every original goes on by its descriptor, and only then are copies made of it. Before it:
// InlineLane.swift. After it: the other port's TX ring, then Mirror.swift.
//
// Whoever is late must not be later still: while the heartbeat is older than `InlineLane.patience`, inline.bpf.c sends
// frames from port to port without us. What had been received before is older than what has left since, so it is
// discarded. The heartbeat is therefore looked at before it is written, and once more before anything is sent.

import CShims
import MirrorProgram
import Synchronization

extension Worker {
    /// Carries what waits on every lane.
    ///
    /// - Returns: the number of frames.
    @inline(__always)
    mutating func carryInline() -> Int {
        let lanes = table.pointee.lanes
        let count = table.pointee.laneCount
        if count == 0 { return 0 }
        var now = hs_clock()
        if now &- heartbeat > InlineLane.patience {
            for index in 0..<count { discard(lanes + index, now) }
            now = hs_clock()
        }
        heartbeat = now
        for index in 0..<table.pointee.heartbeatCount {
            table.pointee.heartbeats[index].pointee.store(now, ordering: .releasing)
        }
        turnTime = now &+ toRealTime
        var taken = 0
        for index in 0..<count { taken &+= carry(lanes + index, now) }
        return taken
    }

    /// Sends on a batch of one lane, then mirrors it.
    @inline(__always)
    private mutating func carry(_ lane: UnsafeMutablePointer<InlineLane>, _ now: UInt64) -> Int {
        let exit = lane.pointee.exit
        let source = lane.pointee.source
        settle(lane, now)
        let available = min(source.pointee.available(), InlineLane.batch)
        if available > 0 && hs_clock() &- heartbeat <= InlineLane.patience {
            let place = UMEM.Place.transmit(exit.pointee.number)
            var passed = 0
            for index in 0..<available {
                let frame = source.pointee.receive.peek(UInt32(truncatingIfNeeded: index))
                let chunk = UMEM.chunk(of: frame.addr)
                if exit.pointee.transmit.hasRoom(1) {
                    umem.move(chunk, to: place)
                    exit.pointee.queue(address: frame.addr, length: Int(frame.len), continues: false)
                    parts[passed] = frame
                    passed &+= 1
                } else {
                    umem.give(chunk)
                }
            }
            source.pointee.receive.advance(UInt32(truncatingIfNeeded: available))
            source.pointee.receive.release()
            exit.pointee.kick(&umem)
            lane.pointee.counters.add(passed, InlineCounters.Word.forwarded)
            lane.pointee.counters.add(available &- passed, InlineCounters.Word.blocked)
            source.pointee.refill(&umem)
            copy(lane, passed)
        } else {
            source.pointee.refill(&umem)
        }
        return available
    }

    /// Takes back what was sent, and what the other port has not taken for so long that it would come too late.
    @inline(__always)
    private mutating func settle(_ lane: UnsafeMutablePointer<InlineLane>, _ now: UInt64) {
        let exit = lane.pointee.exit
        let counters = lane.pointee.counters
        exit.pointee.beginTurn(&umem)
        if exit.pointee.transmit.pending() > 0 { exit.pointee.kick(&umem) }
        if exit.pointee.transmit.pending() == 0 {
            counters.words[InlineCounters.Word.clear] = now
        } else if lane.pointee.isCopying && now &- counters.words[InlineCounters.Word.clear] > InlineLane.patience {
            let count = exit.pointee.retract(&umem)
            counters.words[InlineCounters.Word.forwarded] &-= UInt64(truncatingIfNeeded: count)
            counters.add(count, InlineCounters.Word.blocked)
        }
    }

    /// The kernel has carried later frames: what waits is let go.
    @inline(__always)
    private mutating func discard(_ lane: UnsafeMutablePointer<InlineLane>, _ now: UInt64) {
        let source = lane.pointee.source
        let exit = lane.pointee.exit
        let count = source.pointee.receive.available()
        var index: UInt32 = 0
        while index < count {
            umem.give(UMEM.chunk(of: source.pointee.receive.peek(index).addr))
            index &+= 1
        }
        source.pointee.receive.advance(count)
        source.pointee.receive.release()
        lane.pointee.counters.add(Int(count), InlineCounters.Word.stale)
        if lane.pointee.isCopying {
            let unsent = exit.pointee.retract(&umem)
            lane.pointee.counters.words[InlineCounters.Word.forwarded] &-= UInt64(truncatingIfNeeded: unsent)
            lane.pointee.counters.add(unsent, InlineCounters.Word.stale)
        }
        lane.pointee.counters.words[InlineCounters.Word.clear] = now
    }

    /// Mirrors the frames in `parts`. Their chunks are in the TX ring or behind it, and nobody writes into them before
    /// the next turn takes them back.
    @inline(__always)
    private mutating func copy(_ lane: UnsafeMutablePointer<InlineLane>, _ count: Int) {
        let slot = table.pointee.slots + lane.pointee.slot
        let match = Match(
            slot, taps: lane.pointee.direction == 0 ? slot.pointee.inward : slot.pointee.outward, isJudged: false)
        if match.taps == 0 || match.destinations == 0 && slot.pointee.isPlain { return }
        for index in 0..<count {
            let length = Int(parts[index].len)
            let first = UnsafeRawPointer(umem.base + Int(parts[index].addr))
            if length < 14 {
                match.drop(1, .malformed, table.pointee.destinations)
                continue
            }
            let hash = FlowHash.symmetric(first, length, Layers(first, length))
            let origin = Origin(
                time: turnTime, slot: UInt16(truncatingIfNeeded: lane.pointee.slot), direction: lane.pointee.direction)
            mirror(
                WireFrame(head: first, headLength: 0, body: first, bodyLength: length, hash: hash, origin: origin),
                match)
        }
    }
}
