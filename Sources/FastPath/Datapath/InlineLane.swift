// One way through a bump in the wire: what comes in on a queue of one port leaves on the same queue of the other.
// Before it: inline.bpf.c, which hands frames over only while the worker writes the pair's heartbeat. After it:
// InlineCarry.swift.

import CShims

/// One queue of one direction of an `inline` pair.
public struct InlineLane {
    /// RX of the port that frames come from.
    let source: UnsafeMutablePointer<SpanSource>
    /// TX of the other one.
    let exit: UnsafeMutablePointer<Uplink>
    let counters: InlineCounters
    /// The kernel reads the TX ring only while it is called: what it did not send can be taken back.
    let isCopying: Bool
    /// Slot of the port in a selection.
    let slot: Int
    /// HS_IN or HS_OUT: the port's view of what comes this way.
    let direction: UInt8

    public init(
        source: UnsafeMutablePointer<SpanSource>, exit: UnsafeMutablePointer<Uplink>, counters: InlineCounters,
        isCopying: Bool, slot: Int, direction: UInt8
    ) {
        self.source = source
        self.exit = exit
        self.counters = counters
        self.isCopying = isCopying
        self.slot = slot
        self.direction = direction
    }

    @inline(__always)
    func hasFrames() -> Bool { source.pointee.receive.available() > 0 || exit.pointee.wantsKick() }

    /// Age of the heartbeat, in ns, from which on the kernel carries the frames.
    @inline(__always) static var patience: UInt64 { UInt64(HS_INLINE_PATIENCE) }
    /// Frames that are taken at once: what the kernel sends in copy mode for one call.
    @inline(__always) static var batch: Int { 32 }
}

/// The lanes of a table.
public struct InlineLanes {
    public var lanes: [InlineLane]
    /// A mapped word of every pair that the lanes are of, 8 bytes.
    public var heartbeats: [UnsafeMutableRawPointer]
    /// Chunks that copies must leave free.
    public var reserve: Int

    public init(lanes: [InlineLane] = [], heartbeats: [UnsafeMutableRawPointer] = [], reserve: Int = 0) {
        self.lanes = lanes
        self.heartbeats = heartbeats
        self.reserve = reserve
    }
}

/// What became of the originals of one lane: plain words that the worker adds to and the host side only reads.
public struct InlineCounters: @unchecked Sendable {
    let words: UnsafeMutablePointer<UInt64>

    /// All counters start at 0.
    public static func allocate() -> InlineCounters {
        let words = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 64).bindMemory(
            to: UInt64.self, capacity: 8)
        words.initialize(repeating: 0, count: 8)
        return InlineCounters(words: words)
    }

    /// Call it when no table that the worker may hold refers to them.
    public func deallocate() { words.deallocate() }

    /// Handed to the other port.
    public var forwarded: UInt64 { words[Word.forwarded] }
    /// Discarded: they had waited while the kernel carried later ones.
    public var stale: UInt64 { words[Word.stale] }
    /// Discarded: the other port did not take them.
    public var blocked: UInt64 { words[Word.blocked] }

    enum Word {
        @inline(__always) static var forwarded: Int { 0 }
        @inline(__always) static var stale: Int { 1 }
        @inline(__always) static var blocked: Int { 2 }
        /// When the TX ring was last seen empty.
        @inline(__always) static var clear: Int { 3 }
    }

    @inline(__always)
    func add(_ frames: Int, _ word: Int) { words[word] &+= UInt64(truncatingIfNeeded: frames) }
}
