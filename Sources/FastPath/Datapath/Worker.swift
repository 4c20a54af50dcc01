// The whole loop of a frame, on one core: carry originals of `inline` ports -> capture -> classify -> act -> encapsulate -> transmit -> reclaim.
// Read `workerTurn` first. Before it: the capture rings and RX rings, filled by the BPF programs. After it: the kernel
// sends what is in the TX rings. WorkerThread.swift is the host side's handle on it.
//
// Nothing on this way waits, allocates or counts references: @_noLocks and Tests/hotcheck prove it.

import CShims
import Synchronization

/// State of one worker. Only its own thread touches it, except for the words that are atomic.
struct Worker: ~Copyable {
    var umem: UMEM
    let rings: UnsafeMutablePointer<CaptureRing>
    let ringCount: Int
    var table: UnsafeMutablePointer<Table>
    /// Drops of frames whose program is not known any more.
    let strays: CounterBlock
    /// A frame's own headers, or a whole frame gathered from several chunks.
    let scratch: UnsafeMutableRawPointer
    /// Wire frames that this turn has made of captured records.
    var emitted = 0
    /// What leads from the clock of the records to ns since 1970, and this turn's time by it.
    var toRealTime: UInt64 = 0
    /// Records up to this time are taken even where the clock is behind it: those of a file have times of their own.
    var latest: UInt64 = 0
    var turnTime: UInt64 = 0
    /// When the words of `inline` pairs were last written.
    var heartbeat: UInt64 = 0
    /// Descriptors of the frame at hand.
    let parts: UnsafeMutablePointer<xdp_desc>
    /// What the taps make of the frame at hand.
    let desk: Desk

    /// The latest table that the host side has published.
    let published: UnsafeMutablePointer<Atomic<UInt>>
    /// Serial of the table in use.
    let acknowledged: UnsafeMutablePointer<Atomic<UInt64>>
    let stop: UnsafeMutablePointer<Atomic<UInt32>>
    let wakeUp: WakeUp
    let epoll: Int32
    /// It has its CPU for itself and never waits.
    let polls: Bool
    /// 1 while captured frames are to wait: another worker still has earlier ones of the same port.
    let held: UnsafeMutablePointer<Atomic<UInt32>>
    /// The host side's word for `toRealTime`.
    let realTimeOffset: UnsafeMutablePointer<Atomic<UInt64>>

    /// Records or descriptors that one source may have in a turn. `longBudget` where an uplink makes XDP frames of many copies at
    /// once, `shortBudget` for captured records where originals wait.
    @inline(__always) static var budget: Int { 64 }
    @inline(__always) static var longBudget: Int { 256 }
    @inline(__always) static var shortBudget: Int { 8 }
}

/// One turn: everything that can be done now, at most a budget of each source.
///
/// - Parameter memory: the address of an initialised `Worker`.
/// - Returns: the number of records and descriptors taken; 0 when there was nothing to do.
@_noLocks
@c(heliostat_worker_turn)
public func workerTurn(_ memory: UnsafeMutableRawPointer) -> Int {
    let worker = memory.assumingMemoryBound(to: Worker.self)
    worker.pointee.adoptTable()
    let table = worker.pointee.table
    for index in 0..<table.pointee.uplinkCount {
        table.pointee.uplinks[index].pointee.beginTurn(&worker.pointee.umem)
    }
    var taken = worker.pointee.carryInline()
    // Copies must not keep originals waiting.
    if worker.pointee.held.pointee.load(ordering: .acquiring) == 0 {
        taken &+= worker.pointee.takeCaptured(
            budget: table.pointee.budget)
    }
    let budget = max(table.pointee.budget, Worker.budget)
    for index in 0..<table.pointee.handoverCount {
        taken &+= worker.pointee.takeHandedOver(table.pointee.handovers[index], budget: budget)
    }
    for index in 0..<table.pointee.spanCount {
        taken &+= worker.pointee.takeReceived(table.pointee.spans[index], budget: budget)
    }
    for index in 0..<table.pointee.packetCount {
        taken &+= worker.pointee.takePackets(table.pointee.packets[index], budget: budget)
    }
    for index in 0..<table.pointee.uplinkCount {
        let uplink = table.pointee.uplinks[index]
        if uplink.pointee.isDirty || uplink.pointee.transmit.pending() > 0 { uplink.pointee.kick(&worker.pointee.umem) }
    }
    return taken
}

