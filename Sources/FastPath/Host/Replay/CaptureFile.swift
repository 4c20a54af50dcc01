// Capture files in: pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng), in both byte orders, with
// timestamps of any resolution. Before it: ByteStream.swift. After it: Replay.swift.

import CShims

/// One frame of a capture file.
package struct CapturedFrame: Equatable {
    /// Since 1970-01-01 UTC, ns.
    package var time: UInt64
    package var bytes: [UInt8]
    /// On the wire; more than `bytes` where the capture cut it.
    package var length: Int

    package init(time: UInt64, bytes: [UInt8], length: Int) {
        self.time = time
        self.bytes = bytes
        self.length = length
    }
}

/// Reads Ethernet frames one by one.
package struct CaptureFile {
    private let path: String
    private var stream: ByteStream
    private var isNG = false
    private var isSwapped = false
    /// pcap: nanoseconds in a unit of a record's fraction.
    private var unit: UInt64 = 1000
    /// Of the section; pcap has one.
    private var interfaces: [Interface] = []
    private var lastTime: UInt64 = 0
    /// The file ended within a record.
    package private(set) var isCutShort = false

    private struct Interface {
        var linkType: UInt16
        var snaplen: UInt32 = 0
        /// Units in a second.
        var resolution: UInt64 = 1_000_000
        /// Seconds.
        var offset: Int64 = 0
    }

    /// Longest record or block that is believed.
    private static let longest = 1 << 24
    private static let section: UInt32 = 0x0A0D_0D0A

    /// - Parameter path: `-` for standard input.
    package init(path: String) throws(HostError) {
        self.path = path
        stream = try ByteStream(path: path)
        let head = try stream.read(4)
        guard head.count == 4 else { throw HostError("\(path) is not a capture file: it has \(head.count) bytes") }
        let magic = word(head, 0)
        if magic == Self.section {
            isNG = true
            try beginSection()
            return
        }
        switch magic {
        case 0xA1B2_C3D4: break
        case 0xA1B2_3C4D: unit = 1
        case 0xD4C3_B2A1: isSwapped = true
        case 0x4D3C_B2A1: (isSwapped, unit) = (true, 1)
        default: throw HostError("\(path) is neither pcap nor pcapng")
        }
        let rest = try stream.read(20)
        guard rest.count == 20 else { throw HostError("\(path) ends within its header") }
        interfaces = [Interface(linkType: UInt16(truncatingIfNeeded: word(rest, 16)))]
        try refuseOthers(than: interfaces[0])
    }

    /// The next frame; nil at the end.
    package mutating func next() throws(HostError) -> CapturedFrame? {
        while true {
            let frame = try isNG ? nextBlock() : nextRecord()
            if let frame {
                guard let frame = frame.value else { continue }
                lastTime = frame.time
                return frame
            }
            return nil
        }
    }

    /// A frame, or a block that has none.
    private struct Block { var value: CapturedFrame? }

    private mutating func nextRecord() throws(HostError) -> Block? {
        let head = try stream.read(16)
        if head.count < 16 {
            isCutShort = !head.isEmpty
            return nil
        }
        let captured = Int(word(head, 8))
        if captured > Self.longest { throw HostError("\(path) is damaged: a record of \(captured) bytes") }
        let bytes = try stream.read(captured)
        if bytes.count < captured {
            isCutShort = true
            return nil
        }
        let time = UInt64(word(head, 0)) * 1_000_000_000 + UInt64(word(head, 4)) * unit
        return Block(value: CapturedFrame(time: time, bytes: bytes, length: max(captured, Int(word(head, 12)))))
    }

    private mutating func nextBlock() throws(HostError) -> Block? {
        let head = try stream.read(4)
        if head.count < 4 {
            isCutShort = !head.isEmpty
            return nil
        }
        if word(head, 0) == Self.section {
            try beginSection()
            return Block()
        }
        guard let body = try body() else { return nil }
        switch word(head, 0) {
        case 1: try addInterface(body)
        case 2 where body.count >= 20:  // Packet Block, obsolete
            return Block(value: try frame(body, interface: Int(half(body, 0)), time: 4, captured: 12, at: 20))
        case 3 where body.count >= 4: return Block(value: try simple(body))
        case 6 where body.count >= 20:
            return Block(value: try frame(body, interface: Int(word(body, 0)), time: 4, captured: 12, at: 20))
        default: break
        }
        return Block()
    }

    /// What is between the lengths of a block whose type was read; nil when the file ends before.
    private mutating func body() throws(HostError) -> [UInt8]? {
        let head = try stream.read(4)
        if head.count == 4 {
            let length = Int(word(head, 0))
            if length < 12 || length % 4 != 0 || length > Self.longest {
                throw HostError("\(path) is damaged: a block of \(length) bytes")
            }
            let rest = try stream.read(length - 8)
            if rest.count == length - 8 { return Array(rest.dropLast(4)) }
        }
        isCutShort = true
        return nil
    }

    /// A section header behind its type, which reads the same in both orders; the byte order stands behind its length.
    private mutating func beginSection() throws(HostError) {
        let head = try stream.read(8)
        guard head.count == 8 else { throw HostError("\(path) ends within a section's header") }
        isSwapped = false
        switch word(head, 4) {
        case 0x1A2B_3C4D: break
        case 0x4D3C_2B1A: isSwapped = true
        default: throw HostError("\(path) is damaged: a section without byte order")
        }
        let length = Int(word(head, 0))
        guard length >= 28, length % 4 == 0, length <= Self.longest, try stream.read(length - 12).count == length - 12
        else { throw HostError("\(path) is damaged: a section's header of \(length) bytes") }
        interfaces = []
    }

    private mutating func addInterface(_ body: [UInt8]) throws(HostError) {
        guard body.count >= 8 else { throw HostError("\(path) is damaged: an interface of \(body.count) bytes") }
        var interface = Interface(linkType: half(body, 0), snaplen: word(body, 4))
        var at = 8
        while at + 4 <= body.count {
            let (code, length) = (half(body, at), Int(half(body, at + 2)))
            if code == 0 || at + 4 + length > body.count { break }
            if code == 9, length == 1 {  // if_tsresol
                let exponent = Int(body[at + 4] & 0x7F)
                let isBinary = body[at + 4] & 0x80 != 0
                if exponent > (isBinary ? 63 : 19) {
                    throw HostError("\(path): timestamps of a resolution of \(isBinary ? 2 : 10)^-\(exponent) s")
                }
                interface.resolution = (0..<exponent).reduce(1) { units, _ in units * (isBinary ? 2 : 10) }
            }
            if code == 14, length == 8 {  // if_tsoffset
                let (one, two) = (UInt64(word(body, at + 4)), UInt64(word(body, at + 8)))
                interface.offset = Int64(bitPattern: isSwapped ? one << 32 | two : two << 32 | one)
            }
            at += 4 + (length + 3) & ~3
        }
        interfaces.append(interface)
    }

    private func frame(
        _ body: [UInt8], interface index: Int, time: Int, captured: Int, at: Int
    ) throws(HostError) -> CapturedFrame {
        guard index < interfaces.count else {
            throw HostError("\(path) is damaged: a frame of interface \(index), which it does not have")
        }
        try refuseOthers(than: interfaces[index])
        let count = Int(word(body, captured))
        guard count <= body.count - at else { throw HostError("\(path) is damaged: a frame longer than its block") }
        let units = UInt64(word(body, time)) << 32 | UInt64(word(body, time + 4))
        let (seconds, fraction) = units.quotientAndRemainder(dividingBy: interfaces[index].resolution)
        let wide = fraction.multipliedFullWidth(by: 1_000_000_000)
        let nanoseconds = interfaces[index].resolution.dividingFullWidth(wide).quotient
        let whole = UInt64(bitPattern: Int64(bitPattern: seconds) &+ interfaces[index].offset)
        return CapturedFrame(
            time: whole &* 1_000_000_000 &+ nanoseconds, bytes: Array(body[at..<at + count]),
            length: max(count, Int(word(body, captured + 4))))
    }

    /// A frame without time: it takes that of the one before.
    private func simple(_ body: [UInt8]) throws(HostError) -> CapturedFrame {
        guard let interface = interfaces.first else {
            throw HostError("\(path) is damaged: a frame before any interface")
        }
        try refuseOthers(than: interface)
        let length = Int(word(body, 0))
        let limit = interface.snaplen == 0 ? length : min(length, Int(interface.snaplen))
        let bytes = Array(body[4...].prefix(limit))
        return CapturedFrame(time: lastTime, bytes: bytes, length: max(bytes.count, length))
    }

    private func refuseOthers(than interface: Interface) throws(HostError) {
        if interface.linkType != 1 {
            throw HostError(
                "\(path) has frames of link type \(interface.linkType); only Ethernet (1) is mirrored: capture on one interface, not on 'any'"
            )
        }
    }

    private func word(_ bytes: [UInt8], _ at: Int) -> UInt32 {
        let value = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[at + $1]) << UInt32(8 * $1) }
        return isSwapped ? value.byteSwapped : value
    }

    private func half(_ bytes: [UInt8], _ at: Int) -> UInt16 {
        let value = UInt16(bytes[at]) | UInt16(bytes[at + 1]) << 8
        return isSwapped ? value.byteSwapped : value
    }
}
