// What a dataplane says of itself, as it was really obtained: the answers to `status` and `stats`, and one line of
// log for every change of state. Before it: Reconcile.swift. After it: the control socket.

import FastPath
import Glibc
import Logging
package import MirrorProgram

extension Dataplane {
    /// What runs now.
    package func status() -> DataplaneStatus {
        let ports = ports.map(status)
        let destinations = destinationStatus()
        let portsByID = Dictionary(uniqueKeysWithValues: ports.map { ($0.id, $0) })
        let destinationsByID = Dictionary(uniqueKeysWithValues: destinations.map { ($0.id, $0) })
        let rivals = Dictionary(uniqueKeysWithValues: self.ports.map { ($0.port.id, self.rivals(of: $0)) })
        let taps = (current?.program.taps ?? []).map { tap in
            status(tap, portsByID[tap.port]!, rivals[tap.port]!, tap.destinations.map { destinationsByID[$0]! })
        }
        return DataplaneStatus(
            version: dataplaneVersion, pid: getpid(), epoch: epoch, generation: current?.program.generation,
            ports: ports, destinations: destinations, taps: taps, deliveries: deliveryPlans.map(status),
            uplinks: uplinkStatus(),
            workers: workers.map { worker in
                worker.status(self.ports.map(\.port.id).filter { current?.worker(of: $0) == worker.place })
            })
    }

    private func status(_ plan: PortPlan) -> PortStatus {
        var status = PortStatus(
            id: plan.port.id, interface: plan.port.interface, state: .capturing, capture: plan.port.capture,
            side: plan.side, mtu: plan.mtu)
        status.pair = plan.port.pair
        if let reason = plan.down {
            status.state = .down
            status.reason = reason
            return status
        }
        if let error = plan.error ?? portErrors[plan.port.id] {
            status.state = .error
            status.reason = error
            return status
        }
        status.obtained = plan.mode
        status.reason = plan.refusal ?? (plan.mode == .tap ? packets?.explanation : nil)
        if plan.mode == .inline {
            describe(plan, &status)
            return status
        }
        if plan.mode == .span, let span = spans[plan.port.id] {
            status.hook = "xdp-native"
            status.zeroCopy = span.isZeroCopy
            status.busyPoll = span.worker.area.busyPolls ? span.isBusyPolled : nil
            status.queues = span.queues
            status.mtuLimit = span.mtuLimit
        } else {
            let kinds = Set(plan.hooks.compactMap { hooks[$0]?.kind.rawValue }).sorted(by: >)
            status.hook = kinds.isEmpty ? packetHook(plan) : kinds.joined(separator: "+")
        }
        if let place = plan.place { describe(place, of: plan, in: &status) }
        return status
    }

    /// What the interface itself is like while the port is captured.
    private func describe(_ place: InterfacePlace, of plan: PortPlan, in status: inout PortStatus) {
        status.displaced = displacements[plan.port.id]
        var changes = deviceChanges.words(place)
        if spans[plan.port.id] != nil { changes.append("promisc on") }
        if plan.hooks.contains(where: { hooks[$0]?.kind == .clsact }) { changes.append("qdisc clsact") }
        status.changes = changes.isEmpty ? nil : changes
        let failure = deviceChanges.failure(place)
        let reasons = [status.reason, failure].compactMap { $0 } + rivals(of: plan)
        status.reason = reasons.isEmpty ? nil : reasons.joined(separator: "; ")
    }

    /// Whose programs stand ahead of ours.
    private func rivals(of plan: PortPlan) -> [String] { plan.hooks.compactMap { hooks[$0]?.rival }.sorted() }

    /// Of all destinations; a spread is ready when a member is.
    private func destinationStatus() -> [DestinationStatus] {
        let destinations = current?.program.destinations ?? []
        let single = Dictionary(
            uniqueKeysWithValues: destinations.filter { !$0.isSpread }.map { ($0.id, status($0)) })
        return destinations.map { destination in
            guard case .spread(let ids) = destination.target else { return single[destination.id]! }
            return DestinationStatus(spread: destination.id, members: ids.map { single[$0]! })
        }
    }

    private func status(_ destination: MirrorProgram.Destination) -> DestinationStatus {
        guard let route = routes[destination] else {
            return DestinationStatus(id: destination.id, state: .unreachable, reason: "it has not been looked for yet")
        }
        var status = DestinationStatus(
            id: destination.id, state: .ready, uplink: route.link?.name, source: route.source, nextHop: route.nextHop,
            mtu: route.mtu, reason: route.reason ?? rivalry(destination))
        if route.fate != nil {
            status.state = route.isError ? .error : .unreachable
        } else if let error = route.link.flatMap({ uplinkErrors[$0.index] }) {
            status.state = .error
            status.reason = error
        } else if let reason = route.link.flatMap({ fuseReason($0.index) }) {
            status.reason = reason
        }
        return status
    }

