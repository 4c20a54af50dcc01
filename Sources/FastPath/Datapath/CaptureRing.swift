// One per-CPU capture ring: `struct hs_ring` of record.h, read without copying. Before it: capture.bpf.c, the one producer.
// After it: CaptureRings.swift, which merges all rings by time.

package import CShims
import Synchronization

/// Where a capture ring is mapped: `struct hs_ring`, `size` bytes, and HS_RING_OVERRUN bytes for a record that runs over the end.
public struct CaptureRingMapping {
    public let memory: UnsafeMutableRawPointer
    /// Bytes, a power of two.
    public let size: UInt
    let consumer, producer: UnsafeMutablePointer<Atomic<UInt>>
    let data: UnsafeMutableRawPointer

    public init(_ memory: UnsafeMutableRawPointer, size: UInt) {
        self.memory = memory
        self.size = size
        let ring = MemoryLayout<hs_ring>.self
        producer = (memory + ring.offset(of: \.produced)!).assumingMemoryBound(to: Atomic<UInt>.self)
        consumer = (memory + ring.offset(of: \.consumed)!).assumingMemoryBound(to: Atomic<UInt>.self)
        data = memory + MemoryLayout<hs_ring>.size
    }

    /// Bytes that a ring of a size takes.
    public static func byteCount(_ size: Int) -> Int {
        MemoryLayout<hs_ring>.size + size + Int(HS_RING_OVERRUN)
    }

    /// Where the next record begins; a position to compare `consumed` with.
    public var produced: UInt { producer.pointee.load(ordering: .acquiring) }

    /// Where the first record begins that was not taken out.
    public var consumed: UInt { consumer.pointee.load(ordering: .acquiring) }

    /// The record that begins at a position; the captured bytes follow its header.
    package func record(at position: UInt) -> UnsafePointer<hs_record> {
        UnsafePointer((data + Int(position & (size - 1))).assumingMemoryBound(to: hs_record.self))
    }

    /// Where the record behind the one at `position` begins.
    package func position(after position: UInt) -> UInt {
        UInt(hs_next_record(UInt64(position), hs_record_room(record(at: position).pointee.captured), UInt64(size - 1)))
    }

    /// Gives the room before a position back to the kernel: what a worker does for the rings that it reads.
    package func release(_ position: UInt) { consumer.pointee.store(position, ordering: .releasing) }
}

struct CaptureRing: ~Copyable {
    private let consumer, producer: UnsafeMutablePointer<Atomic<UInt>>
    private let data: UnsafeRawPointer
    private let mask: UInt
    private var position: UInt
    private var released: UInt
    private var limit: UInt
    /// The record at the head; meaningless when there is none.
    private(set) var record: UnsafePointer<hs_record>

    init(_ mapping: CaptureRingMapping) {
        consumer = mapping.consumer
        producer = mapping.producer
        data = UnsafeRawPointer(mapping.data)
        mask = mapping.size - 1
        position = mapping.consumed
        released = position
        limit = position
        record = data.assumingMemoryBound(to: hs_record.self)
        find()
    }

    /// Takes in how far the kernel has come. Later records are not looked at until the next time.
    @inline(__always)
    mutating func refresh() { limit = producer.pointee.load(ordering: .acquiring) }

    /// Whether the kernel has written more than was taken out.
    @inline(__always)
    var isEmpty: Bool { position == producer.pointee.load(ordering: .acquiring) }

    /// Whether there is a record at the head.
    @inline(__always)
    var hasRecord: Bool { position != limit }

    /// The captured bytes behind the record's header.
    @inline(__always)
    var bytes: UnsafeRawPointer { UnsafeRawPointer(record + 1) }

    /// Passes the record at the head.
    @inline(__always)
    mutating func pass() {
        let room = hs_record_room(record.pointee.captured)
        position = UInt(hs_next_record(UInt64(position), room, UInt64(mask)))
        find()
    }

    /// Gives the room of what was passed back to the kernel.
    @inline(__always)
    mutating func release() {
        if position == released { return }
        released = position
        consumer.pointee.store(position, ordering: .releasing)
    }

    @inline(__always)
    private mutating func find() {
        record = (data + Int(bitPattern: position & mask)).assumingMemoryBound(to: hs_record.self)
    }
}
