// The `inline` ports of the running program: connected, kept, and taken out when the program does not name them any
// more. Before it: Reconcile.swift, one of whose steps this is. After it: InlinePair.swift.
//
// A pair is kept as long as both interfaces are there and the program connects them, whatever else changes about the
// port: a link that goes down, a tap, the port's id.

import CShims
import FastPath
import Logging
import MirrorProgram

extension Dataplane {
    private var inlinePlans: [PortPlan] { ports.filter { $0.mode == .inline && $0.link != nil && $0.pair != nil } }

    private func key(_ plan: PortPlan) -> [InterfacePlace] {
        [plan.link!, plan.pair!].map { InterfacePlace($0.index, in: plan.namespace) }
    }

    /// The interfaces as a port finds them. A wire is not cut because somebody calls one of its interfaces otherwise: it
    /// goes by the names that they had when they were connected, as long as nobody else has these.
    func links(for port: MirrorProgram.Port, in view: NamespaceView) -> LinkTable {
        var links = view.links
        if port.capture != .inline { return links }
        let pair = pairs.first { key, pair in
            key[0].namespace == view.namespace
                && pair.links[0].name == port.interface && pair.links[1].name == port.pair
        }
        for link in pair?.value.links ?? [] where links[link.name] == nil { links.alias(link.index, as: link.name) }
        return links
    }

    /// Connects what is not connected, and cuts what nobody names.
    func connectPairs() -> Bool {
        let wanted = Dictionary(uniqueKeysWithValues: inlinePlans.map { (key($0), $0) })
        for (key, pair) in pairs where wanted[key].map(worker(of:)) !== pair.worker { cut(key, pair) }
        pairRetries = pairRetries.filter { wanted[$0.key] != nil }
        if wanted.isEmpty && pins == nil && !InlinePins.isThere { return true }
        guard let pins = takePins(wanted.values.map { $0 }) else { return wanted.isEmpty }
        // Pairs that wait for one of their interfaces keep what is on the other.
        let named = ports.filter { $0.mode == .inline }.flatMap { plan in
            let isGone = plan.port.netns != nil && plan.namespace == nil
            let links = isGone ? LinkTable() : links(in: plan.namespace)
            return [plan.port.interface, plan.port.pair ?? ""].compactMap { links[$0] }.map {
                InterfacePlace($0.index, in: plan.namespace)
            }
        }
        pins.sweep(keeping: Set(named).union(pairs.keys.joined()))
        if !ports.contains(where: { $0.mode == .inline }) && pairs.isEmpty {
            pins.leave()
            self.pins = nil
        }
        var isDone = true
        for (key, plan) in wanted where pairs[key] == nil && waits(plan) == nil {
            let links = [plan.link!, plan.pair!]
            if let last = pairRetries[key], last.links == links, last.after > .now {
                portErrors[plan.port.id] = last.reason
                continue
            }
            isDone = connect(key, plan, pins) && isDone
        }
        return isDone
    }

    private func takePins(_ plans: [PortPlan]) -> InlinePins? {
        if let pins { return pins }
        do throws(HostError) {
            pins = try InlinePins()
        } catch {
            for plan in plans { refuse(plan.port, plan.link!, in: plan.namespace, error) }
        }
        return pins
    }

    private func connect(_ key: [InterfacePlace], _ plan: PortPlan, _ all: InlinePins) -> Bool {
        var isTakenOver = false
        do throws(HostError) {
            let pins = try all.directory(of: plan.namespace)
            isTakenOver = key.contains { pins.isPinned($0.index) }
            pairs[key] = try open(plan, pins)
            pairRetries[key] = nil
            return true
        } catch {
            // After a run that was killed the kernel needs a moment to let go of its sockets; meanwhile it carries.
            if isTakenOver {
                portErrors[plan.port.id] = error.description
                return false
            }
            // Each try takes links down and up on some drivers.
            pairRetries[key] = PairRetry(
                links: [plan.link!, plan.pair!],
                after: .now.advanced(by: .seconds(5)), reason: error.description)
            refuse(plan.port, plan.link!, in: plan.namespace, error)
            return false
        }
    }

    private func open(_ plan: PortPlan, _ pins: InlinePins) throws(HostError) -> InlinePair {
        let links = [plan.link!, plan.pair!]
        let queues = try within(plan.namespace) { () throws(HostError) in links.map { Ethtool.receiveQueues($0.name) } }
        if let obstacle = Self.obstacle(links, queues: queues) { throw HostError(obstacle) }
        let numbers = freeNumbers(queues[0] * 2)
        let share = InlinePair.ringSize(queues: queues[0])
        let worker = worker(of: plan)
        let granted = try worker.publish(contents(of: worker), wanted: share * numbers.count)
        let chunks = Array(granted.prefix(granted.count / numbers.count * numbers.count))
        worker.giveBack(Array(granted.dropFirst(chunks.count)))
        let ownTunnels = capture.ownTunnelsMap
        do throws(HostError) {
            let pair = try within(plan.namespace) { () throws(HostError) in
                try InlinePair(
                    links, numbers: numbers, chunks: chunks, worker: worker, pins: pins, ownTunnels: ownTunnels)
            }
            self.numbers.formUnion(numbers)
            let mode = pair.isZeroCopy ? "zero-copy" : "copy mode"
            logger.info("\(links[0].name) and \(links[1].name) are connected by \(pair.queueCount) sockets, \(mode)")
            return pair
        } catch {
            worker.giveBack(chunks)
            throw error
        }
    }

