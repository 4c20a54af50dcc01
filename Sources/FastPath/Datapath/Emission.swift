// One copy of one wire frame toward one destination: the outer header and the frame go into UMEM chunks, and their
// descriptors onto the uplink's TX ring. Nothing here waits: a copy that finds no room is dropped with its reason.

import CShims
import MirrorProgram

/// A frame as it is to appear on the wire: a head of its own (a tag put back, a segment's headers) and a body that is
/// copied from where it was captured.
struct WireFrame {
    var head: UnsafeRawPointer
    var headLength: Int
    var body: UnsafeRawPointer
    var bodyLength: Int
    /// Where `checksum` goes, in bytes from the frame's first one; -1 for nowhere.
    var checksumAt = -1
    /// In host order.
    var checksum: UInt16 = 0
    /// Bytes of the frame that were not captured: they lie behind the body.
    var missing = 0
    var hash: UInt32
    var origin: Origin

    @inline(__always) var isCut: Bool { missing != 0 }
    /// Bytes that are there.
    @inline(__always) var length: Int { headLength &+ bodyLength }
}

/// What became of a copy.
struct Outcome {
    /// Raw value of a `DropReason`, or `Destination.noFate` when the copy was handed to the uplink.
    var fate: UInt8
    /// Bytes of the inner frames that left.
    var bytes = 0
    var truncated = false

    @inline(__always)
    static func dropped(_ reason: DropReason) -> Outcome { Outcome(fate: UInt8(truncatingIfNeeded: reason.index)) }
}

/// Copies `frame` behind its outer header and queues it.
///
/// - Parameter snaplen: bytes of it that are wanted.
@inline(always)
func emit(
    _ frame: WireFrame, snaplen: Int = .max, _ destination: UnsafeMutablePointer<Destination>, _ umem: inout UMEM
) -> Outcome {
    if destination.pointee.fate != Destination.noFate { return Outcome(fate: destination.pointee.fate) }
    let header = destination.pointee.headerLength
    // The checksum is written into the first chunk: headers of 4 KB are nobody's.
    if header &+ frame.checksumAt &+ 2 > UMEM.chunkSize { return .dropped(.malformed) }
    let limit = destination.pointee.frameLimit
    let wanted = min(frame.length, snaplen)
    if wanted > limit && destination.pointee.dropsOversize { return .dropped(.exceedsMTU) }
    let length = min(wanted, limit)
    let truncated = length < frame.length || frame.isCut
    let total = header &+ length
    let chunks = (total &+ (UMEM.chunkSize &- 1)) / UMEM.chunkSize
    let uplink = destination.pointee.uplink
    guard uplink.pointee.makeRoom(chunks, &umem) else { return .dropped(.txRingFull) }
    if umem.spare < chunks {
        uplink.pointee.reclaim(&umem)
        if umem.spare < chunks { return .dropped(.umemExhausted) }
    }
    if uplink.pointee.exceed(total) { return .dropped(.uplinkLimited) }
    let place = UMEM.Place.transmit(uplink.pointee.number)
    let first = umem.take(for: place)
    let start = umem.base + Int(UMEM.address(of: first))
    // In whole blocks: what is too much lies where the frame comes next.
    if header > 64 {
        start.copyMemory(from: destination.pointee.template, byteCount: 128)
    } else if header != 0 {
        start.copyMemory(from: destination.pointee.template, byteCount: 64)
    }
    let inner = start + header
    if frame.headLength > 0 { inner.copyMemory(from: frame.head, byteCount: min(frame.headLength, length)) }
    let room = UMEM.chunkSize &- header &- frame.headLength
    var left = length &- frame.headLength
    var part = min(left, room)
    if part > 0 { (inner + frame.headLength).copyMemory(from: frame.body, byteCount: part) }
    if frame.checksumAt >= 0 && frame.checksumAt &+ 2 <= length {
        inner.put16(frame.checksum, frame.checksumAt)
    }
    left &-= max(part, 0)
    var queued = min(total, UMEM.chunkSize)
    if header != 0 {
        withUnsafePointer(to: &destination.pointee.outer) {
            OuterFill.fill(
                $0, start, UnsafeRawPointer(inner), readable: queued &- header, length: length,
                isCut: truncated, hash: frame.hash, frame.origin)
        }
    }
    let transport = destination.pointee.outer.transport
    let hasChecksum = destination.pointee.outer.hasChecksum
    var sum = RunningSum()
    if hasChecksum { sum.add(start + transport, queued &- transport) }
    uplink.pointee.queue(address: UMEM.address(of: first), length: queued, continues: queued < total)
    var from = frame.body + max(part, 0)
    while left > 0 {
        let chunk = umem.take(for: place)
        let memory = umem.base + Int(UMEM.address(of: chunk))
        part = min(left, UMEM.chunkSize)
        memory.copyMemory(from: from, byteCount: part)
        if hasChecksum { sum.add(memory, part) }
        from += part
        left &-= part
        queued &+= part
        uplink.pointee.queue(address: UMEM.address(of: chunk), length: part, continues: queued < total)
    }
    // The kernel sees none of the descriptors before the next kick.
    if hasChecksum { destination.pointee.outer.complete(start, sum) }
    return Outcome(fate: Destination.noFate, bytes: length, truncated: truncated)
}

