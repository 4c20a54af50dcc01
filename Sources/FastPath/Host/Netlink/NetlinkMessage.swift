// The wire form of rtnetlink (RFC 3549 section 2.2, linux/netlink.h): a header, a fixed struct of the family, and
// attributes aligned to four bytes. Written and read with bounds checks; nothing here trusts a length.

import CShims

/// One message as it came from the kernel.
package struct NetlinkMessage {
    package let type: Int
    package let flags: Int
    package let sequence: UInt32
    /// What follows the 16-byte header.
    package let payload: ArraySlice<UInt8>

    /// Splits one datagram into its messages; what is cut off or has an impossible length ends the list.
    package static func parse(_ datagram: ArraySlice<UInt8>) -> [NetlinkMessage] {
        var messages: [NetlinkMessage] = []
        var rest = datagram
        while rest.count >= 16 {
            let length = Int(rest.number(at: 0, as: UInt32.self))
            guard length >= 16, length <= rest.count else { break }
            messages.append(
                NetlinkMessage(
                    type: Int(rest.number(at: 4, as: UInt16.self)), flags: Int(rest.number(at: 6, as: UInt16.self)),
                    sequence: rest.number(at: 8, as: UInt32.self), payload: rest.dropFirst(16).prefix(length - 16)))
            rest = rest.dropFirst((length + 3) & ~3)
        }
        return messages
    }

    /// The attributes behind a fixed struct of `header` bytes, the last of each type; nested ones by their own parse.
    package func attributes(after header: Int) -> [Int: ArraySlice<UInt8>] {
        Self.attributes(payload.dropFirst((header + 3) & ~3))
    }

    package static func attributes(_ bytes: ArraySlice<UInt8>) -> [Int: ArraySlice<UInt8>] {
        var attributes: [Int: ArraySlice<UInt8>] = [:]
        var rest = bytes
        while rest.count >= 4 {
            let length = Int(rest.number(at: 0, as: UInt16.self))
            guard length >= 4, length <= rest.count else { break }
            let type = Int(rest.number(at: 2, as: UInt16.self) & 0x3FFF)  // without NLA_F_NESTED, NLA_F_NET_BYTEORDER
            attributes[type] = rest.dropFirst(4).prefix(length - 4)
            rest = rest.dropFirst((length + 3) & ~3)
        }
        return attributes
    }
}

/// A request under construction.
package struct NetlinkRequest {
    package private(set) var bytes: [UInt8]

    /// - Parameter header: the fixed struct of the family, e.g. `ifinfomsg`; its padding must be zero.
    package init<Header: BitwiseCopyable>(type: Int, flags: Int, header: Header) {
        bytes = [UInt8](repeating: 0, count: 16)
        bytes.set(UInt16(type), at: 4)
        bytes.set(UInt16(flags | Int(NLM_F_REQUEST)), at: 6)
        withUnsafeBytes(of: header) { bytes.append(contentsOf: $0) }
        finish()
    }

    package mutating func append(_ type: Int, _ value: some Collection<UInt8>) {
        append(attributes: Self.attribute(type, value))
    }

    /// - Parameter attributes: whole ones, each as `attribute` makes it.
    mutating func append(attributes: [UInt8]) {
        bytes.append(contentsOf: attributes)
        finish()
    }

    /// One attribute, with the zeros that align the next; nested ones are a value of several.
    static func attribute(_ type: Int, _ value: some Collection<UInt8>) -> [UInt8] {
        var attribute: [UInt8] = [0, 0, 0, 0]
        attribute.set(UInt16(4 + value.count), at: 0)
        attribute.set(UInt16(type), at: 2)
        attribute.append(contentsOf: value)
        while attribute.count % 4 != 0 { attribute.append(0) }
        return attribute
    }

    mutating func number(_ sequence: UInt32) { bytes.set(sequence, at: 8) }

    private mutating func finish() {
        while bytes.count % 4 != 0 { bytes.append(0) }
        bytes.set(UInt32(bytes.count), at: 0)
    }
}

extension ArraySlice<UInt8> {
    /// The number at `offset` in host order, 0 where the slice ends before it.
    func number<Value: FixedWidthInteger>(at offset: Int, as type: Value.Type) -> Value {
        guard offset >= 0, count >= offset + MemoryLayout<Value>.size else { return 0 }
        return withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: Value.self) }
    }

    /// Text up to the first NUL.
    var text: String { String(decoding: prefix { $0 != 0 }, as: UTF8.self) }
}

extension [UInt8] {
    fileprivate mutating func set<Value: FixedWidthInteger>(_ value: Value, at offset: Int) {
        withUnsafeMutableBytes { $0.storeBytes(of: value, toByteOffset: offset, as: Value.self) }
    }
}
