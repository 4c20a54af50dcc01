// From what should be to what is: the steps of one look, in the order in which they are done. Every step is repeated
// until it has succeeded, and does nothing where all is right. Before it: an event, a new program, or the second.
// After it: StatusReport.swift tells what came of it.

import CShims
import FastPath
import Logging
import MirrorProgram

extension Dataplane {
    /// Compares the kernel with the running program and mends the difference.
    func reconcile() {
        guard let current else { return }
        letGo(of: kernel.takeEnded())
        look(current)
        makeWayForPorts()
        var isDone = openUplinks()
        armFuses()
        isDone = openSpans() && isDone
        isDone = connectPairs() && isDone
        leaveUnused()
        isDone = placeDevice() && isDone
        do throws(HostError) {
            try guardTunnels()
            try publish()
            try install(current)
        } catch {
            logger.error("\(error)")
            isDone = false
        }
        takeOffPrograms()
        isDone = placeHooks() && isDone
        if hasRefused {
            look(current)
            isDone = placeHooks() && isDone
        }
        deviceChanges.keepTags(in: placesInDriver.reduce(into: [:]) { $0[$1] = link(at: $1)?.name })
        isDone = placeDeliveries() && isDone
        retirePrevious()
        announce()
        if previous != nil { wake?.schedule(in: .milliseconds(2)) }
        if isDone {
            retryDelay = .milliseconds(10)
        } else {
            wake?.schedule(in: retryDelay)
            retryDelay = min(retryDelay * 2, .seconds(1))
        }
    }

    /// What stood on interfaces that have ended is gone, even where a new one has the same index.
    private func letGo(of ended: Set<Int32>) {
        if ended.isEmpty { return }
        for place in hooks.keys where place.place.isAmong(ended) { hooks[place] = nil }
        for index in ended { leave(uplink: index) }
        uplinkPrograms.letGo(of: ended)
        for (id, span) in spans where span.place.isAmong(ended) { leave(id, span) }
        for (key, pair) in pairs where key.contains(where: { $0.isAmong(ended) }) { cut(key, pair) }
        if let device = encapsulation, ended.contains(device.index) { leaveDevice() }
        letGoOfPackets(ended)
        deviceChanges.letGo(of: ended)
        deliverProgram?.letGo(of: ended)
    }

    /// What the ports and destinations find at this moment.
    func look(_ current: Generation) {
        let taps = Dictionary(grouping: current.program.taps, by: \.port)
        let avoiding = current.program.ports.filter { $0.capture == .xdp && $0.policy == .prefer }
        let swept = namespaces.follow(
            Set(current.program.ports.compactMap(\.netns)), avoiding: Set(avoiding.compactMap(\.netns)))
        for name in swept { logger.notice("removed filters of an earlier run from \(name)") }
        let ownRoutes = avoiding.contains { $0.netns == nil } ? kernel.defaultRoutes() : []
        // Where XDP is attached already, taking it away again would do the harm.
        let attached = Set(hooks.keys.filter(\.isXDP).map(\.place))
        hasRefused = false
        ports = current.program.ports.map { port in
            var view = port.netns.map { namespaces[$0]! } ?? NamespaceView(links: kernel.links)
            view.links = links(for: port, in: view)
            let defaultRoutes = (port.netns == nil ? ownRoutes : view.defaultRoutes ?? []).filter {
                !attached.contains(InterfacePlace($0, in: view.namespace))
            }
            let refusal = refusals[port.id]
            let link = view.links[port.interface]
            let place = link.map { InterfacePlace($0.index, in: view.namespace) }
            let isSame = refusal?.port == port && refusal?.place == place && refusal?.mtu == link?.mtu
            if !isSame { refusals[port.id] = nil }
            return PortPlan(
                port, slot: current.slots[port.id]!, taps: taps[port.id] ?? [], view,
                refused: refusalWithoutBPF(port) ?? (isSame ? refusal?.reason : nil), defaultRoutes: defaultRoutes)
        }
        refuseForeignPorts(current.program)
        var hops: [Way: Result<NextHop, NextHopFailure>] = [:]
        routes = [:]
        for destination in indices.keys {
            if case .tunnel(let tunnel) = destination.target, hops[Way(tunnel)] == nil {
                hops[Way(tunnel)] = Result { () throws(NextHopFailure) in
                    try kernel.resolver.resolve(Way(tunnel), kernel.links)
                }
            }
            routes[destination] = DestinationRoute(destination, hops, kernel.links)
        }
        lookAtDeliveries(current)
    }

    // MARK: Uplinks