/// Sends a received frame from the chunks it came in: the outer header goes into the headroom of the first.
///
/// - Parameters:
///   - parts: descriptors of the frame as received; the chunks are the kernel's again, or free, afterwards.
///   - length: bytes of the frame.
@inline(__always)
func emitInPlace(
    _ parts: UnsafeMutablePointer<xdp_desc>, _ count: Int, length received: Int, hash: UInt32, _ origin: Origin,
    _ destination: UnsafeMutablePointer<Destination>, _ umem: inout UMEM
) -> Outcome {
    let outcome = prepareInPlace(parts, count, received, destination, &umem)
    guard outcome.fate == Destination.noFate else {
        for index in 0..<count { umem.give(UMEM.chunk(of: parts[index].addr)) }
        return outcome
    }
    let uplink = destination.pointee.uplink
    let header = destination.pointee.headerLength
    let place = UMEM.Place.transmit(uplink.pointee.number)
    let address = parts[0].addr &- UInt64(header)
    let start = umem.base + Int(address)
    let transport = destination.pointee.outer.transport
    let hasChecksum = destination.pointee.outer.hasChecksum
    var sum = RunningSum()
    if header != 0 {
        start.copyMemory(from: destination.pointee.template, byteCount: header)
        withUnsafePointer(to: &destination.pointee.outer) {
            OuterFill.fill(
                $0, start, UnsafeRawPointer(start + header), readable: min(outcome.bytes, Int(parts[0].len)),
                length: outcome.bytes, isCut: outcome.truncated, hash: hash, origin)
        }
        if hasChecksum { sum.add(start + transport, header &- transport) }
    }
    var left = outcome.bytes
    for index in 0..<count {
        let chunk = UMEM.chunk(of: parts[index].addr)
        let part = min(left, Int(parts[index].len))
        left &-= part
        if part == 0 {
            umem.give(chunk)
            continue
        }
        umem.move(chunk, to: place)
        if hasChecksum { sum.add(umem.base + Int(parts[index].addr), part) }
        uplink.pointee.queue(
            address: index == 0 ? address : parts[index].addr, length: index == 0 ? part &+ header : part,
            continues: left > 0)
    }
    if hasChecksum { destination.pointee.outer.complete(start, sum) }
    return outcome
}

/// What will become of a received frame that is to be sent from its own chunks.
@inline(__always)
private func prepareInPlace(
    _ parts: UnsafeMutablePointer<xdp_desc>, _ count: Int, _ received: Int,
    _ destination: UnsafeMutablePointer<Destination>, _ umem: inout UMEM
) -> Outcome {
    if destination.pointee.fate != Destination.noFate { return Outcome(fate: destination.pointee.fate) }
    let limit = destination.pointee.frameLimit
    if received > limit && destination.pointee.dropsOversize { return .dropped(.exceedsMTU) }
    let uplink = destination.pointee.uplink
    guard uplink.pointee.makeRoom(count, &umem) else { return .dropped(.txRingFull) }
    if uplink.pointee.exceed(destination.pointee.headerLength &+ min(received, limit)) {
        return .dropped(.uplinkLimited)
    }
    return Outcome(fate: Destination.noFate, bytes: min(received, limit), truncated: received > limit)
}
