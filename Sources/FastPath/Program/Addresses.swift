// Addresses as a program writes them: text in JSON, bytes in network order inside.

/// An IPv4 address: 32 bits, most significant octet first (RFC 791).
public struct IPv4Address: Hashable, Sendable, LosslessStringConvertible {
    /// The address as a number in host order: 192.0.2.1 is 0xC000_0201.
    public let value: UInt32

    public init(_ value: UInt32) { self.value = value }

    /// Parses four decimal octets without leading zeros; nil for anything else.
    public init?(_ text: String) {
        let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var value: UInt32 = 0
        for part in parts {
            guard (1...3).contains(part.count), part.allSatisfy({ (48...57).contains($0) }),
                part.count == 1 || part.first != 48
            else { return nil }
            let octet = part.reduce(UInt32(0)) { $0 * 10 + UInt32($1 - 48) }
            guard octet <= 255 else { return nil }
            value = value << 8 | octet
        }
        self.value = value
    }

    public var description: String {
        "\(value >> 24).\(value >> 16 & 0xFF).\(value >> 8 & 0xFF).\(value & 0xFF)"
    }

    /// The four octets in network order.
    public var octets: [UInt8] {
        [UInt8(value >> 24), UInt8(value >> 16 & 0xFF), UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)]
    }

    /// Why a copy may not be sent to this address, or nil for a unicast address of another machine.
    ///
    /// Unspecified, loopback, link-local, multicast, reserved and broadcast addresses are refused (RFC 6890).
    public var unfitAsRemote: String? {
        switch value >> 24 {
        case 0: "is in 0.0.0.0/8, which names no host"
        case 127: "is a loopback address"
        case 169 where value >> 16 & 0xFF == 254: "is a link-local address"
        case 224...239: "is a multicast address"
        case 240...255: value == 0xFFFF_FFFF ? "is the broadcast address" : "is in the reserved range 240.0.0.0/4"
        default: nil
        }
    }
}

/// An IPv6 address: 128 bits in two halves, most significant octet first (RFC 4291).
public struct IPv6Address: Hashable, Sendable, LosslessStringConvertible {
    /// The address as two numbers in host order: 2001:db8::1 is 0x2001_0db8_0000_0000, 1.
    public let high, low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// - Parameter octets: exactly sixteen, in network order.
    public init?(octets: some Sequence<UInt8>) {
        let octets = Array(octets)
        guard octets.count == 16 else { return nil }
        high = octets[..<8].reduce(0) { $0 << 8 | UInt64($1) }
        low = octets[8...].reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Parses the text forms of RFC 4291 section 2.2, without a zone; nil for anything else.
    public init?(_ text: String) {
        let halves = text.split(separator: "::", maxSplits: 2, omittingEmptySubsequences: false)
        guard halves.count <= 2, !text.isEmpty else { return nil }
        var groups: [[UInt16]] = []
        for (index, half) in halves.enumerated() {
            guard let list = Self.groups(half, isLast: index == halves.count - 1) else { return nil }
            groups.append(list)
        }
        let count = groups.reduce(0) { $0 + $1.count }
        if halves.count == 1 ? count != 8 : count > 7 { return nil }
        let all = groups[0] + [UInt16](repeating: 0, count: 8 - count) + (groups.count == 2 ? groups[1] : [])
        high = all[..<4].reduce(0) { $0 << 16 | UInt64($1) }
        low = all[4...].reduce(0) { $0 << 16 | UInt64($1) }
    }

    /// Groups of hexadecimal digits, the last of which may be two written as an IPv4 address.
    private static func groups(_ text: Substring, isLast: Bool) -> [UInt16]? {
        if text.isEmpty { return [] }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        var groups: [UInt16] = []
        for (index, part) in parts.enumerated() {
            if isLast, index == parts.count - 1, part.contains("."), let address = IPv4Address(String(part)) {
                groups += [UInt16(address.value >> 16), UInt16(address.value & 0xFFFF)]
            } else {
                guard (1...4).contains(part.count), part.allSatisfy(\.isHexDigit), let group = UInt16(part, radix: 16)
                else { return nil }
                groups.append(group)
            }
        }
        return groups
    }

    private var groups: [UInt16] {
        [high, low].flatMap { half in (0..<4).map { UInt16(truncatingIfNeeded: half >> (48 - 16 * UInt64($0))) } }
    }

    /// The canonical form of RFC 5952.
    public var description: String {
        let groups = groups
        var best = 0..<0
        var start = 0
        while start < 8 {
            var end = start
            while end < 8, groups[end] == 0 { end += 1 }
            if end - start > best.count, end - start > 1 { best = start..<end }
            start = max(end, start + 1)
        }
        let words = { (range: Range<Int>) in range.map { String(groups[$0], radix: 16) }.joined(separator: ":") }
        return best.isEmpty ? words(0..<8) : words(0..<best.lowerBound) + "::" + words(best.upperBound..<8)
    }

    /// The sixteen octets in network order.
    public var octets: [UInt8] { groups.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] } }

    /// Why a copy may not be sent to this address, or nil for a unicast address of another machine.
    ///
    /// Unspecified, loopback, link-local, multicast, IPv4-mapped and discard-only addresses are refused (RFC 6890).
    public var unfitAsRemote: String? {
        if high == 0, low == 0 { return "is the unspecified address" }
        if high == 0, low == 1 { return "is the loopback address" }
        if high == 0, low >> 32 == 0xFFFF { return "is an IPv4-mapped address; write the IPv4 address itself" }
        if high >> 54 == 0xFE80 >> 6 { return "is a link-local address" }
        if high >> 56 == 0xFF { return "is a multicast address" }
        if high == 0x0100_0000_0000_0000 { return "is in 100::/64, which is discarded" }
        return nil
    }
}