    /// Opens a socket on every interface that copies leave through.
    func openUplinks() -> Bool {
        let wanted = Dictionary(
            routes.values.filter { $0.fate == nil }.compactMap(\.link).map { ($0.index, $0) }, uniquingKeysWith: { $1 })
        uplinkErrors = [:]
        leaveMisruled()
        let serving = Set(current.map { Array($0.assignment.workers.values) } ?? []).union([0])
        for (index, link) in wanted {
            let missing = workers.filter { $0.uplinks[index] == nil && serving.contains($0.place) }
            if missing.isEmpty { continue }
            let rule = rule(of: link.name)
            if let obstacle = rule.obstacle {
                uplinkErrors[index] = obstacle
                continue
            }
            for worker in missing {
                guard let number = freeNumbers(1).first else { break }
                do throws(HostError) {
                    worker.uplinks[index] = try openUplink(link, rule, worker, number: number)
                    numbers.insert(number)
                    logger.info("copies leave through \(link.name)")
                } catch {
                    uplinkErrors[index] = error.description
                }
            }
        }
        let now = ContinuousClock.now
        for uplink in workers.flatMap(\.uplinks.values) {
            uplink.idleSince = wanted[uplink.interface] == nil ? uplink.idleSince ?? now : nil
        }
        return uplinkErrors.isEmpty
    }

    /// Uplinks that nobody has used for a second and whose copies have left; longer if the kernel does not take them.
    private func leaveUnused() {
        let now = ContinuousClock.now
        for index in openInterfaces {
            let uplinks = workers.compactMap { $0.uplinks[index] }
            guard let since = uplinks.compactMap(\.idleSince).max(), uplinks.allSatisfy({ $0.idleSince != nil }) else {
                continue
            }
            let idle = since.duration(to: now)
            if idle < .seconds(1) || (!uplinks.allSatisfy(\.isDrained) && idle < .seconds(5)) { continue }
            leave(uplink: index)
        }
    }

    /// Lowest numbers that no socket has.
    func freeNumbers(_ count: Int) -> [UInt16] {
        Array((UInt16(0)..<4096).lazy.filter { !self.numbers.contains($0) }.prefix(count))
    }

    // MARK: The table

    /// Makes the loop guard know every tunnel before its first copy.
    func guardTunnels() throws(HostError) {
        var keys: Set<TunnelKey> = []
        for (destination, route) in routes {
            guard case .tunnel(let tunnel) = destination.target, let source = route.source else { continue }
            keys.insert(TunnelKey(tunnel, source: source))
        }
        try maps.setOwnTunnels(keys)
    }

    /// Who serves a port.
    func worker(of plan: PortPlan) -> WorkerHost { workers[current?.worker(of: plan.port.id) ?? 0] }

    func shape(of worker: WorkerHost) -> TableShape {
        var rows = [TableShape.Row?](repeating: nil, count: max(Watch.most, (indices.values.max() ?? 0) + 1))
        for watch in watches { rows[watch.place] = row(of: watch, worker) }
        for (destination, index) in indices {
            guard let route = routes[destination] else { continue }
            let uplink = route.fate == nil ? route.link.flatMap { worker.uplinks[$0.index] } : nil
            // Before Linux 6.6 a frame is one chunk.
            let header = route.encapsulation?.length ?? 0
            let longest = uplink?.takesLongFrames ?? true ? Int.max : UMEM.chunkSize - header
            rows[index] = TableShape.Row(
                id: destination.id, encapsulation: route.encapsulation, frameLimit: min(route.frameLimit, longest),
                uplink: uplink?.number, fate: route.fate ?? (uplink == nil ? .uplinkDown : fuseFate(route)),
                whole: whole(route, index: index, uplink))
        }
        return TableShape(
            generation: current?.number ?? 0, previous: previous?.number, rows: rows,
            uplinks: (worker.uplinks.values.map(\.number) + watches.map { $0.numbers[worker.place] }).sorted(),
            limits: limits(of: worker),
            spans: spans.values.filter { $0.worker === worker }.flatMap(\.numbers).sorted(),
            handovers: handovers(to: worker).map(\.number).sorted(), lanes: laneShape(of: worker),
            packets: packets.map { Set($0.captures.keys) } ?? [], guarded: packets == nil ? [] : maps.ownTunnels)
    }

    private func fuseFate(_ route: DestinationRoute) -> DropReason? {
        route.link.flatMap { fuses[$0.index]?.fuse.sheds } == true ? .fused : nil
    }

    /// Other workers' uplinks that lead to this one.
    private func handovers(to worker: WorkerHost) -> [UplinkSocket] {
        workers.flatMap(\.uplinks.values).filter { $0.owner === worker }
    }

