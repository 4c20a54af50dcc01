// Super-frames into wire frames: what the sender's NIC, or the kernel for a NIC that cannot, would have put on the
// wire (net/ipv4/tcp_offload.c, udp_offload.c): lengths, IP identifications, TCP sequence numbers and flags, checksums.
// Before it: CaptureRings.swift. After it: Mirror.swift, once for every segment.

import CShims
import MirrorProgram

/// SKB_GSO_* of linux/skbuff.h, as far as they change what is done here.
enum Offload {
    /// SKB_GSO_TCP_FIXEDID: bit 3, and since 6.18 bit 30.
    @inline(__always) static var fixedIdentification: UInt32 { 1 << 3 | 1 << 30 }
    /// GRE, GRE with checksum, IP in IP (4, 6), UDP tunnel (with checksum), remote checksum, SCTP, ESP, UDP fragments,
    /// and lists of frames with headers of their own.
    @inline(__always) static var unsupported: UInt32 {
        1 << 6 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 13 | 1 << 14 | 1 << 15 | 1 << 16 | 1 << 18
    }
    /// CWR belongs to every segment, not only to the first.
    @inline(__always) static var accurateECN: UInt32 { 1 << 19 }
    /// CWR is set: it belongs to the first segment.
    @inline(__always) static var congestion: UInt32 { 1 << 2 }
    /// Those that a virtio-net header can say: TCP over IPv4 and IPv6, UDP, CWR; and "to be checked".
    @inline(__always) static var plain: UInt32 { 1 << 0 | 1 << 1 | congestion | 1 << 4 | 1 << 17 }
}

/// TCP flags (RFC 9293 section 3.1) in the octet at 13.
private enum Flag {
    @inline(__always) static var finPush: UInt8 { 0x09 }
    @inline(__always) static var congestionWindowReduced: UInt8 { 0x80 }
}

/// Longest headers that are rewritten: Ethernet, tags, IP with options or extension headers, TCP with options.
private var longestHeaders: Int { 400 }

/// Most segments of one super-frame: a full one at the smallest usual segment size, 65,535 / 32. A sender that asks
/// for more would keep the worker from everybody else.
private var mostSegments: Int { 2048 }

extension Worker {
    /// Mirrors every segment of a captured super-frame.
    @inline(__always)
    mutating func segment(
        _ record: hs_record, _ bytes: UnsafeRawPointer, _ layers: Layers, hash: UInt32, _ match: Match
    ) {
        let frames = UInt64(max(record.gso_segments, 1))
        let captured = Int(record.captured)
        let isTCP = layers.transport == IPProtocol.tcp
        // Where the kernel does not tell the kind, a UDP super-frame may be a tunnel's.
        let isKnown = record.flags & UInt8(HS_CHECKSUM_UNKNOWN.rawValue) == 0
        guard record.gso_type & Offload.unsupported == 0, isTCP || (isKnown && layers.transport == IPProtocol.udp)
        else {
            match.drop(frames, .unsegmentable, table.pointee.destinations)
            return
        }
        guard layers.version != 0, layers.payload &+ (isTCP ? 20 : 8) <= captured else {
            match.drop(frames, .malformed, table.pointee.destinations)
            return
        }
        let headers = layers.payload &+ (isTCP ? Int(bytes.byte(layers.payload &+ 12) >> 4) &* 4 : 8)
        let size = Int(record.gso_size)
        guard headers >= layers.payload &+ (isTCP ? 20 : 8), headers < captured, headers <= longestHeaders else {
            match.drop(frames, .malformed, table.pointee.destinations)
            return
        }
        let payload = max(captured, Int(record.length)) &- headers
        guard payload / size < mostSegments else {
            match.drop(frames, .unsegmentable, table.pointee.destinations)
            return
        }
        var match = match
        sendWhole(record, bytes, layers, headers: headers, &match)
        if match.destinations == 0 && match.slot.pointee.isPlain { return }
        let shift = copyHeaders(record, bytes, layers, headers)
        let plan = SegmentPlan(
            layers: layers, shift: shift, headers: headers &+ shift.transport, isTCP: isTCP,
            identification: layers.version == 4 ? bytes.big16(layers.network &+ 4) : 0,
            identificationStep: record.gso_type & Offload.fixedIdentification != 0 ? 0 : 1,
            sequence: isTCP ? bytes.big32(layers.payload &+ 4) : 0,
            flags: isTCP ? bytes.byte(layers.payload &+ 13) : 0,
            congestionOnEvery: record.gso_type & Offload.accurateECN != 0)
        var offset = 0
        var index: UInt16 = 0
        while offset < payload {
            let wanted = min(size, payload &- offset)
            let body = bytes + (headers &+ offset)
            let there = max(0, min(wanted, captured &- headers &- offset))
            plan.write(
                scratch, body, index: index, offset: offset, length: wanted, there: there,
                last: offset &+ wanted >= payload)
            mirror(
                WireFrame(
                    head: UnsafeRawPointer(scratch), headLength: plan.headers, body: body, bodyLength: there,
                    missing: wanted &- there, hash: hash, origin: origin(of: record)), match)
            offset &+= wanted
            index &+= 1
        }
        emitted &+= Int(index)
    }