/// Turn after turn until the host side says stop. After a turn that did not find a budget's worth
/// it naps (Nap.swift), so that the next one has a batch: a system call, a softirq and the rings' shared words cost the same for one
/// copy as for many, and what reads them all the time slows the sender down. Real-time workers do nothing of this. Idle, it spins for a moment, then sleeps in
/// short steps, and only then asks the capture program for a wake-up: so only the first frame after a pause pays for one.
@_noLocks
@c(heliostat_worker_run)
public func workerRun(_ memory: UnsafeMutableRawPointer) {
    let worker = memory.assumingMemoryBound(to: Worker.self)
    var idle = 0
    var nap = Nap()
    while worker.pointee.stop.pointee.load(ordering: .relaxed) == 0 {
        let taken = workerTurn(memory)
        if worker.pointee.polls {
            if taken == 0 { hs_pause() }
        } else if taken > 0 {
            idle = 0
            let table = worker.pointee.table
            let budget = table.pointee.budget
            nap.follow(taken, budget, mayWait: table.pointee.spanCount == 0 && table.pointee.packetCount == 0)
            if taken < budget && table.pointee.laneCount == 0 { hs_sleep(nap.nanoseconds) }
        } else if idle < Idle.spins {
            hs_pause()
            idle &+= 1
        } else if idle < Idle.sleeps && worker.pointee.table.pointee.laneCount == 0 {
            nap.begin()
            hs_sleep(Nap.shortest)
            idle &+= 1
        } else {
            nap.begin()
            worker.pointee.wakeUp.asleep.pointee.store(1, ordering: .sequentiallyConsistent)
            // Whoever has read the word before has written a record that can be seen after a nap: it leaves its CPU's
            // store buffer with the next lock or interrupt, less than a microsecond later. With originals to carry there is no
            // nap, and the heartbeat's next millisecond finds it.
            let isCarrying = worker.pointee.table.pointee.laneCount != 0
            if !isCarrying { hs_sleep(Nap.shortest) }
            if worker.pointee.isIdle() { hs_wait(worker.pointee.epoll, isCarrying ? Idle.heartbeat : Idle.longestWait) }
            worker.pointee.wakeUp.asleep.pointee.store(0, ordering: .relaxed)
            worker.pointee.wakeUp.clear()
            idle = Idle.sleeps &- 1
        }
    }
}

private enum Idle {
    /// Empty turns, some 20 µs of them.
    @inline(__always) static var spins: Int { 128 }
    /// Then naps of 50 µs, some 3 ms of them.
    @inline(__always) static var sleeps: Int { 160 }
    /// Milliseconds between two looks around while nothing happens.
    @inline(__always) static var longestWait: Int32 { 100 }
    /// The same while originals depend on this thread.
    @inline(__always) static var heartbeat: Int32 { 1 }
}

extension Worker {
    /// Takes over the latest table. Between two turns nothing refers to the one before.
    @inline(__always)
    mutating func adoptTable() {
        let address = published.pointee.load(ordering: .acquiring)
        if address == UInt(bitPattern: table) { return }
        table = UnsafeMutablePointer(bitPattern: address).unsafelyUnwrapped
        takeLimits()
        for index in 0..<table.pointee.returnedCount { umem.give(table.pointee.returned[index]) }
        var granted = 0
        while granted < table.pointee.wantedCount && umem.freeCount > 0 {
            table.pointee.granted[granted] = umem.take(for: UMEM.Place.host)
            granted &+= 1
        }
        table.pointee.grantedCount = granted
        acknowledged.pointee.store(table.pointee.serial, ordering: .releasing)
    }

    /// The uplinks' caps and what copies leave of the chunks are those of the table.
    @inline(__always)
    mutating func takeLimits() {
        umem.reserve = table.pointee.reserve
        for index in 0..<table.pointee.uplinkCount {
            table.pointee.uplinks[index].pointee.limit = table.pointee.limits[index]
            // A run waits where somebody attaches an XDP program at that moment, for longer than originals may.
            table.pointee.uplinks[index].pointee.mayRunLive = table.pointee.laneCount == 0
        }
    }

    /// Whether every source is empty and no newer table waits.
    @inline(__always)
    func isIdle() -> Bool {
        for index in 0..<ringCount where !rings[index].isEmpty { return false }
        for index in 0..<table.pointee.spanCount where table.pointee.spans[index].pointee.receive.available() > 0 {
            return false
        }
        for index in 0..<table.pointee.handoverCount
        where table.pointee.handovers[index].pointee.transmit.available() > 0 {
            return false
        }
        for index in 0..<table.pointee.laneCount where table.pointee.lanes[index].hasFrames() { return false }
        for index in 0..<table.pointee.packetCount where table.pointee.packets[index].pointee.hasPackets() {
            return false
        }
        for index in 0..<table.pointee.uplinkCount where table.pointee.uplinks[index].pointee.wantsKick() {
            return false
        }
        return published.pointee.load(ordering: .relaxed) == UInt(bitPattern: table)
            && stop.pointee.load(ordering: .relaxed) == 0
    }
}
