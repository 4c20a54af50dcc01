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
    let plan: WorkerPlan
    /// Number among the workers, from 0.
    let place: Int
    /// What the capture program wakes it by; `bell` is the host side's.
    let doorbell: CaptureMaps.Doorbell
    let area: XSKSocket.Area
    private let memory: FrameMemory
    /// Why it does not run as it is planned, in the kernel's words.
    private var obstacles: [String] = []
    private lazy var pages: WorkerStatus.Pages =
        memory.isHuge ? .huge : FrameMemory.transparentBytes(at: memory.base) > 0 ? .transparent : .plain
    let bell: Descriptor
    private let epoll: Descriptor
    private var handle = pthread_t()
    private var serial: UInt64 = 0
    /// Until the worker takes it over.
    private var umem: UMEM?
    /// A table that the worker has not taken within its time.
    private var late: ForwardingTable?
    private var nice: Int32
    /// What leads from the clock of the records to ns since 1970, as of the last look.
    private(set) var realTimeOffset: UInt64 = 0
    /// Chunks that go back to the worker with the next table.
    private(set) var returning: [UInt32] = []

    // What is in its table.
    /// By interface.
    var uplinks: [Int32: UplinkSocket] = [:]
    var published: TableShape?
    /// Out of use, and to be closed once no worker's table has them.
    var leavingUplinks: [UplinkSocket] = []
    /// Sockets that are closed, and when the kernel can be trusted to have let go of their chunks.
    var closed: [(number: UInt16, free: ContinuousClock.Instant)] = []

    /// What a table is made of, but for the chunks that move with it.
    struct Contents {
        var current: Selection
        var previous: Selection?
        var destinations: [DestinationPlan]
        var uplinks: [UnsafeMutablePointer<Uplink>]
        /// Caps of the first ones.
        var limits: [MirrorProgram.RateLimit?]
        var spans: [UnsafeMutablePointer<SpanSource>]
        var handovers: [UnsafeMutablePointer<Handover>] = []
        var inline = InlineLanes()
        var packets = PacketSources()
    }

    /// 32 MiB: a full TX ring for some uplinks, a full fill ring for some queues, and as much again.
    private static let chunkCount = 8192

    /// Maps the memory for the frames of one.
    static func memory(_ plan: WorkerPlan) throws(HostError) -> FrameMemory {
        try FrameMemory(bytes: chunkCount * UMEM.chunkSize, node: plan.node)
    }

    /// Takes the memory over; sockets can register it from now on.
    init(
        _ plan: WorkerPlan, place: Int, _ memory: FrameMemory, _ doorbell: CaptureMaps.Doorbell, busyPolls: Bool
    ) throws(HostError) {
        self.plan = plan
        self.place = place
        self.doorbell = doorbell
        self.memory = memory
        nice = plan.nice
        umem = UMEM(memory.base, chunkCount: Self.chunkCount)
        area = XSKSocket.Area(
            base: memory.base, bytes: memory.bytes, chunkSize: UMEM.chunkSize, busyPolls: busyPolls)
        epoll = try Descriptor("cannot make the worker's epoll set") { epoll_create1(Int32(EPOLL_CLOEXEC)) }
        bell = try Descriptor("cannot make the worker's bell") { eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)) }
        // The bell is edge-triggered, so that nobody has to read it.
        try wake(on: bell, EPOLLIN.rawValue | EPOLLET.rawValue)
    }

    /// Starts the thread with its first table; signals that belong to the main loop must be blocked by now.
    func start(_ maps: CaptureMaps, _ contents: Contents) throws(HostError) {
        let rings = maps.rings.rings.filter { $0.worker == place }
        if let descriptor = doorbell.descriptor { try wake(on: descriptor) }
        thread = WorkerThread(
            umem: umem.take()!, rings: rings.map(\.mapping), wakeUp: doorbell.wakeUp, epoll: epoll.raw,
            polls: plan.isRealTime, table: table(contents, wanted: 0))
        followClock()
        let result = pthread_create(
            &handle, nil,
            { context in
                pthread_setname_np(pthread_self(), "hs-worker")
                Unmanaged<WorkerThread>.fromOpaque(context!).takeRetainedValue().run()
                return nil
            }, Unmanaged.passRetained(thread).toOpaque())
        if result != 0 { throw .system("cannot start the worker thread", result) }
        settle()
    }

    /// Puts the thread where it belongs; it runs already, as any other.
    private func settle() {
        while thread.kernelID == 0 { usleep(10) }
        let id = thread.kernelID
        Priority.set(nice, ofThread: id)
        if !plan.cpus.isEmpty, hs_run_on(id, plan.cpus.map(Int32.init), Int32(plan.cpus.count)) != 0 {
            obstacles.append("not on CPU \(plan.cpus): \(String(cString: strerror(errno)))")
        }
        if plan.isRealTime, hs_make_real_time(id) != 0 {
            obstacles.append("not in real time: \(String(cString: strerror(errno)))")
        }
        if let obstacle = memory.obstacle { obstacles.append(obstacle) }
    }

    /// - Parameter ports: ids of those that it serves.
    func status(_ ports: [String]) -> WorkerStatus {
        let isRealTime = hs_is_real_time(thread.kernelID) != 0
        let nice = getpriority(Int32(PRIO_PROCESS.rawValue), id_t(thread.kernelID))
        return WorkerStatus(
            cpus: plan.cpus.isEmpty ? nil : plan.cpus, scheduling: isRealTime ? "fifo 1" : "nice \(nice)", pages: pages,
            node: FrameMemory.node(of: memory.base), ports: ports.sorted(),
            reason: obstacles.isEmpty ? nil : obstacles.joined(separator: "; "))
    }

    /// For the log, once: as it was planned and is not.
    var obstacle: String? { obstacles.isEmpty ? nil : obstacles.joined(separator: "; ") }

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

    /// Copies have the share that the process was started with, but where originals depend on this thread they come first.
    private func prioritise(_ contents: Contents) {
        let nice = contents.inline.lanes.isEmpty ? plan.nice : min(plan.nice, Priority.carrier)
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
            uplinks: contents.uplinks, limits: contents.limits, spans: contents.spans, handovers: contents.handovers,
            inline: contents.inline, packets: contents.packets, returned: returning, wanted: wanted)
    }

    /// Takes back chunks of a socket that is closed and in no table, with the next table.
    func giveBack(_ chunks: [UInt32]) { returning += chunks }

    private func ring() {
        var one: UInt64 = 1
        _ = write(bell.raw, &one, 8)
    }
}
