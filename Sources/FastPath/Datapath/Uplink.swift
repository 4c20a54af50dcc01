// An interface that copies leave through: the TX half of an AF_XDP socket, or a ring like it in front of another way
// (DatagramExit.swift, Handover.swift). The frame's chunks are filled by Emission.swift; here they are queued, pushed to
// the kernel and taken back.

import CShims
import Synchronization

/// What the worker needs of a bound TX socket.
public struct Uplink: ~Copyable {
    let socket: Int32
    /// Number of the socket, 0 ..< 4096, unique among the sockets of a worker.
    let number: UInt16
    var transmit: ProducerRing<xdp_desc>
    var completion: ConsumerRing<UInt64>
    /// Frames were queued since the last kick.
    var isDirty = false
    /// The kernel did not take what was queued in this turn: its device is down, or its queue is stopped.
    private var isStalled = false
    /// Cap on all copies; of the latest table.
    var limit = TokenBucket(nil)
    private var tokens = TokenLevels()
    /// Chunks in the TX ring, in the kernel's transmit path, or in the completion ring.
    private var inFlight = 0
    /// Copies that were queued, and those that found no room or were above the cap: for the fuse, which only reads them.
    public private(set) var handed: UInt64 = 0
    public private(set) var failed: UInt64 = 0
    /// Whoever sends for us, if that is another worker: its bell, -1 for none, and its word for being asleep.
    private let bell: Int32
    private let asleep: UnsafeMutablePointer<Atomic<UInt64>>?
    /// Calls of the kernel for what is queued. A driver that sends without copying may begin with it after the call only, by
    /// an interrupt (igb): to call again at once does nothing.
    private let mostCalls: Int
    /// What sends instead of the kernel's AF_XDP.
    let datagrams: UnsafeMutablePointer<DatagramExit>?
    /// Where many copies at once go instead of the TX ring.
    let live: UnsafeMutablePointer<LiveExit>?
    /// Whether `live` may be run; of the latest table, false beside originals that wait for this worker.
    var mayRunLive = true
    /// Kicks for which they go there however few they are, so that the two ways are seldom used at the same time.
    private var staysLive = 0

    /// - Parameters:
    ///   - bell: an eventfd that wakes another worker, which takes what is queued; -1 where the kernel does.
    ///   - asleep: 8 bytes, 1 while that worker is to be woken.
    ///   - datagrams: of a ring in plain memory, if a packet socket sends what is in it.
    ///   - live: makes XDP frames of many copies at once; not beside any of the others.
    ///   - isZeroCopy: the driver sends from the chunks themselves.
    public init(
        socket: Int32, number: UInt16, transmit: RingMapping, completion: RingMapping, bell: Int32 = -1,
        asleep: UnsafeMutableRawPointer? = nil, datagrams: UnsafeMutablePointer<DatagramExit>? = nil,
        live: UnsafeMutablePointer<LiveExit>? = nil, isZeroCopy: Bool = false
    ) {
        self.live = live
        mostCalls = isZeroCopy ? 1 : 256
        self.datagrams = datagrams
        self.bell = bell
        self.asleep = asleep?.assumingMemoryBound(to: Atomic<UInt64>.self)
        self.socket = socket
        self.number = number
        self.transmit = ProducerRing(transmit)
        self.completion = ConsumerRing(completion)
    }

    /// Queues one descriptor; the kernel sees it with the next `kick`. Precondition: `transmit.hasRoom(1)`.
    @inline(__always)
    mutating func queue(address: UInt64, length: Int, continues: Bool) {
        transmit.write(
            xdp_desc(addr: address, len: UInt32(truncatingIfNeeded: length), options: continues ? HS_XDP_PKT_CONTD : 0))
        isDirty = true
        inFlight &+= 1
        handed &+= continues ? 0 : 1
    }

    /// Whether `count` descriptors find room, after a kick if there is none at first. No uplink holds more than a
    /// quarter of all chunks, so that one which is stuck leaves the others theirs.
    @inline(__always)
    mutating func makeRoom(_ count: Int, _ umem: inout UMEM) -> Bool {
        if hasRoom(count, umem) { return true }
        if !isStalled {
            kick(&umem)
            reclaim(&umem)
            if hasRoom(count, umem) { return true }
        }
        failed &+= 1
        return false
    }

