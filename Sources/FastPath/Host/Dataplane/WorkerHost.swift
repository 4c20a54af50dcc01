// The worker thread and what the host side shares with it: the bell, the epoll set it sleeps in, the tables. Before
// it: CaptureMaps and UMEM. After it: the loop of Worker.swift, which acts on the last table that was published.

import CShims
import FastPath
import Glibc
import MirrorProgram

/// One running worker. Everything that changes for it travels as a new forwarding table.
final class WorkerHost {
    /// There from `start` on.
    private(set) var thread: WorkerThread!
    let area: XSKSocket.Area
    private let epoll, bell: Descriptor
    private var handle = pthread_t()
    private var serial: UInt64 = 0
    /// Until the worker takes it over.
    private var umem: UMEM?
    /// A table that the worker has not taken within its time.
    private var late: ForwardingTable?
    private var nice = Priority.worker
    /// What leads from the clock of the records to ns since 1970, as of the last look.
    private(set) var realTimeOffset: UInt64 = 0
    /// Chunks that go back to the worker with the next table.
    private(set) var returning: [UInt32] = []

    /// What a table is made of, but for the chunks that move with it.
    struct Contents {
        var current: Selection
        var previous: Selection?
        var destinations: [DestinationPlan]
        var uplinks: [UnsafeMutablePointer<Uplink>]
        /// Caps of the first ones.
        var limits: [MirrorProgram.RateLimit?]
        var spans: [UnsafeMutablePointer<SpanSource>]
        var inline = InlineLanes()
        var packets = PacketSources()
    }

    /// 32 MiB: a full TX ring for some uplinks, a full fill ring for some queues, and as much again.
    private static let chunkCount = 8192

    /// Maps the memory for frames; sockets can register it from now on.
    init() throws(HostError) {
        guard let umem = UMEM(chunkCount: Self.chunkCount) else {
            throw HostError("cannot map \(Self.chunkCount * UMEM.chunkSize >> 20) MiB for frames; free some memory")
        }
        area = XSKSocket.Area(base: umem.base, bytes: umem.byteCount, chunkSize: UMEM.chunkSize)
        self.umem = consume umem
        epoll = try Descriptor("cannot make the worker's epoll set") { epoll_create1(Int32(EPOLL_CLOEXEC)) }
        bell = try Descriptor("cannot make the worker's bell") { eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)) }
        // The bell is edge-triggered, so that nobody has to read it.
        try wake(on: bell, EPOLLIN.rawValue | EPOLLET.rawValue)
    }

    /// Starts the thread with its first table; signals that belong to the main loop must be blocked by now.
    func start(_ maps: CaptureMaps, _ contents: Contents) throws(HostError) {
        for ring in maps.rings.rings { try wake(on: ring.descriptor) }
        thread = WorkerThread(
            umem: umem.take()!, rings: maps.rings.rings.map(\.mapping), needWakeup: maps.needWakeup, epoll: epoll.raw,
            table: table(contents, wanted: 0))
        followClock()
        let result = pthread_create(
            &handle, nil,
            { context in
                pthread_setname_np(pthread_self(), "hs-worker")
                Priority.set(Priority.worker)
                Unmanaged<WorkerThread>.fromOpaque(context!).takeRetainedValue().run()
                return nil
            }, Unmanaged.passRetained(thread).toOpaque())
        if result != 0 { throw .system("cannot start the worker thread", result) }
    }

    /// Tells the worker how far CLOCK_REALTIME, which people and NTP set, is ahead of the clock of the records. The
    /// reading that took the least time is the nearest one.
    func followClock() {
        var best: (spent: UInt64, offset: UInt64) = (.max, 0)
        for _ in 0..<3 {
            var real = timespec()
            let before = hs_clock()
            clock_gettime(CLOCK_REALTIME, &real)
            let spent = hs_clock() &- before
            let now = UInt64(real.tv_sec) &* 1_000_000_000 &+ UInt64(real.tv_nsec)
            if spent < best.spent { best = (spent, now &- (before &+ spent / 2)) }
        }
        realTimeOffset = best.offset
        thread.setRealTime(offset: best.offset)
    }

    /// Ends the thread.
    func stop() {
        thread.stop()
        ring()
        pthread_join(handle, nil)
    }

    /// A frame in this socket wakes the worker; it ends with the socket.
    func wake(on descriptor: Descriptor, _ events: UInt32 = EPOLLIN.rawValue) throws(HostError) {
        var event = epoll_event()
        event.events = events
        try check("cannot add to the worker's epoll set") {
            epoll_ctl(epoll.raw, EPOLL_CTL_ADD, descriptor.raw, &event)
        }
    }

    /// Publishes a table and waits until the worker uses it: from then on nothing refers to what only the ones before had.
    @discardableResult
    func publish(_ contents: Contents, wanted: Int = 0) throws(HostError) -> [UInt32] {
        // One that is still on its way carries chunks of its own: no other may overtake it.
        if let late {
            try wait()
            returning += late.grantedChunks
            self.late = nil
        }
        prioritise(contents)
        let table = table(contents, wanted: wanted)
        thread.publish(table)
        late = table
        try wait()
        late = nil
        thread.freeTables()
        return table.grantedChunks
    }

    /// Copies have an ordinary thread's share, but where originals depend on this thread they come first.
    private func prioritise(_ contents: Contents) {
        let nice = contents.inline.lanes.isEmpty ? Priority.worker : Priority.carrier
        if nice == self.nice { return }
        self.nice = nice
        Priority.set(nice, ofThread: thread.kernelID)
    }

    /// Waits until the worker uses the last table.
    private func wait() throws(HostError) {
        ring()
        let deadline = ContinuousClock.now.advanced(by: .seconds(2))
        while thread.acknowledgedSerial < serial {
            if ContinuousClock.now > deadline {
                throw HostError("the worker does not take its new table: it has not come round for 2 s")
            }
            usleep(20)
        }
    }

    private func table(_ contents: Contents, wanted: Int) -> ForwardingTable {
        serial += 1
        defer { returning = [] }
        return ForwardingTable(
            serial: serial, current: contents.current, previous: contents.previous, destinations: contents.destinations,
            uplinks: contents.uplinks, limits: contents.limits, spans: contents.spans, inline: contents.inline,
            packets: contents.packets, returned: returning, wanted: wanted)
    }

    /// Takes back chunks of a socket that is closed and in no table, with the next table.
    func giveBack(_ chunks: [UInt32]) { returning += chunks }

    private func ring() {
        var one: UInt64 = 1
        _ = write(bell.raw, &one, 8)
    }
}
