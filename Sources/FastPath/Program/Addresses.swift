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

extension MACAddress: Codable {
    public init(from decoder: any Decoder) throws {
        self = try decodeText(decoder, "a MAC address such as 52:54:00:12:34:56")
    }
    public func encode(to encoder: any Encoder) throws { try encodeText(description, encoder) }
}

private func decodeText<Value: LosslessStringConvertible>(_ decoder: any Decoder, _ expected: String) throws -> Value {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    guard let value = Value(text) else {
        throw DecodingError.dataCorruptedError(in: container, debugDescription: "'\(text)' is not \(expected)")
    }
    return value
}

private func encodeText(_ text: String, _ encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(text)
}
