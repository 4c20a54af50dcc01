// What differs from packet to packet in an outer header: lengths, checksums, the flow's entropy, sequence numbers, and
// what some encapsulations tell of a frame. Before it: a template (OuterHeader.swift), copied into a chunk by
// Emission.swift. After it: Uplink.swift.

import CShims
import MirrorProgram

/// Where and when a frame was captured.
struct Origin {
    /// ns since 1970-01-01 UTC.
    var time: UInt64
    /// Slot of the capture point.
    var slot: UInt16
    /// Toward the port's owner or from it: raw value of `hs_direction`.
    var direction: UInt8

    @inline(__always) var isOut: Bool { direction == UInt8(truncatingIfNeeded: HS_OUT.rawValue) }
}

/// The hot half of an `OuterHeader`: numbers and places, resolved before the loop.
struct OuterFill {
    private var encapsulation = MirrorProgram.Encapsulation.vxlan
    private var isIPv6 = false
    /// The UDP checksum is to be filled: see `complete`.
    private(set) var hasChecksum = false
    private var network = 0
    /// Where the UDP or GRE header begins.
    private(set) var transport = 0
    private var overhead = 0
    /// Of the template's IPv4 header.
    private var headerSum: UInt32 = 0
    /// Of the pseudo-header without the length.
    private var pseudoSum: UInt32 = 0
    private var firstPort: UInt16 = 0
    private var portMask: UInt16 = 0
    /// The next number of a sequenced tunnel, shared by all between the same two addresses.
    private var sequence: UnsafeMutablePointer<UInt32>?
    /// Where the sequence number and the ERSPAN header are.
    private var sequenceAt = 0
    private var shimAt = 0
    /// Values of the Geneve options; 0 for those that are not sent.
    private var sourcePortAt = 0
    private var directionAt = 0
    private var timestampAt = 0

    /// No outer header.
    init() {}

    /// - Parameter template: as `header` has written it.
    /// - Precondition: a sequenced tunnel has its `sequence`.
    init(_ header: OuterHeader, template: UnsafeRawPointer, sequence word: SequenceWord?) {
        let tunnel = header.tunnel
        encapsulation = tunnel.encapsulation
        isIPv6 = tunnel.remote.isIPv6
        hasChecksum = header.hasChecksum
        network = header.linkLength
        transport = header.transport
        overhead = header.overhead
        headerSum = isIPv6 ? 0 : UInt32(Checksum.sum(template + network, 20))
        pseudoSum =
            UInt32(isIPv6 ? Checksum.sum(template + network + 8, 32) : Checksum.sum(template + network + 12, 8))
            + UInt32(IPProtocol.udp)
        (firstPort, portMask) = Self.ports(tunnel)
        if tunnel.isSequenced {
            precondition(word != nil)
            sequence = word?.word
        }
        sequenceAt = transport + GRE.length(hasKey: tunnel.encapsulation == .gre, isSequenced: false)
        shimAt = sequenceAt + 4
        let options = { Geneve.value($0, tunnel.geneveOptions).map { header.transport + UDP.length + $0 } ?? 0 }
        sourcePortAt = options(.sourcePort)
        directionAt = options(.direction)
        timestampAt = options(.timestamp)
    }

    /// The first source port, and the bits of the hash that are added to it.
    static func ports(_ tunnel: MirrorProgram.Tunnel) -> (first: UInt16, mask: UInt16) {
        let bits = Int.bitWidth - 1 - tunnel.sourcePorts.count.leadingZeroBitCount
        return (tunnel.sourcePorts.lowerBound, UInt16((1 << bits) - 1))
    }

    /// Fills in everything but a UDP checksum. The packet must be sent: it may have taken a sequence number.
    ///
    /// - Parameters:
    ///   - outer: in place, so that only what the encapsulation needs is read.
    ///   - header: a template's copy.
    ///   - frame: the inner frame, of which `readable` bytes are here and `length` will be sent, at most 65,535 less
    ///     the outer headers.
    ///   - isCut: whether bytes of the frame are missing.
    ///   - hash: `FlowHash.symmetric` of the inner frame.
    @inline(__always)
    static func fill(
        _ outer: UnsafePointer<OuterFill>, _ header: UnsafeMutableRawPointer, _ frame: UnsafeRawPointer, readable: Int,
        length: Int, isCut: Bool, hash: UInt32, _ origin: Origin
    ) {
        let total = UInt16(truncatingIfNeeded: length &+ outer.pointee.overhead)
        let payload: UInt16
        if outer.pointee.isIPv6 {
            payload = total &- 40
            OuterIPv6.fill(header + outer.pointee.network, payload: payload, hash: hash)
        } else {
            payload = total &- 20
            OuterIPv4.fill(header + outer.pointee.network, total: total, sum: outer.pointee.headerSum)
        }
        if outer.pointee.encapsulation == .vxlan || outer.pointee.encapsulation == .geneve {
            // One of a power of two of ports (RFC 7348 section 5).
            let port = outer.pointee.firstPort &+ (UInt16(truncatingIfNeeded: hash >> 16) & outer.pointee.portMask)
            UDP.fill(header + outer.pointee.transport, sourcePort: port, length: payload)
        }
        if outer.pointee.encapsulation != .vxlan { fillRest(outer, header, frame, readable, isCut: isCut, origin) }
    }

    /// What VXLAN does not have.
    @inline(never)
    private static func fillRest(
        _ outer: UnsafePointer<OuterFill>, _ header: UnsafeMutableRawPointer, _ frame: UnsafeRawPointer,
        _ readable: Int,
        isCut: Bool, _ origin: Origin
    ) {
        let encapsulation = outer.pointee.encapsulation
        if encapsulation == .geneve {
            outer.pointee.fillOptions(header, origin)
            return
        }
        if let sequence = outer.pointee.sequence { GRE.number(header + outer.pointee.sequenceAt, sequence) }
        let shim = header + outer.pointee.shimAt
        if encapsulation == .erspan2 { ERSPAN.fillTypeII(shim, frame, readable, isCut: isCut) }
        if encapsulation == .erspan3 { ERSPAN.fillTypeIII(shim, frame, readable, isCut: isCut, origin) }
    }

    private func fillOptions(_ header: UnsafeMutableRawPointer, _ origin: Origin) {
        if sourcePortAt != 0 { header.put32(UInt32(origin.slot), sourcePortAt) }
        if directionAt != 0 { header.put32(origin.isOut ? 2 : 1, directionAt) }
        if timestampAt != 0 {
            header.put32(UInt32(truncatingIfNeeded: origin.time >> 32), timestampAt)
            header.put32(UInt32(truncatingIfNeeded: origin.time), timestampAt &+ 4)
        }
    }

    /// Sets the UDP checksum (RFC 768, RFC 8200 section 8.1).
    ///
    /// - Parameter sum: over everything from the UDP header on, whose checksum field is 0.
    @inline(__always)
    func complete(_ header: UnsafeMutableRawPointer, _ sum: RunningSum) {
        let length = UInt64(UnsafeRawPointer(header).big16(transport &+ 4))
        let checksum = ~Checksum.fold(sum.value &+ UInt64(pseudoSum) &+ length)
        header.put16(checksum == 0 ? 0xFFFF : checksum, transport &+ 6)
    }
}
