// pcapng as a dataplane sends it (draft-ietf-opsawg-pcapng, little-endian, one interface, ns), block by block. Before it:
// WatchConnection.swift. After it: CopySink.swift.

/// Bytes in, blocks out.
package struct CopyStream {
    /// How a watch has ended.
    package struct End: Equatable, Sendable {
        /// Copies that the onlooker was too slow for.
        package var dropped: UInt64 = 0
        /// Why the dataplane ended it; nil where the onlooker did.
        package var comment: String?

        package init(dropped: UInt64 = 0, comment: String? = nil) {
            self.dropped = dropped
            self.comment = comment
        }
    }

    package enum Content: Equatable {
        /// - Parameter time: of capture, ns since 1970-01-01 UTC.
        case copy(time: UInt64, frame: ArraySlice<UInt8>)
        case end(End)
        case other
    }

    /// One block, and what is in it.
    package struct Block {
        package var bytes: ArraySlice<UInt8>
        package var content: Content
    }

    private var bytes: ArraySlice<UInt8> = []
    private static let longest = 1 << 20

    package init() {}

    package mutating func append(_ more: [UInt8]) { bytes = bytes.isEmpty ? more[...] : ArraySlice(bytes + more) }

    /// The next block that is there whole.
    package mutating func next() throws(CommandError) -> Block? {
        guard bytes.count >= 12 else { return nil }
        let length = Int(bytes.little(4, 4))
        if length < 12 || length % 4 != 0 || length > Self.longest {
            throw CommandError("the dataplane sends what is no pcapng: a block of \(length) bytes")
        }
        guard bytes.count >= length else { return nil }
        defer { bytes = bytes.dropFirst(length) }
        let block = bytes.prefix(length)
        return Block(bytes: block, content: Self.content(block))
    }

    private static func content(_ block: ArraySlice<UInt8>) -> Content {
        switch block.little(0, 4) {
        case 6 where block.count >= 32:
            let frame = block.dropFirst(28).prefix(Int(min(block.little(20, 4), UInt64(block.count - 32))))
            return .copy(time: block.little(12, 4) << 32 | block.little(16, 4), frame: frame)
        case 5 where block.count >= 24: return .end(end(block.dropFirst(20).dropLast(4)))
        default: return .other
        }
    }

    /// Of an Interface Statistics Block.
    private static func end(_ options: ArraySlice<UInt8>) -> End {
        var end = End()
        var left = options
        while left.count >= 4 {
            let (code, length) = (left.little(0, 2), Int(left.little(2, 2)))
            guard code != 0, left.count >= 4 + length else { break }
            let value = left.dropFirst(4).prefix(length)
            if code == 1 { end.comment = String(decoding: value, as: UTF8.self) }
            if code == 5, length == 8 { end.dropped = value.little(0, 8) }
            left = left.dropFirst(4 + (length + 3) & ~3)
        }
        return end
    }
}

extension ArraySlice<UInt8> {
    /// `count` bytes from the slice's own `offset` on, the least significant first.
    fileprivate func little(_ offset: Int, _ count: Int) -> UInt64 {
        (0..<count).reduce(0) { $0 | UInt64(self[startIndex + offset + $1]) << UInt64(8 * $1) }
    }
}
