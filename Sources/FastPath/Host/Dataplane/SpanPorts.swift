// The `span` ports of the running program: steered, kept, and given back when the program does not name them any more.
// Before it: Reconcile.swift, one of whose steps this is. After it: SpanPort.swift.

import CShims
import FastPath
import Logging
import MirrorProgram

extension Dataplane {
    func openSpans() -> Bool {
        let wanted = Dictionary(
            uniqueKeysWithValues: ports.filter { $0.mode == .span && $0.link != nil }.map { ($0.port.id, $0) })
        for (id, span) in spans {
            guard let plan = wanted[id], plan.place == span.place, plan.slot == span.slot,
                worker(of: plan) === span.worker
            else {
                leave(id, span)
                continue
            }
        }
        portErrors = [:]
        // An interface has room for one XDP program.
        let steered = Set(wanted.values.compactMap(\.place))
        for place in hooks.keys where place.isXDP && steered.contains(place.place) { hooks[place] = nil }
        for (id, plan) in wanted where spans[id] == nil {
            do throws(HostError) {
                spans[id] = try openSpan(plan)
            } catch {
                refuse(plan.port, plan.link!, in: plan.namespace, error)
            }
        }
        return portErrors.isEmpty
    }

    /// A port's mode cannot be had: from here on it is an error, or the port is captured as `tap`.
    func refuse(
        _ port: MirrorProgram.Port, _ link: Link, in namespace: NetworkNamespace? = nil, _ error: HostError
    ) {
        if port.policy == .require || port.capture == .tap {
            portErrors[port.id] = error.description
            return
        }
        logger.warning("port \(port.id) is not captured as \(port.capture.rawValue) but as tap: \(error)")
        refusals[port.id] = ModeRefusal(
            port: port, place: InterfacePlace(link.index, in: namespace), mtu: link.mtu, reason: error.description)
        hasRefused = true
    }

    private func openSpan(_ plan: PortPlan) throws(HostError) -> SpanPort {
        let (link, place) = (plan.link!, plan.place!)
        let worker = worker(of: plan)
        let queues = try within(place.namespace) { () throws(HostError) in Ethtool.receiveQueues(link.name) }
        let numbers = freeNumbers(queues)
        // The first fill must leave chunks for the copies: a quarter of all for the ports together.
        let share = max(64, min(2048, worker.area.bytes / worker.area.chunkSize / 4 / max(1, numbers.count)))
        let chunks = try worker.publish(contents(of: worker), wanted: share * numbers.count)
        let ownTunnels = capture.ownTunnelsMap
        do throws(HostError) {
            let span = try within(place.namespace) { () throws(HostError) in
                try SpanPort(
                    link, at: place, slot: plan.slot, numbers: numbers, chunks: chunks, worker: worker,
                    ownTunnels: ownTunnels)
            }
            self.numbers.formUnion(numbers)
            logger.info(
                "\(link.name)\(plan.port.place) is steered into \(span.queues) sockets\(span.isZeroCopy ? ", zero-copy" : "")"
            )
            return span
        } catch {
            worker.giveBack(chunks)
            throw error
        }
    }

    func leave(_ id: String, _ span: SpanPort) {
        span.detach()
        foldDrops(of: id, span)
        spans[id] = nil
        leavingSpans.append(span)
    }

    /// Once a second: what somebody has changed is put right.
    func inspectSpans() {
        for (id, span) in spans where link(at: span.place) != nil && span.hasOtherQueues {
            logger.warning("\(span.name) has other RX queues now; steering it anew")
            leave(id, span)
        }
        for (id, span) in spans where link(at: span.place) != nil && !span.isInPlace {
            logger.warning("\(span.name) was not steered any more; putting the program back")
            // In another namespace it may be a new interface of the same index, which our sockets know nothing of.
            if span.place.namespace == nil && (try? span.restore()) != nil {
                displacements[id, default: 0] += 1
            } else {
                leave(id, span)
            }
        }
    }

    // MARK: What sockets lose

    /// Counts what the sockets of span and inline ports have dropped since the last call.
    func foldDrops() {
        for (id, span) in spans { foldDrops(of: id, span) }
        foldPairDrops()
        foldPacketDrops()
    }

    private func foldDrops(of id: String, _ span: SpanPort) {
        let point = CapturePoint(slot: span.slot, direction: 0)
        guard let losers = previous?.losers[point] ?? current?.losers[point] else { return }
        ledger.lose(span.takeDrops(), .receiveRingFull, taps: losers.taps, destinations: losers.destinations)
    }
}
