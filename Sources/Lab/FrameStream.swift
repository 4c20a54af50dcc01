// What a stream of numbered test frames looks like, byte for byte. FrameSender.swift sends it; StreamCheck.swift makes
// the same bytes again from stream id and sequence number and compares them with what arrived.

import Glibc

/// A stream of numbered frames whose every byte follows from the stream, the sequence number and the time of sending.
///
/// A frame is Ethernet, VLAN tags, headers of `content`, then a label of 28 bytes (magic, stream id, sequence number,
/// time, check word) and pseudo-random bytes to its length. A stream with frames too short for the label has none: its
/// frames carry stream and number in the source address, 06:ss:nn:nn:nn:nn.
public struct FrameStream: Sendable, Hashable {
    /// What follows the Ethernet header and the tags. IP checksums and UDP and TCP checksums are complete and right.
    public enum Content: Sendable, Hashable {
        /// Raw payload of this EtherType; 0x88B5 is for local experiments (IEEE 802).
        case raw(UInt16)
        case udp4, tcp4, udp6
    }

    /// A VLAN tag: protocol 0x8100 or 0x88A8, and the tag word.
    public struct Tag: Sendable, Hashable {
        public var type: UInt16
        public var word: UInt16

        public init(type: UInt16 = 0x8100, vlan: UInt16, priority: UInt16 = 0) {
            self.type = type
            word = priority << 13 | vlan & 0xFFF
        }
    }

    public var id: UInt32
    public var source: MAC
    public var destination: MAC
    public var tags: [Tag]
    public var content: Content
    /// Lengths of the frames without frame check sequence, bytes; frame n has `lengths[n % count]`.
    public var lengths: [Int]
    /// Number of UDP or TCP source ports, taken in turn.
    public var flows: UInt16

    /// - Throws: `LabError` when a length leaves no room for the headers.
    public init(
        id: UInt32, from source: MAC, to destination: MAC, content: Content = .udp4, tags: [Tag] = [],
        lengths: [Int] = [64], flows: UInt16 = 1
    ) throws(LabError) {
        self.id = id
        self.source = source
        self.destination = destination
        self.content = content
        self.tags = tags
        self.lengths = lengths
        self.flows = flows
        labelled = (lengths.min() ?? 0) >= 14 + 4 * tags.count + Self.size(of: content) + Self.labelSize
        let least = 14 + 4 * tags.count + Self.size(of: content)
        guard let shortest = lengths.min(), shortest >= least, labelled || (Self.size(of: content) == 0 && id < 256)
        else {
            throw LabError(
                "stream \(id): frames of \(lengths) bytes have no room for headers and a label of \(Self.labelSize)")
        }
    }

    /// Whether frames carry a label; else stream and number are in the source address.
    public let labelled: Bool
    private static let labelSize = 28
    private static let magic: UInt32 = 0x4853_4C31

    private static func size(of content: Content) -> Int {
        switch content {
        case .raw: 0
        case .udp4: 28
        case .tcp4: 40
        case .udp6: 48
        }
    }

    private var etherType: UInt16 {
        switch content {
        case .raw(let type): type
        case .udp4, .tcp4: 0x0800
        case .udp6: 0x86DD
        }
    }

    /// Offset of what follows the tags.
    private var networkOffset: Int { 14 + 4 * tags.count }
    private var labelOffset: Int { networkOffset + Self.size(of: content) }
    private var shortSource: UInt64 { 0x06_00_0000_0000 | UInt64(id & 0xFF) << 32 }

    /// Length of the frame with this number.
    public func length(_ sequence: UInt64) -> Int { lengths[Int(sequence % UInt64(lengths.count))] }

    /// Writes a frame.
    ///
    /// - Parameters:
    ///   - time: nanoseconds since 1970-01-01 UTC; a stream without labels does not use it.
    ///   - frame: at least `length(sequence)` bytes.
    /// - Returns: the frame's length.
    @discardableResult
    public func write(_ sequence: UInt64, time: UInt64, to frame: UnsafeMutableRawBufferPointer) -> Int {
        let length = length(sequence)
        frame.write48(destination.value, at: 0)
        frame.write48(labelled ? source.value : shortSource | sequence & 0xFFFF_FFFF, at: 6)
        for (index, tag) in tags.enumerated() {
            frame.write16(tag.type, at: 12 + 4 * index)
            frame.write16(tag.word, at: 14 + 4 * index)
        }
        frame.write16(etherType, at: networkOffset - 2)
        writePayload(sequence, time: time, to: frame, length: length)
        switch content {
        case .raw: break
        case .udp4: writeIPv4(sequence, protocol: 17, to: frame, length: length)
        case .tcp4: writeIPv4(sequence, protocol: 6, to: frame, length: length)
        case .udp6: writeIPv6(sequence, to: frame, length: length)
        }
        return length
    }

