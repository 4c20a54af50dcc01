// Ethernet, IPv4, UDP and VXLAN in front of a copy: the 50 bytes are written from a template made when the next hop
// is resolved; four fields are filled in for each frame. Before it: FlowHash.swift. After it: Uplink.swift.
//
//    0  Ethernet  destination(6) source(6) 0x0800            RFC 894
//   14  IPv4      version.. length(16) .. checksum(24) ..    RFC 791, DF set, identification 0 (RFC 6864 section 4)
//   34  UDP       source(34) destination(36) length(38) 0    RFC 768, checksum 0 as RFC 7348 section 4.1 wants
//   42  VXLAN     0x08 0 0 0, VNI(46..48), 0                 RFC 7348 section 5, reserved bits 0

/// The outer header of one VXLAN tunnel.
public struct VXLAN: Hashable, Sendable {
    /// Bytes in front of the inner frame.
    public static var headerLength: Int { 50 }
    /// Bytes of an outer IP packet that are not inner frame: IPv4, UDP and VXLAN headers.
    public static var overhead: Int { 36 }

    /// Six octets each, in transmission order.
    public var destinationMAC, sourceMAC: [UInt8]
    /// In host order.
    public var source, remote: UInt32
    /// 0 ... 0xFF_FFFF.
    public var vni: UInt32
    /// UDP destination port.
    public var port: UInt16
    public var timeToLive: UInt8

    public init(
        destinationMAC: [UInt8], sourceMAC: [UInt8], source: UInt32, remote: UInt32, vni: UInt32, port: UInt16 = 4789,
        timeToLive: UInt8 = 64
    ) {
        self.destinationMAC = destinationMAC
        self.sourceMAC = sourceMAC
        self.source = source
        self.remote = remote
        self.vni = vni
        self.port = port
        self.timeToLive = timeToLive
    }

    /// Writes the template: everything but lengths, IPv4 checksum and UDP source port.
    ///
    /// - Parameter header: at least `headerLength` bytes.
    package func writeTemplate(_ header: UnsafeMutableRawPointer) {
        header.initializeMemory(as: UInt8.self, repeating: 0, count: Self.headerLength)
        for index in 0..<6 {
            header.put8(destinationMAC[index], index)
            header.put8(sourceMAC[index], 6 + index)
        }
        header.put16(EtherType.ipv4, 12)
        header.put8(0x45, 14)
        header.put16(0x4000, 20)
        header.put8(timeToLive, 22)
        header.put8(IPProtocol.udp, 23)
        header.put32(source, 26)
        header.put32(remote, 30)
        header.put16(port, 36)
        header.put8(0x08, 42)
        header.put32(vni << 8, 46)
    }

    /// Sum of a template's IPv4 header, to which a packet's total length is added.
    package static func addressSum(_ template: UnsafeRawPointer) -> UInt32 { UInt32(Checksum.sum(template + 14, 20)) }

    /// Fills in what differs from frame to frame.
    ///
    /// - Parameters:
    ///   - header: a template's copy.
    ///   - sum: `addressSum` of the template.
    ///   - frameLength: bytes of the inner frame that follow, at most 65,499.
    ///   - hash: `FlowHash.symmetric` of the inner frame; the source port lies in 49152 ... 65535 (RFC 7348 section 5).
    @inline(__always)
    package static func fill(_ header: UnsafeMutableRawPointer, sum: UInt32, frameLength: Int, hash: UInt32) {
        let total = UInt16(truncatingIfNeeded: frameLength &+ overhead)
        header.put16(total, 16)
        header.put16(~Checksum.fold(UInt64(sum) &+ UInt64(total)), 24)
        header.put16(0xC000 | UInt16(truncatingIfNeeded: hash >> 16) & 0x3FFF, 34)
        header.put16(total &- 20, 38)
    }
}
