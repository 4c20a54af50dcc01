// The VXLAN header (RFC 7348 section 5): nothing in it differs from packet to packet, reserved bits are 0.
//
//   0  flags(1): I  reserved(3)
//   4  VNI(3)  reserved(1)

enum VXLAN {
    static let length = 8

    static func writeTemplate(_ at: UnsafeMutableRawPointer, vni: UInt32) {
        at.put8(0x08, 0)
        at.put32(vni << 8, 4)
    }
}
