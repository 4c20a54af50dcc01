// Ethernet addresses of the lab's own frames; FrameStream.swift writes them.

/// A 48-bit Ethernet address.
public struct MAC: Hashable, Sendable, CustomStringConvertible {
    /// The address as a number, first octet most significant.
    public let value: UInt64

    public init(_ value: UInt64) { self.value = value & 0xFFFF_FFFF_FFFF }

    /// Parses `52:54:00:12:34:56`; nil for anything else.
    public init?(_ text: some StringProtocol) {
        let octets = text.split(separator: ":").compactMap { UInt8($0, radix: 16) }
        guard octets.count == 6 else { return nil }
        value = octets.reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// The six octets in transmission order.
    public var octets: [UInt8] { (0..<6).map { UInt8(truncatingIfNeeded: value >> (40 - 8 * $0)) } }

    public var description: String {
        octets.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
    }
}