/// An address of either version.
public enum IPAddress: Hashable, Sendable, LosslessStringConvertible {
    case v4(IPv4Address)
    case v6(IPv6Address)

    /// Parses either form; nil for anything else.
    public init?(_ text: String) {
        if let address = IPv4Address(text) {
            self = .v4(address)
        } else if let address = IPv6Address(text) {
            self = .v6(address)
        } else {
            return nil
        }
    }

    /// - Parameter octets: four or sixteen, in network order.
    public init?(octets: some Sequence<UInt8>) {
        let octets = Array(octets)
        if octets.count == 4 {
            self = .v4(IPv4Address(octets.reduce(0) { $0 << 8 | UInt32($1) }))
        } else if let address = IPv6Address(octets: octets) {
            self = .v6(address)
        } else {
            return nil
        }
    }

    public var isIPv6: Bool { if case .v6 = self { true } else { false } }

    /// Four or sixteen octets in network order.
    public var octets: [UInt8] {
        switch self {
        case .v4(let address): address.octets
        case .v6(let address): address.octets
        }
    }

    public var description: String {
        switch self {
        case .v4(let address): address.description
        case .v6(let address): address.description
        }
    }

    /// Why a copy may not be sent to this address, or nil for a unicast address of another machine.
    public var unfitAsRemote: String? {
        switch self {
        case .v4(let address): address.unfitAsRemote
        case .v6(let address): address.unfitAsRemote
        }
    }
}

/// A 48-bit MAC address, written as six hexadecimal octets joined by `:`.
public struct MACAddress: Hashable, Sendable, LosslessStringConvertible {
    /// The six octets in transmission order.
    public let octets: [UInt8]

    /// - Parameter octets: exactly six.
    public init?(octets: some Sequence<UInt8>) {
        self.octets = Array(octets)
        if self.octets.count != 6 { return nil }
    }

    /// Parses `52:54:00:12:34:56`, in either case; nil for anything else.
    public init?(_ text: String) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        let octets = parts.compactMap { part in
            part.count == 2 && part.allSatisfy(\.isHexDigit) ? UInt8(part, radix: 16) : nil
        }
        guard parts.count == 6, octets.count == 6 else { return nil }
        self.octets = octets
    }

    public var description: String {
        octets.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
    }
}

extension IPv4Address: Codable {
    public init(from decoder: any Decoder) throws {
        self = try decodeText(decoder, "an IPv4 address such as 192.0.2.9")
    }
    public func encode(to encoder: any Encoder) throws { try encodeText(description, encoder) }
}

extension IPv6Address: Codable {
    public init(from decoder: any Decoder) throws {
        self = try decodeText(decoder, "an IPv6 address such as 2001:db8::9")
    }
    public func encode(to encoder: any Encoder) throws { try encodeText(description, encoder) }
}

extension IPAddress: Codable {
    public init(from decoder: any Decoder) throws {
        self = try decodeText(decoder, "an IP address such as 192.0.2.9 or 2001:db8::9")
    }
    public func encode(to encoder: any Encoder) throws { try encodeText(description, encoder) }
}

extension MACAddress: Codable {
    public init(from decoder: any Decoder) throws {
        self = try decodeText(decoder, "a MAC address such as 52:54:00:12:34:56")
    }
    public func encode(to encoder: any Encoder) throws { try encodeText(description, encoder) }
}

func decodeText<Value: LosslessStringConvertible>(_ decoder: any Decoder, _ expected: String) throws -> Value {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    guard let value = Value(text) else {
        throw DecodingError.dataCorruptedError(in: container, debugDescription: "'\(text)' is not \(expected)")
    }
    return value
}

func encodeText(_ text: String, _ encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(text)
}
