// Numbers in network order, and the Internet checksum, for the lab's own frames. Written apart from the dataplane's
// code on purpose: a witness that shares code with what it witnesses sees nothing.

extension UnsafeMutableRawBufferPointer {
    func write16(_ value: UInt16, at offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt16.self)
    }
    func write32(_ value: UInt32, at offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self)
    }
    func write64(_ value: UInt64, at offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt64.self)
    }
    func write48(_ value: UInt64, at offset: Int) {
        write16(UInt16(truncatingIfNeeded: value >> 32), at: offset)
        write32(UInt32(truncatingIfNeeded: value), at: offset + 2)
    }
}

extension UnsafeRawBufferPointer {
    /// A 16-bit number in network order.
    public func read16(at offset: Int) -> UInt16 {
        UInt16(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }
    /// A 32-bit number in network order.
    public func read32(at offset: Int) -> UInt32 {
        UInt32(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }
    /// A 64-bit number in network order.
    public func read64(at offset: Int) -> UInt64 {
        UInt64(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
    /// A 48-bit number in network order.
    public func read48(at offset: Int) -> UInt64 { UInt64(read16(at: offset)) << 32 | UInt64(read32(at: offset + 2)) }
}

/// Sum of the 16-bit words of a range (RFC 1071), folded to 16 bits; an odd last byte is the high half of a word.
func checksumPart(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> UInt32 {
    var sum: UInt64 = 0
    var offset = range.lowerBound
    while offset + 2 <= range.upperBound {
        sum += UInt64(bytes.read16(at: offset))
        offset += 2
    }
    if offset < range.upperBound { sum += UInt64(bytes[offset]) << 8 }
    while sum >> 16 != 0 { sum = sum & 0xFFFF + sum >> 16 }
    return UInt32(sum)
}

func checksumPart(_ bytes: UnsafeMutableRawBufferPointer, _ range: Range<Int>) -> UInt32 {
    checksumPart(UnsafeRawBufferPointer(bytes), range)
}

/// The Internet checksum (RFC 1071) of a range whose checksum field holds 0; over a range with its checksum it is 0.
func internetChecksum(_ bytes: UnsafeMutableRawBufferPointer, _ range: Range<Int>, with part: UInt32 = 0) -> UInt16 {
    internetChecksum(UnsafeRawBufferPointer(bytes), range, with: part)
}

/// The same, of bytes that are only read.
func internetChecksum(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, with part: UInt32 = 0) -> UInt16 {
    var sum = checksumPart(bytes, range) + part
    while sum >> 16 != 0 { sum = sum & 0xFFFF + sum >> 16 }
    return ~UInt16(sum)
}