    func contents(of worker: WorkerHost) -> WorkerHost.Contents {
        let (place, limits, uplinks) = (worker.place, limits(of: worker), worker.uplinks)
        let pointers =
            uplinks.values.map { ($0.number, $0.pointer) }
            + watches.map { ($0.numbers[place], $0.uplinks[place].uplink) }
        let byNumber = Dictionary(uniqueKeysWithValues: pointers)
        let counters = Dictionary(uniqueKeysWithValues: watches.map { ($0.place, $0.counters[place]) })
        let rows = shape(of: worker).rows.enumerated().map { index, row in
            DestinationPlan(
                encapsulation: row?.encapsulation, frameLimit: row?.frameLimit ?? 0,
                uplink: row?.uplink.flatMap { byNumber[$0] }, fate: row == nil ? .noRoute : row!.fate,
                counters: counters[index] ?? row.map { ledger.block(destination: $0.id, worker: place) } ?? spare,
                sequence: row?.encapsulation.flatMap(sequence), whole: row?.whole)
        }
        return WorkerHost.Contents(
            current: current?.selections[place] ?? Selection(generation: 0, ports: []),
            previous: previous?.selections[place],
            destinations: rows,
            uplinks: pointers.map(\.1), limits: uplinks.keys.map { limits[$0] },
            spans: spans.values.filter { $0.worker === worker }.flatMap(\.sources),
            handovers: handovers(to: worker).compactMap(\.handover), inline: inlineLanes(of: worker),
            packets: packetSources)
    }

    private func sequence(_ header: OuterHeader) -> SequenceWord? {
        header.tunnel.isSequenced ? sequences.word(source: header.source, remote: header.tunnel.remote) : nil
    }

    /// Gives every worker a new table where something has changed, and closes what only the old one had.
    func publish() throws(HostError) {
        let routes = wantedRoutes
        try kernelRoutes?.put(routes)
        defer { kernelRoutes?.retain(routes.keys) }
        let isNothingLeft =
            leavingDevice == nil && leavingSpans.isEmpty && leavingPairs.isEmpty && leavingWatches.isEmpty
            && workers.allSatisfy(\.leavingUplinks.isEmpty)
        for worker in workers {
            let wanted = shape(of: worker)
            if wanted == worker.published && isNothingLeft { continue }
            try worker.publish(contents(of: worker))
            worker.published = wanted
        }
        closeLeft()
        for worker in workers where !worker.returning.isEmpty { try worker.publish(contents(of: worker)) }
    }

    /// Closes sockets that no table has any more, and gives their chunks back. A driver without copies writes into its
    /// chunks until the kernel has torn the queue down, which it does behind our back: those wait a second.
    private func closeLeft() {
        let now = ContinuousClock.now
        leavingDevice = nil
        for worker in workers {
            abandoned += worker.leavingUplinks.reduce(0) { $0 + $1.queuedFrames }
            let watched = leavingWatches.map { $0.numbers[worker.place] }
            worker.closed += (worker.leavingUplinks.map(\.number) + watched).map { ($0, now) }
            worker.leavingUplinks = []
        }
        for span in leavingSpans {
            span.worker.closed += span.numbers.map { ($0, span.isZeroCopy ? now.advanced(by: .seconds(1)) : now) }
        }
        for pair in leavingPairs {
            pair.worker.closed += pair.numbers.map { ($0, pair.isZeroCopy ? now.advanced(by: .seconds(1)) : now) }
        }
        leavingSpans = []
        leavingPairs = []
        for watch in leavingWatches { watch.settle(areas) }
        leavingWatches = []
        for worker in workers {
            for socket in worker.closed where socket.free <= now {
                worker.giveBack(worker.thread.chunks(heldBy: socket.number))
                numbers.remove(socket.number)
            }
            worker.closed.removeAll { $0.free <= now }
        }
    }

    /// Starts of the workers' chunks.
    var areas: [UnsafeMutableRawPointer] { workers.map(\.area.base) }

    // MARK: Capture

    /// Puts the entries of a new program in place: from here on frames match under it.
    func install(_ generation: Generation) throws(HostError) {
        if generation.switchPositions != nil { return }
        let gaining = workersThatGain(generation)
        for worker in gaining { worker.thread.hold(true) }
        defer { for worker in gaining { worker.thread.hold(false) } }
        try generation.entries.install()
        let positions = workers.map(\.thread.producedPositions)
        generation.switchPositions = positions
        release(gaining, positions)
    }

