// The ERSPAN headers behind GRE (draft-foschiano-erspan-03 sections 4.2 and 4.3), as the Linux kernel writes and reads
// them (include/net/erspan.h). A tag of the frame stays in it and is shown in the header too.
//
//   0  version(4 bits) VLAN(12)  COS(3) En or BSO(2) T(1) session(10)
//   4  Type II:  reserved(12) index(20)
//   4  Type III: timestamp(32)
//   8            SGT(16)  P(1) FT(5) hardware(6) D(1) Gra(2) O(1)

enum ERSPAN {
    static let lengthOfTypeII = 8
    static let lengthOfTypeIII = 12

    /// T: the frame was cut.
    private static var truncated: UInt32 { 1 << 10 }
    /// En: the tag is preserved in the frame.
    private static var tagged: UInt32 { 3 << 11 }
    /// P: what follows is an Ethernet frame.
    private static var ethernet: UInt32 { 1 << 15 }
    /// D: seen at the port's egress, OUT.
    private static var egress: UInt32 { 1 << 3 }
    /// Nanoseconds of one step of the timestamp (Gra 00).
    private static var step: UInt64 { 100_000 }

    static func writeTypeII(_ at: UnsafeMutableRawPointer, session: UInt32) { at.put32(1 << 28 | session, 0) }

    static func writeTypeIII(_ at: UnsafeMutableRawPointer, session: UInt32) {
        at.put32(2 << 28 | session, 0)
        at.put32(ethernet, 8)
    }

    /// - Parameters:
    ///   - frame: the inner frame, of which `readable` bytes are here.
    ///   - isCut: whether bytes of the frame are missing.
    @inline(__always)
    static func fillTypeII(
        _ at: UnsafeMutableRawPointer, _ frame: UnsafeRawPointer, _ readable: Int, isCut: Bool
    ) {
        let tag = tagBits(frame, readable)
        at.put32(
            UnsafeRawPointer(at).big32(0) | tag.bits | (tag.isThere ? tagged : 0) | (isCut ? truncated : 0), 0)
    }

    @inline(__always)
    static func fillTypeIII(
        _ at: UnsafeMutableRawPointer, _ frame: UnsafeRawPointer, _ readable: Int, isCut: Bool, _ origin: Origin
    ) {
        at.put32(
            UnsafeRawPointer(at).big32(0) | tagBits(frame, readable).bits | (isCut ? truncated : 0), 0)
        at.put32(UInt32(truncatingIfNeeded: origin.time / step), 4)
        at.put32(ethernet | (origin.isOut ? egress : 0), 8)
    }

    /// VLAN id and priority of the frame's outermost tag, in their places.
    @inline(__always)
    private static func tagBits(_ frame: UnsafeRawPointer, _ readable: Int) -> (isThere: Bool, bits: UInt32) {
        guard readable >= 16 else { return (false, 0) }
        let type = frame.big16(12)
        guard type == EtherType.vlan || type == EtherType.serviceVLAN else { return (false, 0) }
        let control = UInt32(frame.big16(14))
        return (true, (control & 0x0FFF) << 16 | control & 0xE000)
    }
}
