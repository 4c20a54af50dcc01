// How a worker that sleeps is woken: a word that says that it does, and a BPF ring buffer, whose descriptor is in the set it
// sleeps on, for the capture program to ring at. Before it: CaptureMaps.swift, which maps both. After it: Worker.swift.

package import Synchronization

/// The two ends that a worker has of it.
public struct WakeUp {
    /// 1 while it sleeps, or is about to; whoever wakes it takes the word back first.
    package let asleep: UnsafeMutablePointer<Atomic<UInt64>>
    private let consumer, producer: UnsafeMutablePointer<Atomic<UInt>>

    /// - Parameters:
    ///   - asleep: the mapped word of capture.bpf.c, 8 bytes.
    ///   - consumer, producer: the positions of the ring buffer (kernel/bpf/ringbuf.c), 8 bytes each.
    public init(
        asleep: UnsafeMutableRawPointer, consumer: UnsafeMutableRawPointer, producer: UnsafeMutableRawPointer
    ) {
        self.asleep = asleep.assumingMemoryBound(to: Atomic<UInt64>.self)
        self.consumer = consumer.assumingMemoryBound(to: Atomic<UInt>.self)
        self.producer = producer.assumingMemoryBound(to: Atomic<UInt>.self)
    }

    /// Words that nobody else looks at; they live as long as the process.
    public static func unheard() -> WakeUp {
        let words = UnsafeMutablePointer<UInt64>.allocate(capacity: 3)
        words.initialize(repeating: 0, count: 3)
        return WakeUp(asleep: words, consumer: words + 1, producer: words + 2)
    }

    /// What was rung is done with, so that the ring buffer's descriptor is not readable any more.
    @inline(__always)
    package func clear() {
        let rung = producer.pointee.load(ordering: .acquiring)
        if rung != consumer.pointee.load(ordering: .relaxed) { consumer.pointee.store(rung, ordering: .releasing) }
    }
}
