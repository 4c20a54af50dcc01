// What `heliostat watch` makes of the bytes that a dataplane sends: literal pcapng blocks, whole and in pieces.

import ControlCommands
import Testing

@Suite("The stream of a watch")
struct CommandsWatchTests {
    private static let copy: [UInt8] = [
        6, 0, 0, 0, 52, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 5, 0, 0, 0,
        1, 2, 3, 4, 5, 0, 0, 0, 2, 0, 4, 0, 2, 0, 0, 0, 0, 0, 0, 0, 52, 0, 0, 0,
    ]
    private static let end: [UInt8] = [
        5, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 0, 3, 0, 0x77, 0x68, 0x79, 0,
        4, 0, 8, 0, 7, 0, 0, 0, 0, 0, 0, 0, 5, 0, 8, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 60, 0, 0, 0,
    ]
    private static let other: [UInt8] = [1, 0, 0, 0, 12, 0, 0, 0, 12, 0, 0, 0]

    @Test("blocks are the same, whatever pieces they come in", arguments: [1, 3, 12, 52, 200])
    func pieces(size: Int) throws {
        let bytes = Self.other + Self.copy + Self.end
        var stream = CopyStream()
        var blocks: [CopyStream.Block] = []
        for start in stride(from: 0, to: bytes.count, by: size) {
            stream.append(Array(bytes[start..<min(start + size, bytes.count)]))
            while let block = try stream.next() { blocks.append(block) }
        }
        #expect(
            blocks.map(\.content) == [
                .other, .copy(time: 1 << 32 | 2, frame: [1, 2, 3, 4, 5]), .end(.init(dropped: 3, comment: "why")),
            ])
        #expect(blocks.map { Array($0.bytes) } == [Self.other, Self.copy, Self.end])
    }

    @Test("what is no block is refused", arguments: [0, 11, 13, 1 << 24])
    func nonsense(length: UInt32) {
        var stream = CopyStream()
        stream.append(
            [6, 0, 0, 0] + (0..<4).map { UInt8(truncatingIfNeeded: length >> UInt32(8 * $0)) } + [0, 0, 0, 0])
        #expect(throws: (any Error).self) { try stream.next() }
    }

    @Test("a frame that says it is longer than its block is cut at its block")
    func lyingFrame() throws {
        var bytes = Self.copy
        bytes[20] = 255
        var stream = CopyStream()
        stream.append(bytes)
        guard case .copy(_, let frame) = try #require(try stream.next()).content else {
            Issue.record("no copy")
            return
        }
        #expect(frame.count == 20)
    }
}