    /// Attaches what is missing, several at a time: each attachment waits for the kernel's readers, and they can wait
    /// together.
    func placeHooks() -> Bool {
        if packets != nil { return placePackets() }
        let wanted = ports.flatMap { plan in plan.hooks.map { (place: $0, port: plan.port) } }
        replaceXDP(by: wanted.map(\.place))
        for place in Set(hooks.keys).subtracting(wanted.map(\.place)) { hooks[place] = nil }
        var isDone = true
        // XDP first: where it cannot be had the rest of the port must not be either.
        for isXDP in [true, false] {
            isDone = place(wanted.filter { $0.place.isXDP == isXDP && hooks[$0.place] == nil }) && isDone
        }
        return isDone
    }

    /// What an interface receives is another port's now: its program in the driver gives way to that port's. To take it out
    /// and to put one in would cost a veth the frames that wait there, and a NIC its link.
    private func replaceXDP(by wanted: [HookPlace]) {
        for (place, hook) in hooks where place.isXDP && !wanted.contains(place) {
            guard let next = wanted.first(where: { $0.isXDP && $0.place == place.place }) else { continue }
            let name = link(at: place.place)?.name ?? "interface \(place.interface)"
            do throws(HostError) {
                let program = try CaptureXDP.load(sharing: capture, for: next)
                try hook.replace(program, name)
                hooks[place] = nil
                hooks[next] = hook
            } catch {
                logger.warning("\(error); it is taken out, and another one put in")
            }
        }
    }

    private func place(_ wanted: [(place: HookPlace, port: MirrorProgram.Port)]) -> Bool {
        var failed: Set<Int> = []
        var missing = wanted.filter { !hasFailed($0.port) }[...]
        while !missing.isEmpty {
            let batch = missing.prefix(Self.attachedAtOnce)
            missing = missing.dropFirst(batch.count)
            let work = batch.map { item in (item, attach(item.place, item.port.interface)) }
            for ((place, port), attachment) in work {
                do throws(HostError) {
                    let (program, hook) = try attachment.get().wait()
                    if !place.isXDP { loaded[place.point] = program }
                    hooks[place] = hook
                } catch {
                    failed.insert(place.point.slot)
                    if place.isXDP, let link = link(at: place.place) {
                        refuse(port, link, in: place.namespace, error)
                    } else {
                        portErrors[port.id] = error.description
                    }
                }
            }
        }
        // A port is captured whole or not at all.
        for place in hooks.keys where failed.contains(place.point.slot) { hooks[place] = nil }
        return failed.isEmpty
    }

    private func hasFailed(_ port: MirrorProgram.Port) -> Bool {
        portErrors[port.id] != nil || refusals[port.id]?.port == port && hasRefused
    }

    /// Interfaces whose frames are captured in the driver.
    var placesInDriver: [InterfacePlace] { hooks.keys.filter(\.isXDP).map(\.place) + spans.values.map(\.place) }

    private static var attachedAtOnce: Int { 8 }

    private typealias Attachment = Background<(program: Descriptor, hook: CaptureHook)>

    /// Loads the program of a capture point, unless that was done before, and attaches it.
    private func attach(_ place: HookPlace, _ name: String) -> Result<Attachment, HostError> {
        let known = place.isXDP ? nil : loaded[place.point]
        let kind = place.isXDP ? .xdp : hookKind
        let capture: CaptureProgram = capture
        return Result { () throws(HostError) in
            try Background { () throws(HostError) in
                let program =
                    if let known {
                        known
                    } else if place.isXDP {
                        try CaptureXDP.load(sharing: capture, for: place)
                    } else {
                        try capture.load(
                            slot: place.point.slot, direction: hs_direction(UInt32(place.point.direction)))
                    }
                let hook = try CaptureHook(
                    program, interface: place.interface, name: name, ingress: place.ingress, kind: kind,
                    namespace: place.namespace)
                return (program, hook)
            }
        }
    }

    // MARK: The program before

    /// Forgets the program before once no ring has a record of it.
    ///
    /// - Parameter atOnce: without waiting for that; what is left in the rings is then counted as stray.
    func retirePrevious(atOnce: Bool = false) {
        guard let old = previous, let current, let positions = current.switchPositions else { return }
        guard atOnce || hasDrained(to: positions) else { return }
        previous = nil
        ledger.fold(old.kernelTallies())
        let kept = Set(current.program.destinations)
        indices = indices.filter { kept.contains($0.key) }
        let slots = Set(current.slots.values)
        loaded = loaded.filter { slots.contains($0.key.slot) }
        do throws(HostError) {
            try publish()
            ledger.retain([current.program])
            sequences.retain(remotes: Set(current.program.destinations.compactMap(\.remote)))
        } catch {
            logger.error("\(error)")
        }
    }
}

extension MirrorProgram.Destination {
    fileprivate var remote: IPAddress? { if case .tunnel(let tunnel) = target { tunnel.remote } else { nil } }
}