    /// A tunnel that a device of this host would take for its own is used all the same.
    private func rivalry(_ destination: MirrorProgram.Destination) -> String? {
        guard case .tunnel(let tunnel) = destination.target else { return nil }
        return kernel.links.rival(
            tunnel.encapsulation, udpPort: tunnel.udpPort, tunnelID: tunnel.tunnelID, isIPv6: tunnel.remote.isIPv6
        )?.rivalry
    }

    private func status(
        _ tap: MirrorProgram.Tap, _ port: PortStatus, _ rivals: [String], _ destinations: [DestinationStatus]
    ) -> TapStatus {
        switch port.state {
        case .down: return TapStatus(id: tap.id, state: .down, reason: port.reason)
        case .error: return TapStatus(id: tap.id, state: .error, reason: port.reason)
        case .capturing:
            var reasons = rivals + destinations.filter { $0.state != .ready }.compactMap(\.reason)
            let obstacle = obstacleToKernel(tap)
            if let obstacle, tap.engine == .kernel { reasons.append("the worker carries it: \(obstacle)") }
            var status = TapStatus(
                id: tap.id, state: .active, engine: obstacle == nil ? .kernel : .user,
                reason: reasons.isEmpty ? nil : reasons.joined(separator: "; "))
            if obstacle == nil, tap.engine == .auto, current?.chosen.contains(tap.port) == true {
                status.engineReason =
                    "the port's frames come in super-frames: a clone costs the sender at most \(senderBound) ns a frame"
            }
            return status
        }
    }

    /// All counters now.
    package func statistics() -> DataplaneStatistics {
        foldDrops()
        let sums = ledger.statistics(
            of: current?.program ?? MirrorProgram(),
            pending: [current, previous].compactMap { $0?.kernelTallies() })
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        var strays = Dictionary(
            uniqueKeysWithValues: DropReason.allCases.map { reason in
                (reason.name, workers.reduce(0) { $0 + $1.thread.strays(reason) })
            })
        strays[DropReason.uplinkDown.name, default: 0] += abandoned
        return DataplaneStatistics(
            epoch: epoch, time: Double(now.tv_sec) + Double(now.tv_nsec) / 1e9, taps: sums.taps,
            destinations: sums.destinations, deliveries: deliveryStatistics, inline: inlineStatistics, strays: strays,
            umem: workers.map { $0.thread.census() }.reduce(.none) { $0 + $1 })
    }

    /// Logs every port and destination whose state is not what it was.
    func announce() {
        var words: [String: String] = [:]
        for plan in ports {
            let port = status(plan)
            let hook =
                (port.hook.map { " by \($0)" } ?? "") + (port.changes.map { " (\($0.joined(separator: ", ")))" } ?? "")
            let (mode, wanted) = (plan.mode.rawValue, plan.port.capture.rawValue)
            let how = mode == wanted ? "" : " as \(mode), not \(wanted)"
            words["port \(port.id) (\(port.interface))"] = describe(
                "\(port.state.rawValue)\(how)\(hook)", port.reason)
        }
        for status in destinationStatus() {
            let uplink = status.uplink.map { " through \($0)" } ?? ""
            words["destination \(status.id)"] = describe("\(status.state.rawValue)\(uplink)", status.reason)
        }
        for plan in deliveryPlans {
            let status = status(plan)
            words["delivery \(status.id)"] = describe(
                "\(status.state.rawValue) from \(status.underlays.joined(separator: ", "))", status.reason)
        }
        for (who, what) in words.sorted(by: { $0.key < $1.key }) where lastWords[who] != what {
            logger.notice("\(who): \(what)")
        }
        lastWords = words
    }

    private func describe(_ state: String, _ reason: String?) -> String { reason.map { "\(state): \($0)" } ?? state }
}

extension DestinationStatus {
    /// Ready as soon as one member is; the reasons of those that are not are told all the same.
    package init(spread id: String, members: [DestinationStatus]) {
        let missing = members.filter { $0.state != .ready }
        let state: State =
            if missing.count < members.count {
                .ready
            } else if missing.allSatisfy({ $0.state == .error }) {
                .error
            } else {
                .unreachable
            }
        let reasons = missing.map { member in member.reason.map { "\(member.id): \($0)" } ?? member.id }
        self.init(id: id, state: state, reason: reasons.isEmpty ? nil : reasons.joined(separator: "; "))
    }
}

extension Link {
    /// What is said of a tunnel of ours that this device would take for its own.
    var rivalry: String? {
        guard let tunnel else { return nil }
        let id = tunnel.tunnelID.map { "VNI \($0)" } ?? "every VNI"
        return
            "\(kind) device \(name) of this host has UDP port \(tunnel.udpPort) and \(id) too: packets of one are taken for the other's; use another tunnel id or port"
    }
}

extension UMEMStatistics {
    fileprivate static let none = UMEMStatistics(chunks: 0, free: 0, fill: 0, receive: 0, transmit: 0)

    fileprivate static func + (one: Self, other: Self) -> Self {
        Self(
            chunks: one.chunks + other.chunks, free: one.free + other.free, fill: one.fill + other.fill,
            receive: one.receive + other.receive, transmit: one.transmit + other.transmit)
    }
}
