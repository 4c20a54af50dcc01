// The outer IPv4, IPv6 and UDP headers: what a template has of them, and what is filled in for each packet.
// Between OuterHeader.swift and the encapsulations.

import MirrorProgram

/// RFC 791 section 3.1: never fragmented, so DF is set and the identification is 0 (RFC 6864 section 4).
enum OuterIPv4 {
    //  0 version, DSCP, length(2) .. 6 flags  8 TTL  9 protocol  10 checksum  12 source  16 destination
    static func writeTemplate(
        _ at: UnsafeMutableRawPointer, _ tunnel: MirrorProgram.Tunnel, source: IPAddress, _ proto: UInt8
    ) {
        at.put8(0x45, 0)
        at.put8(tunnel.dscp << 2, 1)
        at.put16(0x4000, 6)
        at.put8(tunnel.timeToLive, 8)
        at.put8(proto, 9)
        at.put(source.octets, 12)
        at.put(tunnel.remote.octets, 16)
    }

    /// - Parameter sum: the template's own, to which the length is added.
    @inline(__always)
    static func fill(_ at: UnsafeMutableRawPointer, total: UInt16, sum: UInt32) {
        at.put16(total, 2)
        at.put16(~Checksum.fold(UInt64(sum) &+ UInt64(total)), 10)
    }
}

/// RFC 8200 section 3, with a flow label by the flow's hash (RFC 6437, RFC 6438).
enum OuterIPv6 {
    //  0 version, traffic class, flow label  4 payload length  6 next header  7 hop limit  8 source  24 destination
    static func writeTemplate(
        _ at: UnsafeMutableRawPointer, _ tunnel: MirrorProgram.Tunnel, source: IPAddress, _ proto: UInt8
    ) {
        at.put32(0x6000_0000 | UInt32(tunnel.dscp) << 22, 0)
        at.put8(proto, 6)
        at.put8(tunnel.timeToLive, 7)
        at.put(source.octets, 8)
        at.put(tunnel.remote.octets, 24)
    }

    @inline(__always)
    static func fill(_ at: UnsafeMutableRawPointer, payload: UInt16, hash: UInt32) {
        at.put32(UnsafeRawPointer(at).big32(0) | hash >> 12, 0)
        at.put16(payload, 4)
    }
}

/// RFC 768.
enum UDP {
    static let length = 8

    //  0 source port  2 destination port  4 length  6 checksum
    static func writeTemplate(_ at: UnsafeMutableRawPointer, port: UInt16) { at.put16(port, 2) }

    @inline(__always)
    static func fill(_ at: UnsafeMutableRawPointer, sourcePort: UInt16, length: UInt16) {
        at.put16(sourcePort, 0)
        at.put16(length, 4)
    }
}
