// The `span` source: frames that a steered port already carries as copies. With one destination the received chunks
// themselves are sent; further destinations get copies first. Before it: SpanSource.swift. After it: Emission.swift.

import CShims
import MirrorProgram

/// Chunks that one frame may take: a jumbo frame of 65,535 bytes.
private var longestChain: Int { 18 }

extension Worker {
    /// Acts on up to `budget` frames of one queue and refills it.
    ///
    /// - Returns: the number of descriptors taken.
    @inline(__always)
    mutating func takeReceived(_ span: UnsafeMutablePointer<SpanSource>, budget: Int) -> Int {
        let available = span.pointee.available()
        var taken = 0
        while taken < available && taken < budget {
            var count = 0
            var length = 0
            var complete = false
            while !complete && taken &+ count < available {
                let part = span.pointee.receive.peek(UInt32(truncatingIfNeeded: count))
                parts[min(count, longestChain)] = part
                length &+= Int(part.len)
                count &+= 1
                complete = part.options & HS_XDP_PKT_CONTD == 0
            }
            if !complete { break }
            for index in 0..<count {
                let chunk = UMEM.chunk(of: span.pointee.receive.peek(UInt32(truncatingIfNeeded: index)).addr)
                index < longestChain ? umem.move(chunk, to: UMEM.Place.received) : umem.give(chunk)
            }
            span.pointee.receive.advance(UInt32(truncatingIfNeeded: count))
            take(span.pointee.slot, min(count, longestChain), length, whole: count <= longestChain)
            taken &+= count
        }
        if taken > 0 { span.pointee.receive.release() }
        span.pointee.refill(&umem, sources: table.pointee.spanCount)
        return taken
    }

    /// Acts on the frame whose descriptors are in `parts`.
    @inline(__always)
    private mutating func take(_ slotIndex: Int, _ count: Int, _ length: Int, whole: Bool) {
        let slot = table.pointee.slots + slotIndex
        let match = Match(slot, taps: slot.pointee.known, isJudged: false)
        let first = UnsafeRawPointer(umem.base + Int(parts[0].addr))
        let readable = Int(parts[0].len)
        let isWanted = match.destinations != 0 || !slot.pointee.isPlain
        guard isWanted, whole, readable >= 14 else {
            if isWanted { match.drop(1, .malformed, table.pointee.destinations) }
            giveBack(count)
            return
        }
        let layers = Layers(first, readable)
        let hash = FlowHash.symmetric(first, readable, layers)
        let origin = Origin(time: turnTime, slot: UInt16(truncatingIfNeeded: slotIndex), direction: 0)
        if !slot.pointee.isPlain {
            // A filter may want none of it, and snap lengths may differ: copies.
            let body = count == 1 ? first : gather(count)
            act(
                WireFrame(head: body, headLength: 0, body: body, bodyLength: length, hash: hash, origin: origin), match)
            giveBack(count)
            return
        }
        let last = 63 &- match.destinations.leadingZeroBitCount
        if match.destinations & (match.destinations &- 1) != 0 {
            var copies = match
            copies.destinations &= ~(1 << UInt64(last))
            let body = count == 1 ? first : gather(count)
            mirror(
                WireFrame(head: body, headLength: 0, body: body, bodyLength: length, hash: hash, origin: origin), copies
            )
        }
        let destination = table.pointee.destinations + Int(slot.pointee.destinations[last])
        let outcome = emitInPlace(parts, count, length: length, hash: hash, origin, destination, &umem)
        match.count(outcome, bit: last, destination)
    }

    @inline(__always)
    private mutating func giveBack(_ count: Int) {
        for index in 0..<count { umem.give(UMEM.chunk(of: parts[index].addr)) }
    }

    /// A frame of several chunks in one piece.
    @inline(__always)
    private func gather(_ count: Int) -> UnsafeRawPointer {
        var at = 0
        for index in 0..<count {
            (scratch + at).copyMemory(from: umem.base + Int(parts[index].addr), byteCount: Int(parts[index].len))
            at &+= Int(parts[index].len)
        }
        return UnsafeRawPointer(scratch)
    }
}
