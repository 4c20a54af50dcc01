// One RX queue of a `span` or `inline` port: the RX half of an AF_XDP socket, fed by steer.bpf.c or inline.bpf.c. Every
// frame of a `span` port is a copy already, so a chunk may be sent on as it is, with the outer header in its headroom.
// After it: SpanReceive.swift, InlineCarry.swift.

import CShims

/// What the worker needs of a bound RX socket.
public struct SpanSource: ~Copyable {
    let socket: Int32
    /// Number of the socket, 0 ..< 4096, unique among the sockets of a worker.
    let number: UInt16
    /// Slot of a `span` port in a selection.
    let slot: Int
    /// The driver looks for frames while it is called.
    let isBusyPolled: Bool
    var receive: ConsumerRing<xdp_desc>
    var fill: ProducerRing<UInt64>

    /// - Parameter fill: the ring as it is after the first chunks were put into it, before the socket was bound.
    public init(
        socket: Int32, number: UInt16, slot: Int, receive: RingMapping, fill: RingMapping, isBusyPolled: Bool = false
    ) {
        self.isBusyPolled = isBusyPolled
        self.socket = socket
        self.number = number
        self.slot = slot
        self.receive = ConsumerRing(receive)
        self.fill = ProducerRing(fill)
    }

    /// Chunks that the kernel has: in the fill ring, in the driver's own ring, or received and not yet passed. A driver
    /// without copies takes out of the fill ring what its own ring has room for, 1,024 with virtio_net.
    @inline(__always) private var held: Int { Int(fill.written &- receive.passed) }

    /// Frames that are there, after a look by the driver if there is none at first and it has to be called for that.
    @inline(__always)
    func available() -> Int {
        let count = receive.available()
        if count != 0 || !isBusyPolled { return Int(count) }
        hs_wake_receive(socket)
        return Int(receive.available())
    }

    /// Keeps the kernel supplied with this queue's share of the chunks, a quarter of which is left for copies.
    ///
    /// - Parameter sources: number of queues that chunks are shared out to.
    @inline(__always)
    mutating func refill(_ umem: inout UMEM, sources: Int) {
        refill(&umem, min(umem.spare &- umem.chunkCount / 4, umem.chunkCount / 4 &* 3 / sources &- held))
    }

    /// Keeps the kernel supplied with as many chunks as the fill ring has room for.
    @inline(__always)
    mutating func refill(_ umem: inout UMEM) { refill(&umem, min(umem.freeCount, Int(fill.size) &- held)) }

    /// Supplies the kernel with `most` chunks, or none.
    @inline(__always)
    private mutating func refill(_ umem: inout UMEM, _ most: Int) {
        // Also when there is nothing to add: the driver may have asked after the last look.
        defer { if fill.needsWakeup() && fill.pending() > 0 { hs_wake_receive(socket) } }
        guard most > 0 else { return }
        var count = min(fill.room(), UInt32(truncatingIfNeeded: most))
        guard count > 0 else { return }
        while count > 0 {
            let chunk = umem.take(for: UMEM.Place.fill(number))
            fill.write(UMEM.address(of: chunk))
            count &-= 1
        }
        fill.publish()
    }
}
