// One per-CPU BPF ring buffer, read through mmap without copying (kernel/bpf/ringbuf.c): 8-byte record headers whose
// length word carries BUSY and DISCARD bits, behind free-running byte positions. Before it: capture.bpf.c.
// After it: CaptureRings.swift, which merges all rings by time.

import CShims
import Synchronization

/// Where a BPF ring buffer is mapped.
public struct CaptureRingMapping {
    public var consumer, producer: UnsafeMutableRawPointer
    /// Twice `size` bytes: the kernel maps the data pages two times in a row, so that no record wraps.
    public var data: UnsafeRawPointer
    /// Bytes, a power of two.
    public var size: UInt

    public init(
        consumer: UnsafeMutableRawPointer, producer: UnsafeMutableRawPointer, data: UnsafeRawPointer, size: UInt
    ) {
        self.consumer = consumer
        self.producer = producer
        self.data = data
        self.size = size
    }

    /// Bytes ever committed or reserved; a position to compare `consumed` with.
    public var produced: UInt {
        producer.assumingMemoryBound(to: Atomic<UInt>.self).pointee.load(ordering: .acquiring)
    }

    /// Bytes ever taken out.
    public var consumed: UInt {
        consumer.assumingMemoryBound(to: Atomic<UInt>.self).pointee.load(ordering: .acquiring)
    }
}

/// What a ring has at its head.
enum RingHead {
    case record, nothing, busy
}

struct CaptureRing: ~Copyable {
    private let consumer, producer: UnsafeMutablePointer<Atomic<UInt>>
    private let data: UnsafeRawPointer
    private let mask: UInt
    private var position: UInt
    private var released: UInt
    private var limit: UInt
    /// Where the head is, and the time of its record; valid after `look` said `.record`.
    private var head: UnsafeRawPointer
    private(set) var time: UInt64 = 0
    /// When the head was first seen busy; 0 when it is not.
    var busySince: UInt64 = 0

    init(_ mapping: CaptureRingMapping) {
        consumer = mapping.consumer.assumingMemoryBound(to: Atomic<UInt>.self)
        producer = mapping.producer.assumingMemoryBound(to: Atomic<UInt>.self)
        data = mapping.data
        mask = mapping.size - 1
        position = consumer.pointee.load(ordering: .relaxed)
        released = position
        limit = position
        head = data
    }

    /// Takes in how far the kernel has come. Records reserved later are not looked at until the next time.
    @inline(__always)
    mutating func refresh() { limit = producer.pointee.load(ordering: .acquiring) }

    @inline(__always)
    var isEmpty: Bool { position == producer.pointee.load(ordering: .acquiring) }

    /// Looks at the head, passing what was discarded.
    @inline(__always)
    mutating func look() -> RingHead {
        while position != limit {
            head = data + Int(bitPattern: position & mask)
            let word = head.assumingMemoryBound(to: Atomic<UInt32>.self).pointee.load(ordering: .acquiring)
            if word & 0x8000_0000 != 0 { return .busy }
            if word & 0x4000_0000 == 0 {
                time = record.pointee.time
                return .record
            }
            skip(word & 0x3FFF_FFFF)
        }
        return .nothing
    }

    /// The record at the head. Precondition: `look` said `.record`.
    @inline(__always)
    var record: UnsafePointer<hs_record> {
        (head + 8).assumingMemoryBound(to: hs_record.self)
    }

    /// The captured bytes behind the record's header.
    @inline(__always)
    var bytes: UnsafeRawPointer {
        head + (8 + MemoryLayout<hs_record>.size)
    }

    /// Passes the record at the head.
    @inline(__always)
    mutating func pass() {
        skip(head.load(as: UInt32.self) & 0x3FFF_FFFF)
    }

    /// Gives the room of what was passed back to the kernel.
    @inline(__always)
    mutating func release() {
        if position == released { return }
        released = position
        consumer.pointee.store(position, ordering: .releasing)
    }

    @inline(__always)
    private mutating func skip(_ length: UInt32) { position &+= (UInt(length) &+ 15) & ~7 }
}
