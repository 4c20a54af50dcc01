// The rings of an AF_XDP socket (linux/if_xdp.h, Documentation/networking/af_xdp.rst): power-of-two arrays between
// two free-running 32-bit indices, one written by us and one by the kernel. Before them: XSKSocket.swift maps them.
// After them: Uplink.swift and SpanSource.swift.

import Synchronization

/// Where a ring's parts are mapped.
public struct RingMapping {
    public var producer, consumer, flags: UnsafeMutableRawPointer
    public var elements: UnsafeMutableRawPointer
    /// Number of elements, a power of two.
    public var size: UInt32

    public init(
        producer: UnsafeMutableRawPointer, consumer: UnsafeMutableRawPointer, flags: UnsafeMutableRawPointer,
        elements: UnsafeMutableRawPointer, size: UInt32
    ) {
        self.producer = producer
        self.consumer = consumer
        self.flags = flags
        self.elements = elements
        self.size = size
    }
}

/// A ring that we fill: TX or fill.
package struct ProducerRing<Element: BitwiseCopyable>: ~Copyable {
    private let producer, consumer, flags: UnsafeMutablePointer<Atomic<UInt32>>
    private let elements: UnsafeMutablePointer<Element>
    package let size: UInt32
    /// Where the next element goes; what is published may lag behind.
    private var cursor: UInt32
    private var seenConsumer: UInt32

    package init(_ mapping: RingMapping) {
        producer = mapping.producer.assumingMemoryBound(to: Atomic<UInt32>.self)
        consumer = mapping.consumer.assumingMemoryBound(to: Atomic<UInt32>.self)
        flags = mapping.flags.assumingMemoryBound(to: Atomic<UInt32>.self)
        elements = mapping.elements.assumingMemoryBound(to: Element.self)
        size = mapping.size
        cursor = producer.pointee.load(ordering: .relaxed)
        seenConsumer = consumer.pointee.load(ordering: .acquiring)
    }

    /// Room for `count` elements, looking at the kernel's index only when what was last seen of it does not suffice.
    @inline(__always)
    package mutating func hasRoom(_ count: UInt32) -> Bool {
        if size &- (cursor &- seenConsumer) >= count { return true }
        seenConsumer = consumer.pointee.load(ordering: .acquiring)
        return size &- (cursor &- seenConsumer) >= count
    }

    /// Elements that can be written now.
    @inline(__always)
    package mutating func room() -> UInt32 {
        seenConsumer = consumer.pointee.load(ordering: .acquiring)
        return size &- (cursor &- seenConsumer)
    }

    /// Elements that were ever written, modulo 2³².
    @inline(__always) package var written: UInt32 { cursor }

    /// Precondition: `hasRoom(1)`.
    @inline(__always)
    package mutating func write(_ element: Element) {
        elements[Int(cursor & (size &- 1))] = element
        cursor &+= 1
    }

    @inline(__always)
    package func publish() { producer.pointee.store(cursor, ordering: .releasing) }

    /// Elements that are written and not published.
    @inline(__always)
    package var unpublished: UInt32 { cursor &- producer.pointee.load(ordering: .relaxed) }

    /// The element `ahead` places after the first one that is not published. Precondition: `ahead < unpublished`.
    @inline(__always)
    package func peek(_ ahead: UInt32) -> Element {
        elements[Int((producer.pointee.load(ordering: .relaxed) &+ ahead) & (size &- 1))]
    }

    /// Takes back the first `count` elements that are not published; those behind them move up. Precondition:
    /// `count <= unpublished`.
    package mutating func withdraw(_ count: UInt32) {
        let first = producer.pointee.load(ordering: .relaxed)
        cursor &-= count
        var index = first
        while index != cursor {
            elements[Int(index & (size &- 1))] = elements[Int((index &+ count) & (size &- 1))]
            index &+= 1
        }
    }

    /// Takes back the last element; the other side must not consume meanwhile. Precondition: `pending() > 0`.
    @inline(__always)
    package mutating func retract() -> Element {
        cursor &-= 1
        return elements[Int(cursor & (size &- 1))]
    }

    /// Published or not, what the kernel has not taken yet.
    @inline(__always)
    package func pending() -> UInt32 { cursor &- consumer.pointee.load(ordering: .acquiring) }

    /// XDP_RING_NEED_WAKEUP: the kernel will look at this ring only after a system call.
    @inline(__always)
    package func needsWakeup() -> Bool { flags.pointee.load(ordering: .relaxed) & 1 != 0 }
}

/// A ring that the kernel fills: RX or completion.
package struct ConsumerRing<Element: BitwiseCopyable>: ~Copyable {
    private let producer, consumer: UnsafeMutablePointer<Atomic<UInt32>>
    private let elements: UnsafeMutablePointer<Element>
    private let mask: UInt32
    private var cursor: UInt32

    package init(_ mapping: RingMapping) {
        producer = mapping.producer.assumingMemoryBound(to: Atomic<UInt32>.self)
        consumer = mapping.consumer.assumingMemoryBound(to: Atomic<UInt32>.self)
        elements = mapping.elements.assumingMemoryBound(to: Element.self)
        mask = mapping.size &- 1
        cursor = consumer.pointee.load(ordering: .relaxed)
    }

    @inline(__always)
    package func available() -> UInt32 { producer.pointee.load(ordering: .acquiring) &- cursor }

    /// The element `ahead` places after the next one. Precondition: `ahead < available()`.
    @inline(__always)
    package func peek(_ ahead: UInt32) -> Element { elements[Int((cursor &+ ahead) & mask)] }

    /// Elements that were ever passed, modulo 2³².
    @inline(__always) package var passed: UInt32 { cursor }

    @inline(__always)
    package mutating func advance(_ count: UInt32) { cursor &+= count }

    /// Gives the room of what was passed back to the kernel.
    @inline(__always)
    package func release() { consumer.pointee.store(cursor, ordering: .releasing) }
}