    /// Pure: what needs no try.
    package static func obstacle(_ links: [Link], queues: [Int]) -> String? {
        if let long = links.first(where: { $0.mtu > InlinePair.largestMTU }) {
            return
                "\(long.name) has an MTU of \(long.mtu); inline carries frames up to an MTU of \(InlinePair.largestMTU)"
        }
        let (first, second) = (links[0], links[1])
        if first.mtu != second.mtu {
            return "\(first.name) has an MTU of \(first.mtu) and \(second.name) of \(second.mtu); set them alike"
        }
        if queues[0] != queues[1] {
            return "\(first.name) has \(queues[0]) RX queues and \(second.name) has \(queues[1]); "
                + "set them alike (ethtool -L)"
        }
        if queues[0] > Int(HS_INLINE_QUEUES) {
            return "\(first.name) has \(queues[0]) RX queues; inline serves \(HS_INLINE_QUEUES) at most (ethtool -L)"
        }
        return nil
    }

    /// Why a pair cannot be connected yet.
    private func waits(_ plan: PortPlan) -> String? {
        [plan.link, plan.pair].compactMap { $0 }.first { !$0.isUp }.map { "\($0.name) is down" }
    }

    /// Takes a pair out: from here on the wire is cut.
    func cut(_ key: [InterfacePlace], _ pair: InlinePair) {
        foldDrops(of: key, pair)
        pairs[key] = nil
        pair.cut()
        leavingPairs.append(pair)
    }

    /// Once a second: what somebody has changed is put right, and what the kernel could do is asked again.
    func inspectPairs() {
        for (key, pair) in pairs {
            let table = links(in: key[0].namespace)
            do throws(HostError) {
                let detached = try within(key[0].namespace) { () throws(HostError) in try pair.inspect(table) }
                for name in detached {
                    logger.warning("the inline program on \(name) was detached; it was put back")
                    for plan in inlinePlans where self.key(plan) == key { displacements[plan.port.id, default: 0] += 1 }
                }
            } catch {
                logger.warning("\(error); the wire is cut, and to be connected anew")
                cut(key, pair)
            }
        }
    }

    // MARK: The table

    func laneShape(of worker: WorkerHost) -> [TableShape.Lane] {
        inlinePlans.flatMap { plan in
            (pairs[key(plan)].flatMap { $0.worker === worker ? $0.numbers : nil } ?? []).map {
                TableShape.Lane(number: $0, slot: plan.slot, side: plan.side!)
            }
        }
    }

    func inlineLanes(of worker: WorkerHost) -> InlineLanes {
        let plans = inlinePlans.compactMap { plan in pairs[key(plan)].map { (plan, $0) } }
            .filter { $0.1.worker === worker }
        return InlineLanes(
            lanes: plans.flatMap { $1.lanes(slot: $0.slot, side: $0.side!) }, heartbeats: plans.map(\.1.heartbeat),
            reserve: plans.reduce(0) { $0 + $1.1.ringSize * $1.1.queueCount })
    }

    // MARK: Status and counters

    func describe(_ plan: PortPlan, _ status: inout PortStatus) {
        status.mtuLimit = InlinePair.largestMTU
        guard let pair = pairs[key(plan)] else {
            status.state = .down
            status.obtained = nil
            status.reason = waits(plan) ?? "it is not connected yet"
            return
        }
        status.hook = "xdp-native"
        status.zeroCopy = pair.isZeroCopy
        status.queues = pair.queueCount
        status.changes = pair.changes
        status.displaced = displacements[plan.port.id]
        status.reason = waits(plan) ?? pair.obstacle ?? renamed(plan, pair) ?? pair.copyReason
    }

    private func renamed(_ plan: PortPlan, _ pair: InlinePair) -> String? {
        zip(pair.links, [plan.link!, plan.pair!]).first { $0.name != $1.name }.map {
            "\($0.name) is called \($1.name) now; the wire goes on, but a start of the dataplane would not find it"
        }
    }

    var inlineStatistics: [InlineStatistics] {
        inlinePlans.compactMap { plan in pairs[key(plan)]?.statistics(id: plan.port.id) }
    }

    func foldPairDrops() {
        for (key, pair) in pairs { foldDrops(of: key, pair) }
    }

    private func foldDrops(of key: [InterfacePlace], _ pair: InlinePair) {
        guard let plan = inlinePlans.first(where: { self.key($0) == key }) else { return }
        for direction in UInt8(0)..<2 {
            let point = CapturePoint(slot: plan.slot, direction: direction)
            let lost = pair.takeLosses(direction, side: plan.side!)
            guard let losers = previous?.losers[point] ?? current?.losers[point] else { continue }
            ledger.lose(lost, .receiveRingFull, taps: losers.taps, destinations: losers.destinations)
        }
    }
}

/// Two interfaces that could not be connected: tried again when they change or a program is
/// applied, else after a while.
struct PairRetry {
    var links: [Link]
    var after: ContinuousClock.Instant
    var reason: String
}
