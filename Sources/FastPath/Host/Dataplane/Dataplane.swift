// The orchestrator of the host side: one program, the kernel as it is, and the difference between the two. Level-
// triggered: every event and every second `reconcile` computes from scratch what should be, and touches only what is
// not so. Order: uplink, tunnel, table, capture for what is added; the reverse for what is removed.

import CShims
import FastPath
import Glibc
package import Logging
package import MirrorProgram

/// A running dataplane. Everything here happens on the main loop's thread; each worker has its own.
package final class Dataplane {
    let logger: Logger
    let epoch: String
    /// Nil where BPF may not be loaded; nothing that is in use then refers to it.
    let capture: CaptureProgram!
    let maps: CaptureMaps
    /// NUMA node of each worker.
    private let workerNodes: [Int?]
    /// There once the memory for frames is.
    private(set) var workers: [WorkerHost] = []
    let kernel: KernelView
    var namespaces = PortNamespaces()
    let ledger = Ledger()
    let sequences: SequenceNumbers
    private let loop: EventLoop
    var wake: EventLoop.Timer?
    private var tick: EventLoop.Timer?
    /// Takes the place of the better hook that the kernel has.
    let hookKind: CaptureHookKind?

    /// The running program, and the one before it until every ring has passed the switch.
    var current: Generation?
    var previous: Generation?
    var lastNumber: UInt32 = 0
    /// Places of destinations in the tables, by what they are: a changed destination gets a place of its own. The first
    /// `Watch.most` are those of watches.
    var indices: [MirrorProgram.Destination: Int] = [:]

    // What is in the kernel and in the workers' tables; their uplinks are theirs.
    var hooks: [HookPlace: CaptureHook] = [:]
    var loaded: [CapturePoint: Descriptor] = [:]
    let deviceChanges: DeviceChanges
    var spans: [String: SpanPort] = [:]
    /// By the interfaces of the port and of its pair.
    var pairs: [[InterfacePlace]: InlinePair] = [:]
    /// There while the program, or what an earlier run has left, has `inline` ports.
    var pins: InlinePins?
    var pairRetries: [[InterfacePlace]: PairRetry] = [:]
    /// Out of use, and to be closed once the workers have tables without them.
    var leavingSpans: [SpanPort] = []
    var leavingPairs: [InlinePair] = []
    /// Those who look on, and those who did until the worker has a table without them.
    var watches: [Watch] = []
    var leavingWatches: [Watch] = []
    /// Frames that were handed to an uplink which ended before the kernel took them.
    var abandoned: UInt64 = 0
    /// Numbers of the sockets that have chunks.
    var numbers: Set<UInt16> = []
    /// Stands where a table has no destination.
    let spare = CounterBlock.allocate()

    /// There while something goes through it; and the one before, until the worker has a table without it.
    var encapsulation: EncapsulationDevice?
    var leavingDevice: EncapsulationDevice?
    var encapsulationError: String?
    let kernelRoutes: KernelRoutes?
    /// Most ns that a copy may cost the sender where the engine is `auto`.
    let senderBound: Int
    /// Whether the kernel can carry anything.
    private let hasKernelEngine: Bool
    /// By port, and not before when there is another one.
    var choices: [String: EngineChoice] = [:]
    var nextChoice = ContinuousClock.now
    /// There where BPF may not be loaded.
    var packets: PacketPorts?

    // What was found at the last look.
    var ports: [PortPlan] = []
    var routes: [MirrorProgram.Destination: DestinationRoute] = [:]
    var portErrors: [String: String] = [:]
    /// By port; and whether there is one more than `ports` reckons with.
    var refusals: [String: ModeRefusal] = [:]
    var hasRefused = false
    /// How often a program of a port had to be put back, by port.
    var displacements: [String: Int] = [:]
    var uplinkErrors: [Int32: String] = [:]
    var uplinkPrograms = UplinkPrograms()
    /// What arrives from other hosts: loaded once a program has deliveries.
    var deliverProgram: DeliverProgram?
    /// By interface, of the uplinks that are to have one; and what the kernel has dropped by CPU.
    var fuses: [Int32: FusedUplink] = [:]
    var starved: [Int: UInt64] = [:]
    private(set) var fuseTimer: EventLoop.Timer?
    var deliveryPlans: [DeliveryPlan] = []
    var deliveryError: String?
    var retryDelay = Duration.milliseconds(10)
    var lastWords: [String: String] = [:]

    /// Starts with a program, or with none.
    ///
    /// The capture begins before the worker does: what is captured meanwhile waits in the rings. So a dataplane that is
    /// started again misses as little as can be.
    ///
    /// - Parameters:
    ///   - directory: where sequence numbers outlive this process; nil for nowhere.
    ///   - capture: loaded before, or nil.
    ///   - usesBPF: false captures by packet sockets whatever the kernel allows.
    ///   - senderBound: most ns that a copy may cost the sender of the original where the program leaves the engine open.
    ///   - cores: the workers, and whether their sockets busy-poll.
    ///   - first: the program to run.
    package init(
        _ loop: EventLoop, logger: Logger, directory: StateDirectory? = nil, capture: CaptureProgram? = nil,
        hookKind: CaptureHookKind? = nil, usesBPF: Bool = true, senderBound: Int = Dataplane.usualSenderBound,
        cores: (plans: [WorkerPlan], busyPolls: Bool) = ([WorkerPlan()], false),
        first: MirrorProgram? = nil
    ) throws(HostError) {
        self.loop = loop
        self.logger = logger
        self.hookKind = hookKind
        sequences = SequenceNumbers(directory, logger)
        deviceChanges = DeviceChanges(directory, logger)
        var random = SystemRandomNumberGenerator()
        epoch = String(random.next(), radix: 16)
        let workerCount = cores.plans.count
        let ringSize = if let capture { capture.ringSize } else { try CaptureRingSet.size(workers: workerCount) }
        let rings = try Background { () throws(HostError) in
            try CaptureRingSet(workers: workerCount, size: ringSize)
        }
        let memories = try cores.plans.map { plan throws(HostError) in
            try Background { () throws(HostError) in try WorkerHost.memory(plan) }
        }
        let program = Result { () throws(HostError) in
            if !usesBPF { throw HostError("HELIOSTAT_CAPTURE_HOOK asks for packet sockets") }
            return if let capture { capture } else { try CaptureProgram.best(workers: cores.plans.count) }
        }
        var changed: () -> Void = {}
        kernel = try KernelView(loop) { changed() }
        for name in Sweep.run(kernel.links) { logger.notice("removed filters of an earlier run from \(name)") }
        for name in EncapsulationDevice.sweep(kernel.links) { logger.notice("removed \(name) of an earlier run") }
        let made = try Self.capture(by: program, Result { () throws(HostError) in try rings.wait() })
        self.capture = made.program
        maps = made.maps
        packets = made.packets
        // Packet sockets are one worker's.
        let plans = made.packets == nil ? cores.plans : Array(cores.plans.prefix(1))
        workerNodes = plans.map(\.node)
        kernelRoutes = made.program.map { KernelRoutes($0.routesMap) }
        self.senderBound = senderBound
        hasKernelEngine = made.program?.readsKernelFields == true
        let wake = loop.timer { [unowned self] in reconcile() }
        let tick = loop.timer { [unowned self] in inspect() }
        changed = { wake.schedule(in: .milliseconds(5)) }
        self.wake = wake
        fuseTimer = loop.timer { [unowned self] in lookAtFuses() }
        self.tick = tick
        if let first {
            do throws(HostError) {
                try begin(first)
            } catch {
                // The next look tries again, and says so as long as it fails.
                logger.error("\(error)")
                current?.switchPositions = nil
            }
        }
        for (place, plan) in plans.enumerated() {
            workers.append(
                try WorkerHost(
                    plan, place: place, try memories[place].wait(), maps.doorbells[place], busyPolls: cores.busyPolls))
        }
        if current != nil { _ = openUplinks() }
        for worker in workers {
            worker.published = shape(of: worker)
            try worker.start(maps, contents(of: worker))
            if let obstacle = worker.obstacle {
                logger.warning("worker \(worker.place) runs otherwise than asked for: \(obstacle)")
            }
        }
        // What an earlier run has changed is put back, unless the first program goes on with it.
        if current == nil { deviceChanges.keepTags(in: [:]) }
        reconcile()
        tick.schedule(in: .seconds(1))
    }

    /// The capture program and its maps, or what stands for them where BPF may not be loaded.
    private static func capture(
        by program: Result<CaptureProgram, HostError>, _ rings: Result<CaptureRingSet, HostError>
    ) throws(HostError) -> (program: CaptureProgram?, maps: CaptureMaps, packets: PacketPorts?) {
        do throws(HostError) {
            let program = try program.get()
            return (program, try CaptureMaps(program, try rings.get()), nil)
        } catch {
            if !PacketPorts.means(error.code) { throw error }
            return (nil, CaptureMaps(), PacketPorts(error))
        }
    }

    /// Captures for the first program; nobody reads the rings yet.
    private func begin(_ program: MirrorProgram) throws(HostError) {
        let slots = try assignSlots(program)
        assignIndices(program)
        lastNumber = 1
        let generation = try Generation(
            lastNumber, program, slots: slots, assignment: assign(program), workers: workerNodes.count, ledger: ledger,
            indices: indices, capture: capture, auto: auto)
        warn(of: generation)
        current = generation
        look(generation)
        try guardTunnels()
        generation.switchPositions = []
        // Whatever the order in which these two come to their ends: a program without entries does nothing.
        let installed = try Background { () throws(HostError) in try generation.entries.install() }
        _ = placeHooks()
        try installed.wait()
    }

    /// Replaces the running program and puts it into the kernel as far as the kernel allows; `status` says how far.
    ///
    /// - Throws: nothing has changed.
    package func run(_ program: MirrorProgram) throws(HostError) {
        pairRetries = [:]
        if let current, current.program.runs(like: program) {
            current.program.generation = program.generation
            reconcile()
            return
        }
        // A table knows two programs: the one before last must be out of the rings.
        let deadline = ContinuousClock.now.advanced(by: .milliseconds(500))
        while let current, previous != nil {
            // A switch that failed half-way is brought to its end first, or its failure is the answer.
            if current.switchPositions == nil {
                try guardTunnels()
                try publish()
                try install(current)
            }
            retirePrevious(atOnce: ContinuousClock.now > deadline)
            usleep(100)
        }
        try change(to: program)
        reconcile()
    }

    /// Makes a program the running one; the next look puts it in place.
    func change(to program: MirrorProgram) throws(HostError) {
        let slots = try assignSlots(program)
        assignIndices(program)
        foldDrops()
        let next = try Generation(
            lastNumber + 1, program, slots: slots, assignment: assign(program), workers: workerNodes.count,
            ledger: ledger, indices: indices, capture: capture, auto: auto)
        lastNumber += 1
        warn(of: next)
        previous = current
        current = next
        keep(watches(over: program))
    }

    /// What the engine `auto` means now.
    private var auto: AutoEngine {
        if hasKernelEngine && senderBound >= Self.senderCost { return .kernel }
        return .chosen(Set(choices.filter(\.value.isKernel).keys))
    }

    /// What a copy made by the kernel adds to the sender's time in ns, as it was measured (docs/performance.md), and what is
    /// allowed where nobody says otherwise: no more than the capture for the worker costs.
    package static let senderCost = 1500
    package static let usualSenderBound = 350

    private func warn(of generation: Generation) {
        for (point, error) in generation.entries.unfiltered {
            logger.warning("slot \(point.slot): \(error); all its frames are copied, and filtered by the worker")
        }
    }

    /// Takes everything of ours out of the kernel but for the wires of `inline` ports, the capture first; copies that
    /// are under way still leave.
    package func stop() {
        hooks = [:]
        deliverProgram = nil
        defer { encapsulation = nil }
        for span in spans.values { span.detach() }
        for pair in pairs.values { pair.leave() }
        deviceChanges.keepTags(in: [:])
        let positions = workers.map(\.thread.producedPositions)
        let deadline = ContinuousClock.now.advanced(by: .milliseconds(300))
        let isDone = { [self] in
            hasDrained(to: positions)
                && workers.allSatisfy { $0.uplinks.values.allSatisfy(\.isDrained) }
                && pairs.values.allSatisfy(\.isDrained)
        }
        while !isDone(), ContinuousClock.now < deadline { usleep(500) }
        for worker in workers { worker.stop() }
        uplinkPrograms = UplinkPrograms()
        sequences.settle()
    }

    /// What stays in the kernel when this process ends: the wires of `inline` ports, by their interfaces and pins.
    package var remains: [(interfaces: [String], pins: [String])] {
        pairs.values.map { ($0.links.map(\.name), $0.pinPaths) }
    }

    /// Once a second: what nobody tells of (a program put ahead of ours, a neighbour that went stale) is looked at.
    private func inspect() {
        namespaces.inspect()
        inspectHooks()
        inspectSpans()
        inspectUplinks()
        inspectLiveUplinks()
        deviceChanges.lookAgain()
        for worker in workers { worker.followClock() }
        inspectDevice()
        encapsulation?.setRealTime(offset: workers[0].realTimeOffset)
        sequences.keepAhead()
        inspectDeliveries()
        inspectPairs()
        if hasKernelEngine && senderBound > 0 { chooseEngines() }
        reconcile()
        tick?.schedule(in: .seconds(1))
    }

    private func inspectHooks() {
        for (place, hook) in hooks {
            guard let name = link(at: place.place)?.name else { continue }
            do throws(HostError) {
                if try !hook.keepPlace(name) { continue }
                logger.warning("the capture program on \(name) was not in its place any more; it was put back")
                if let id = ports.first(where: { $0.hooks.contains(place) })?.port.id {
                    displacements[id, default: 0] += 1
                }
            } catch {
                logger.warning("\(error); attaching anew")
                hooks[place] = nil
            }
        }
    }

    /// A port keeps its slot as long as any program names it.
    private func assignSlots(_ program: MirrorProgram) throws(HostError) -> [String: Int] {
        if program.ports.count > Int(HS_SLOTS) {
            throw HostError("the program has \(program.ports.count) ports; a dataplane captures \(HS_SLOTS) at most")
        }
        var slots: [String: Int] = [:]
        for port in program.ports { slots[port.id] = current?.slots[port.id] }
        let taken = Set(slots.values).union(current?.slots.values.map { $0 } ?? [])
        var free = (0..<Int(HS_SLOTS)).lazy.filter { !taken.contains($0) }.makeIterator()
        for port in program.ports where slots[port.id] == nil {
            guard let slot = free.next() else {
                throw HostError(
                    "no slot is free for port '\(port.id)' while the program before is still in use; apply again")
            }
            slots[port.id] = slot
        }
        return slots
    }

    /// A port stays with its worker, whatever its id becomes.
    private func assign(_ program: MirrorProgram) -> PortAssignment {
        let known = current?.assignment.workers ?? [:]
        let byInterface = Dictionary(
            (current?.program.ports ?? []).map { ([$0.interface, $0.netns ?? ""], known[$0.id]) },
            uniquingKeysWith: { first, _ in first })
        var previous: [String: Int] = [:]
        var nodes: [String: Int] = [:]
        for port in program.ports {
            previous[port.id] = known[port.id] ?? byInterface[[port.interface, port.netns ?? ""]] ?? nil
            if port.netns == nil, workerNodes.count > 1, let link = kernel.links[port.interface] {
                nodes[port.id] = Topology.node(ofInterface: link.name, index: link.index)
            }
        }
        return PortAssignment(program, nodes: workerNodes, portNodes: nodes, previous: previous)
    }

    private func assignIndices(_ program: MirrorProgram) {
        var taken = Set(indices.values)
        for destination in program.destinations where indices[destination] == nil && !destination.isSpread {
            let index = (Watch.most...).first { !taken.contains($0) }!
            indices[destination] = index
            taken.insert(index)
        }
    }
}

extension MirrorProgram.Destination {
    /// It stands for others and has no place in a table.
    var isSpread: Bool { if case .spread = target { true } else { false } }
}

extension MirrorProgram {
    /// Whether both ask for the same, whatever number they carry.
    fileprivate func runs(like other: MirrorProgram) -> Bool {
        ports == other.ports && destinations == other.destinations && taps == other.taps
            && deliveries == other.deliveries && uplinks == other.uplinks
    }
}