    private func writePayload(_ sequence: UInt64, time: UInt64, to frame: UnsafeMutableRawBufferPointer, length: Int) {
        var offset = labelOffset
        if labelled {
            frame.write32(Self.magic, at: offset)
            frame.write32(id, at: offset + 4)
            frame.write64(sequence, at: offset + 8)
            frame.write64(time, at: offset + 16)
            frame.write32(check(sequence, time), at: offset + 24)
            offset += Self.labelSize
        }
        var word = mix(UInt64(id) << 32 ^ sequence)
        while offset + 8 <= length {
            frame.storeBytes(of: word, toByteOffset: offset, as: UInt64.self)
            word = word &* 0x9E37_79B9_7F4A_7C15 &+ 0x1234_5678_9ABC_DEF1
            offset += 8
        }
        while offset < length {
            frame[offset] = UInt8(truncatingIfNeeded: word)
            word >>= 8
            offset += 1
        }
    }

    /// Addresses of 198.18.0.0/15 (RFC 2544) belong to no interface of the lab: nobody answers.
    private func writeIPv4(_ sequence: UInt64, protocol: UInt8, to frame: UnsafeMutableRawBufferPointer, length: Int) {
        let at = networkOffset
        frame.write32(0x4500_0000 | UInt32(length - at), at: at)
        frame.write32(UInt32(truncatingIfNeeded: sequence) << 16, at: at + 4)
        frame.write32(0x4000_0000 | UInt32(`protocol`) << 16, at: at + 8)
        frame.write32(0xC612_0000 | id & 0xFF, at: at + 12)
        frame.write32(0xC613_0000 | id & 0xFF, at: at + 16)
        frame.write16(internetChecksum(frame, at..<at + 20), at: at + 10)
        writeTransport(sequence, protocol: `protocol`, addresses: at + 12..<at + 20, to: frame, length: length)
    }

    /// Addresses of 2001:db8::/32 (RFC 3849), for the same reason.
    private func writeIPv6(_ sequence: UInt64, to frame: UnsafeMutableRawBufferPointer, length: Int) {
        let at = networkOffset
        frame.write32(0x6000_0000, at: at)
        frame.write32(UInt32(length - at - 40) << 16 | 0x1140, at: at + 4)
        for (offset, host) in [(8, UInt64(0x0100_0000)), (24, UInt64(0x0200_0000))] {
            frame.write64(0x2001_0DB8_0000_0000, at: at + offset)
            frame.write64(host | UInt64(id), at: at + offset + 8)
        }
        writeTransport(sequence, protocol: 17, addresses: at + 8..<at + 40, to: frame, length: length)
    }

    private func writeTransport(
        _ sequence: UInt64, protocol: UInt8, addresses: Range<Int>, to frame: UnsafeMutableRawBufferPointer, length: Int
    ) {
        let at = addresses.upperBound
        let sourcePort = 20_000 + UInt16(truncatingIfNeeded: sequence % UInt64(flows))
        frame.write32(UInt32(sourcePort) << 16 | 9, at: at)
        if `protocol` == 17 {
            frame.write32(UInt32(length - at) << 16, at: at + 4)
        } else {
            frame.write32(UInt32(truncatingIfNeeded: sequence), at: at + 4)
            frame.write32(0, at: at + 8)
            frame.write32(0x5018_FFFF, at: at + 12)
            frame.write32(0, at: at + 16)
        }
        let pseudo = checksumPart(frame, addresses) + UInt32(`protocol`) + UInt32(length - at)
        let sum = internetChecksum(frame, at..<length, with: pseudo)
        frame.write16(`protocol` == 17 && sum == 0 ? 0xFFFF : sum, at: at + (`protocol` == 17 ? 6 : 16))
    }

    /// Whether a frame is one of this stream, by its label or its source address; its bytes may still differ.
    ///
    /// - Returns: sequence number and time of sending (0 in a stream without labels), or nil.
    public func identify(_ frame: UnsafeRawBufferPointer) -> (sequence: UInt64, time: UInt64)? {
        guard labelled else {
            guard frame.count >= 14, frame.read48(at: 6) >> 32 == shortSource >> 32 else { return nil }
            return (frame.read48(at: 6) & 0xFFFF_FFFF, 0)
        }
        let at = labelOffset
        guard frame.count >= at + Self.labelSize, frame.read32(at: at) == Self.magic, frame.read32(at: at + 4) == id
        else { return nil }
        let (sequence, time) = (frame.read64(at: at + 8), frame.read64(at: at + 16))
        return frame.read32(at: at + 24) == check(sequence, time) ? (sequence, time) : nil
    }

    private func check(_ sequence: UInt64, _ time: UInt64) -> UInt32 {
        UInt32(truncatingIfNeeded: mix(sequence ^ mix(time ^ UInt64(id))))
    }

    /// The finaliser of splitmix64: every bit of the result depends on every bit of the argument.
    private func mix(_ value: UInt64) -> UInt64 {
        var mixed = value &+ 0x9E37_79B9_7F4A_7C15
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}
