// The GRE header (RFC 2784, with key and sequence number of RFC 2890), no checksum.
//
//   0  flags(2): K 0x2000, S 0x1000  protocol(2)
//   4  key(4), with K
//      sequence number(4), with S

enum GRE {
    /// Transparent Ethernet bridging; Geneve uses the same number.
    static let ethernet: UInt16 = 0x6558
    static let erspan2: UInt16 = 0x88BE
    static let erspan3: UInt16 = 0x22EB

    static func length(hasKey: Bool, isSequenced: Bool) -> Int { 4 + (hasKey ? 4 : 0) + (isSequenced ? 4 : 0) }

    static func writeTemplate(_ at: UnsafeMutableRawPointer, proto: UInt16, key: UInt32?, isSequenced: Bool) {
        at.put16((key == nil ? 0 : 0x2000) | (isSequenced ? 0x1000 : 0), 0)
        at.put16(proto, 2)
        if let key { at.put32(key, 4) }
    }

    /// Gives the packet the next number.
    @inline(__always)
    static func number(_ at: UnsafeMutableRawPointer, _ sequence: UnsafeMutablePointer<UInt32>) {
        at.put32(sequence.pointee, 0)
        sequence.pointee &+= 1
    }
}