    /// Puts the headers into `scratch`, with the tag that the kernel took out.
    ///
    /// - Returns: by how many bytes the network header and the transport header have moved.
    @inline(__always)
    private func copyHeaders(
        _ record: hs_record, _ bytes: UnsafeRawPointer, _ layers: Layers, _ headers: Int
    ) -> (network: Int, transport: Int) {
        var shift = 0
        if record.flags & UInt8(HS_VLAN.rawValue) == 0 {
            scratch.copyMemory(from: bytes, byteCount: headers)
        } else {
            scratch.copyMemory(from: bytes, byteCount: 12)
            putTag(record)
            (scratch + 16).copyMemory(from: bytes + 12, byteCount: headers &- 12)
            shift = 4
        }
        guard layers.hasJumboOption(bytes) else { return (shift, shift) }
        // The kernel puts it into super-frames only, and takes it out of their segments.
        let option = scratch + (layers.network &+ shift &+ 40)
        (scratch + (layers.network &+ shift)).put8(layers.transport, 6)
        option.copyMemory(from: option + 8, byteCount: headers &- layers.network &- 48)
        return (shift, shift &- 8)
    }
}

/// What is the same for all segments of a super-frame.
private struct SegmentPlan {
    var layers: Layers
    var shift: (network: Int, transport: Int)
    /// Bytes of headers in a segment.
    var headers: Int
    var isTCP: Bool
    var identification: UInt16
    var identificationStep: UInt16
    var sequence: UInt32
    var flags: UInt8
    var congestionOnEvery: Bool

    /// Writes the headers of the segment of `length` bytes at `offset` of the payload, `there` of which were captured. The
    /// checksum of one that is not whole cannot be known: it is 0.
    @inline(__always)
    func write(
        _ head: UnsafeMutableRawPointer, _ body: UnsafeRawPointer, index: UInt16, offset: Int, length: Int,
        there: Int, last: Bool
    ) {
        let network = layers.network &+ shift.network
        let transport = layers.payload &+ shift.transport
        if layers.version == 4 {
            head.put16(UInt16(truncatingIfNeeded: headers &- network &+ length), network &+ 2)
            head.put16(identification &+ identificationStep &* index, network &+ 4)
            head.put16(0, network &+ 10)
            head.put16(~Checksum.fold(Checksum.sum(head + network, transport &- network)), network &+ 10)
        } else {
            head.put16(UInt16(truncatingIfNeeded: headers &- network &- 40 &+ length), network &+ 4)
        }
        let checksum: Int
        if isTCP {
            head.put32(sequence &+ UInt32(truncatingIfNeeded: offset), transport &+ 4)
            var own = flags
            if !last { own &= ~Flag.finPush }
            if offset > 0 && !congestionOnEvery { own &= ~Flag.congestionWindowReduced }
            head.put8(own, transport &+ 13)
            checksum = transport &+ 16
        } else {
            head.put16(UInt16(truncatingIfNeeded: 8 &+ length), transport &+ 4)
            checksum = transport &+ 6
        }
        head.put16(0, checksum)
        if there < length { return }
        let transportLength = headers &- transport &+ length
        var sum = Checksum.sum(head + transport, headers &- transport) &+ Checksum.sum(body, length)
        sum &+= pseudoHeader(UnsafeRawPointer(head), network, transportLength)
        let folded = ~Checksum.fold(sum)
        head.put16(folded == 0 && !isTCP ? 0xFFFF : folded, checksum)
    }

    @inline(__always)
    private func pseudoHeader(_ head: UnsafeRawPointer, _ network: Int, _ transportLength: Int) -> UInt64 {
        var moved = layers
        moved.network = network
        return Checksum.pseudoHeader(head, moved, transportLength: transportLength)
    }
}

extension Layers {
    /// Whether a hop-by-hop header with nothing but the jumbo payload option (RFC 2675 section 2) stands before TCP, as
    /// Linux marks its own super-frames above 64 KB (net/ipv6.h, ipv6_has_hopopt_jumbo).
    @inline(__always)
    fileprivate func hasJumboOption(_ frame: UnsafeRawPointer) -> Bool {
        version == 6 && transport == IPProtocol.tcp && payload == network &+ 48
            && frame.byte(network &+ 6) == IPProtocol.hopByHop && frame.big32(network &+ 40) & 0x00FF_FFFF == 0x00C204
    }
}
