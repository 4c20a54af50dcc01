// The deliveries of the running program, as a step of every look: plan, apply, tell. Before it: Reconcile.swift.
// After it: StatusReport.swift.

import FastPath
import Logging
import MirrorProgram

extension Dataplane {
    /// What the running program's deliveries find at this moment.
    func lookAtDeliveries(_ current: Generation) {
        var ways: [Way: Result<Int32, NextHopFailure>] = [:]
        deliveryPlans = current.program.deliveries.map { delivery in
            var byPeer: [IPAddress: Result<Int32, NextHopFailure>] = [:]
            for peer in delivery.peers {
                let way = Way(to: peer, from: delivery.local)
                if ways[way] == nil { ways[way] = underlay(way) }
                byPeer[peer] = ways[way]
            }
            return DeliveryPlan(delivery, ways: byPeer, links: kernel.links)
        }
    }

    /// The interface that leads to a peer. A neighbour that is not known yet does not matter: it is the peer that sends.
    private func underlay(_ way: Way) -> Result<Int32, NextHopFailure> {
        do throws(NextHopFailure) {
            return .success(try kernel.resolver.resolve(way, kernel.links).interface)
        } catch {
            return error.interface.map { .success($0) } ?? .failure(error)
        }
    }

    /// Makes the kernel take in what the program wants; nothing is loaded as long as no program wants anything.
    ///
    /// - Returns: whether all of it is done.
    func placeDeliveries() -> Bool {
        if deliveryPlans.isEmpty, deliverProgram == nil { return true }
        if let packets {
            deliveryError = packets.refusal(of: "a delivery")
            return true
        }
        do throws(HostError) {
            if deliverProgram == nil { deliverProgram = try DeliverProgram(kind: hookKind) }
            try deliverProgram!.apply(deliveryPlans)
            deliveryError = nil
            if deliveryPlans.isEmpty { deliverProgram = nil }
        } catch {
            deliveryError = error.description
            logger.error("\(error)")
            return false
        }
        return deliverProgram?.errors.isEmpty ?? true
    }

    /// Once a second: our programs in their places.
    func inspectDeliveries() {
        let captures = Set(hooks.values.map(\.programID))
        for name in deliverProgram?.restore(behind: captures, kernel.links) ?? [] {
            logger.warning("the delivery program on \(name) was not in its place any more; putting it back")
        }
    }

    func status(_ plan: DeliveryPlan) -> DeliveryStatus {
        var status = DeliveryStatus(
            id: plan.delivery.id, state: plan.down == nil ? .ready : plan.isError ? .error : .down,
            underlays: plan.underlays.values.sorted(),
            reason: plan.down ?? rivalry(plan.delivery)
                ?? plan.underlays.keys.sorted().lazy.compactMap { self.deliverProgram?.rival($0) }.first)
        if let error = deliveryError ?? plan.underlays.keys.compactMap({ deliverProgram?.errors[$0] }).first {
            status.state = .error
            status.reason = error
        }
        return status
    }

    private func rivalry(_ delivery: MirrorProgram.Delivery) -> String? {
        kernel.links.rival(
            delivery.encapsulation, udpPort: delivery.udpPort, tunnelID: delivery.tunnelID,
            isIPv6: delivery.peers[0].isIPv6
        )?.rivalry
    }

    var deliveryStatistics: [DeliveryStatistics] {
        guard let deliverProgram else { return [] }
        return deliveryPlans.map { deliverProgram.statistics(of: $0.delivery) }
    }
}