    @inline(__always)
    private mutating func hasRoom(_ count: Int, _ umem: borrowing UMEM) -> Bool {
        inFlight &+ count <= umem.chunkCount / 4 && transmit.hasRoom(UInt32(truncatingIfNeeded: count))
    }

    /// Whether the cap has no room for a packet of `bytes`; takes its tokens if it has.
    @inline(__always)
    mutating func exceed(_ bytes: Int) -> Bool {
        guard limit.isLimited && limit.exceed(bytes, &tokens) else { return false }
        failed &+= 1
        return true
    }

    /// Takes back what the kernel has not sent, in copy mode: there it reads the ring only while it is called.
    ///
    /// - Returns: the number of descriptors.
    @inline(__always)
    mutating func retract(_ umem: inout UMEM) -> Int {
        var count = 0
        while transmit.pending() > 0 {
            umem.give(UMEM.chunk(of: transmit.retract().addr))
            count &+= 1
        }
        transmit.publish()
        inFlight &-= count
        return count
    }

    /// Takes back what was sent; a new turn may try a stalled device again.
    @inline(__always)
    mutating func beginTurn(_ umem: inout UMEM) {
        isStalled = false
        if limit.isLimited { limit.fill(&tokens, at: hs_clock()) }
        reclaim(&umem)
    }

    /// Whether something is queued that the kernel may take now.
    @inline(__always)
    func wantsKick() -> Bool { !isStalled && transmit.pending() > 0 }

    /// Takes back the chunks that the kernel has sent.
    @inline(__always)
    mutating func reclaim(_ umem: inout UMEM) {
        let count = completion.available()
        guard count > 0 else { return }
        var index: UInt32 = 0
        while index < count {
            umem.give(UMEM.chunk(of: completion.peek(index)))
            index &+= 1
        }
        inFlight &-= Int(count)
        completion.advance(count)
        completion.release()
    }

    /// Shows the kernel what is queued and makes it send.
    ///
    /// In copy mode the kernel sends a bounded batch for each call, so it is called until the ring is empty, at most
    /// once for every 16 descriptors that the ring can hold; without copying once. An error (the device is down, its queue is stopped) ends
    /// it: what is left goes with a later kick, and a full ring is counted where the next frame finds it.
    @inline(__always)
    mutating func kick(_ umem: inout UMEM) {
        isDirty = false
        if let live, mayRunLive { send(live, &umem) }
        transmit.publish()
        if let asleep { wake(asleep) }
        if let datagrams {
            if !datagrams.pointee.flush() { isStalled = true }
            return
        }
        var calls = 0
        while calls < mostCalls && transmit.pending() > 0 && transmit.needsWakeup() {
            let before = transmit.pending()
            let error = hs_kick(socket)
            if error != 0 && (error != EAGAIN || transmit.pending() == before) {
                isStalled = true
                break
            }
            calls &+= 1
        }
    }

    /// Sends what is not published as XDP frames, as far as they can take it, where it is much or was a moment ago; never past
    /// anything that waits.
    @inline(never)
    private mutating func send(_ live: UnsafeMutablePointer<LiveExit>, _ umem: inout UMEM) {
        if transmit.unpublished >= LiveExit.fewest {
            staysLive = LiveExit.followers
        } else if staysLive > 0 && transmit.unpublished > 0 {
            staysLive &-= 1
        } else {
            return
        }
        while transmit.unpublished > 0 && transmit.pending() == transmit.unpublished {
            let sent = live.pointee.send(transmit, umem.base)
            if sent == 0 { return }
            for index in 0..<sent { umem.give(UMEM.chunk(of: transmit.peek(index).addr)) }
            transmit.withdraw(sent)
            inFlight &-= Int(sent)
        }
    }

    /// What was published must be seen by one that is about to sleep, or its word by us.
    @inline(__always)
    private func wake(_ asleep: UnsafeMutablePointer<Atomic<UInt64>>) {
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        if asleep.pointee.load(ordering: .relaxed) != 0
            && asleep.pointee.exchange(0, ordering: .relaxed) != 0
        {
            hs_ring_bell(bell)
        }
    }
}
