// Plain words that the worker adds to and the host side only reads: one block of them for every tap and destination.

public import MirrorProgram

/// The counters of one tap or one destination, cache-line aligned; it stays where it is while tables come and go.
public struct CounterBlock: @unchecked Sendable {
    let words: UnsafeMutablePointer<UInt64>

    enum Word {
        @inline(__always) static var offered: Int { 0 }
        @inline(__always) static var frames: Int { 1 }
        @inline(__always) static var bytes: Int { 2 }
        @inline(__always) static var truncated: Int { 3 }
        @inline(__always) static var drops: Int { 4 }
        @inline(__always) static var count: Int { 24 }
    }

    /// All counters start at 0.
    public static func allocate() -> CounterBlock {
        precondition(Word.drops + DropReason.count <= Word.count)
        let bytes = Word.count * MemoryLayout<UInt64>.stride
        let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
        let words = memory.bindMemory(to: UInt64.self, capacity: Word.count)
        words.initialize(repeating: 0, count: Word.count)
        return CounterBlock(words: words)
    }

    /// Call it when no table that the worker may hold refers to the block.
    public func deallocate() { words.deallocate() }

    public var offered: UInt64 { words[Word.offered] }
    public var frames: UInt64 { words[Word.frames] }
    public var bytes: UInt64 { words[Word.bytes] }
    public var truncated: UInt64 { words[Word.truncated] }
    public func drops(_ reason: DropReason) -> UInt64 { words[Word.drops + reason.index] }

    @inline(__always)
    func offer(_ frames: UInt64) { words[Word.offered] &+= frames }

    @inline(__always)
    func hand(_ frames: UInt64, bytes: Int, truncated: Bool) {
        words[Word.frames] &+= frames
        words[Word.bytes] &+= UInt64(truncatingIfNeeded: bytes)
        words[Word.truncated] &+= truncated ? frames : 0
    }

    @inline(__always)
    func drop(_ frames: UInt64, index: Int) { words[Word.drops &+ index] &+= frames }
}
