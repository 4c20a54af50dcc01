// The host side's handle on a worker: makes its state, publishes tables, reads counters. The thread that calls `run`
// belongs to the worker until `stop`; everything else here is called from the host side's one thread.

import CShims
public import MirrorProgram
import Synchronization

/// One worker and the memory it shares with the host side.
public final class WorkerThread: @unchecked Sendable {
    private let worker: UnsafeMutablePointer<Worker>
    private let published: UnsafeMutablePointer<Atomic<UInt>>
    private let acknowledged: UnsafeMutablePointer<Atomic<UInt64>>
    private let stopWord, heldWord: UnsafeMutablePointer<Atomic<UInt32>>
    private let realTimeOffset: UnsafeMutablePointer<Atomic<UInt64>>
    private let strays = CounterBlock.allocate()
    private let runner = Atomic<Int32>(0)
    /// The table in use and those that the worker may still hold, oldest first.
    private var tables: [ForwardingTable]
    private let rings: [CaptureRingMapping]

    /// - Parameters:
    ///   - umem: taken over; sockets register its area.
    ///   - rings: its capture rings, one for each CPU.
    ///   - wakeUp: what the capture program wakes it by.
    ///   - epoll: an epoll instance that has the ring buffer of `wakeUp`, every span socket and the host side's bell; only its
    ///     readiness matters.
    ///   - polls: turn follows turn without a pause.
    ///   - table: the first table.
    public init(
        umem: consuming UMEM, rings: [CaptureRingMapping], wakeUp: WakeUp, epoll: Int32,
        polls: Bool = false, table: ForwardingTable
    ) {
        published = .allocate(capacity: 1)
        published.initialize(to: Atomic(UInt(bitPattern: table.memory)))
        acknowledged = .allocate(capacity: 1)
        acknowledged.initialize(to: Atomic(table.serial))
        stopWord = .allocate(capacity: 1)
        stopWord.initialize(to: Atomic(0))
        heldWord = .allocate(capacity: 1)
        heldWord.initialize(to: Atomic(0))
        realTimeOffset = .allocate(capacity: 1)
        realTimeOffset.initialize(to: Atomic(0))
        tables = [table]
        self.rings = rings
        let readers = UnsafeMutablePointer<CaptureRing>.allocate(capacity: max(1, rings.count))
        for (index, mapping) in rings.enumerated() { (readers + index).initialize(to: CaptureRing(mapping)) }
        worker = .allocate(capacity: 1)
        worker.initialize(
            to: Worker(
                umem: umem, rings: readers, ringCount: rings.count, table: table.memory, strays: strays,
                scratch: .allocate(byteCount: 1 << 17, alignment: 64), parts: .allocate(capacity: 64), desk: Desk(),
                published: published, acknowledged: acknowledged, stop: stopWord,
                wakeUp: wakeUp, epoll: epoll, polls: polls, held: heldWord, realTimeOffset: realTimeOffset))
        worker.pointee.takeLimits()
    }

    /// Runs the loop on the calling thread until `stop`.
    public func run() {
        runner.store(hs_thread_id(), ordering: .releasing)
        workerRun(worker)
    }

    /// Id of the thread that is in `run`, as setpriority(2) knows it; 0 before.
    public var kernelID: Int32 { runner.load(ordering: .acquiring) }

    /// Runs one turn on the calling thread: for tests and benchmarks, with no thread running.
    public func turn() -> Int { workerTurn(worker) }

    /// Runs turns on the calling thread until nothing is left to do, taking records whatever time they have.
    package func replay() {
        worker.pointee.latest = .max
        while turn() > 0 {}
    }

    /// Lets captured frames wait in their rings, or takes them again.
    public func hold(_ isHeld: Bool) { heldWord.pointee.store(isHeld ? 1 : 0, ordering: .releasing) }

    /// Ends `run` after its turn; ring the bell afterwards.
    public func stop() { stopWord.pointee.store(1, ordering: .releasing) }

    /// Hands a table to the worker; ring the bell afterwards.
    public func publish(_ table: ForwardingTable) {
        tables.append(table)
        published.pointee.store(UInt(bitPattern: table.memory), ordering: .releasing)
    }

    /// Says what has to be added to CLOCK_MONOTONIC, in ns, to have ns since 1970-01-01 UTC.
    public func setRealTime(offset: UInt64) { realTimeOffset.pointee.store(offset, ordering: .relaxed) }

    /// Serial of the table that the worker has taken.
    public var acknowledgedSerial: UInt64 { acknowledged.pointee.load(ordering: .acquiring) }

    /// Frees the tables that the worker cannot hold any more.
    public func freeTables() {
        let serial = acknowledgedSerial
        tables.removeAll { $0.serial < serial }
    }

    /// Where each ring's producer stands now.
    public var producedPositions: [UInt] { rings.map(\.produced) }

    /// Whether every ring has been read up to `positions`.
    public func hasDrained(to positions: [UInt]) -> Bool {
        zip(rings, positions).allSatisfy { Int(bitPattern: $0.consumed &- $1) >= 0 }
    }

    /// Start of the UMEM area, and its length in bytes.
    public var area: (base: UnsafeMutableRawPointer, byteCount: Int) {
        (worker.pointee.umem.base, worker.pointee.umem.byteCount)
    }

    /// Frames that were dropped for want of a program that knows them.
    public func strays(_ reason: DropReason) -> UInt64 { strays.drops(reason) }

    /// Chunks by place: exact at rest.
    public func census() -> UMEMStatistics {
        let count = worker.pointee.umem.census()
        return UMEMStatistics(
            chunks: UInt64(worker.pointee.umem.chunkCount), free: UInt64(count.free), fill: UInt64(count.fill),
            receive: UInt64(count.receive), transmit: UInt64(count.transmit))
    }

    /// The chunks of a closed socket that the worker has let go: give them back with the next table.
    public func chunks(heldBy socket: UInt16) -> [UInt32] { worker.pointee.umem.chunks(heldBy: socket) }

    /// Marks granted chunks as being in a socket's fill ring.
    public func place(_ chunks: [UInt32], inFillRingOf socket: UInt16) {
        for chunk in chunks { worker.pointee.umem.move(chunk, to: UMEM.Place.fill(socket)) }
    }
}
