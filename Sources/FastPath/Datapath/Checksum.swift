// The Internet checksum (RFC 1071) and its use in IPv4, TCP and UDP headers. Copies leave with complete checksums
// where the sender left the work to its NIC, and with wrong ones where they were wrong.

package enum Checksum {
    /// One's complement sum of bytes as big-endian 16-bit words, not yet folded; an odd last byte is padded with 0.
    @inline(__always)
    package static func sum(_ bytes: UnsafeRawPointer, _ count: Int) -> UInt64 {
        // Sums are independent of byte order up to one swap at the end (RFC 1071 section 2B).
        var even: UInt64 = 0
        var at = 0
        while at &+ 4 <= count {
            even &+= UInt64(bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self))
            at &+= 4
        }
        var little = UInt64(fold32(even))
        if at &+ 2 <= count {
            little &+= UInt64(bytes.loadUnaligned(fromByteOffset: at, as: UInt16.self))
            at &+= 2
        }
        if at < count { little &+= UInt64(bytes.byte(at)) }
        #if _endian(little)
        return UInt64(fold(little).byteSwapped)
        #else
        return UInt64(fold(little))
        #endif
    }

    @inline(__always)
    private static func fold32(_ sum: UInt64) -> UInt32 {
        var value = (sum & 0xFFFF_FFFF) &+ (sum >> 32)
        value = (value & 0xFFFF_FFFF) &+ (value >> 32)
        return UInt32(truncatingIfNeeded: value)
    }

    /// The sum in 16 bits.
    @inline(__always)
    package static func fold(_ sum: UInt64) -> UInt16 {
        var value = UInt64(fold32(sum))
        value = (value & 0xFFFF) &+ (value >> 16)
        value = (value & 0xFFFF) &+ (value >> 16)
        return UInt16(truncatingIfNeeded: value)
    }

    /// Sum of the pseudo-header (RFC 793 section 3.1, RFC 8200 section 8.1).
    @inline(__always)
    static func pseudoHeader(_ frame: UnsafeRawPointer, _ layers: Layers, transportLength: Int) -> UInt64 {
        let addresses =
            layers.version == 4
            ? sum(frame + (layers.network &+ 12), 8) : sum(frame + (layers.network &+ 8), 32)
        return addresses &+ UInt64(layers.transport) &+ UInt64(truncatingIfNeeded: transportLength)
    }
}

/// A sum over several pieces of memory; an odd piece turns the ones behind it (RFC 1071 section 2B).
struct RunningSum {
    /// Not folded.
    private(set) var value: UInt64 = 0
    private var isOdd = false

    @inline(__always)
    mutating func add(_ bytes: UnsafeRawPointer, _ count: Int) {
        let part = Checksum.fold(Checksum.sum(bytes, count))
        value &+= UInt64(isOdd ? part.byteSwapped : part)
        if count & 1 != 0 { isOdd.toggle() }
    }
}
