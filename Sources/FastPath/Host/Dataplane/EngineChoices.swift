// Once a second: which ports the kernel carries where the program leaves it open. Before it: the counts of the capture
// points, and the routes of this moment. After it: EngineChoice.swift decides, and a new generation of the same program
// is made where it has changed its mind; Carrying.swift tells who carries a tap.

import FastPath
import Logging
import MirrorProgram

extension Dataplane {
    /// Looks at what has passed the ports.
    func chooseEngines() {
        guard let current, current.switchPositions != nil else { return }
        choices = choices.filter { current.offers[$0.key] != nil }
        var features: [Int32: Set<String>] = [:]
        lazy var destinations = Dictionary(uniqueKeysWithValues: current.program.destinations.map { ($0.id, $0) })
        for (port, offer) in current.offers {
            let traffic = current.traffic(of: offer)
            // A port at rest keeps its engine: with thousands of them the ways out are not looked at for nothing.
            if traffic.frames == 0 && choices[port]?.isKernel != true { continue }
            let mtu = ports.first { $0.port.id == port }?.mtu ?? 0
            var isOpen = true
            for id in offer.destinations {
                guard let destination = destinations[id], let route = routes[destination], let link = route.link,
                    obstacleOnTheWay(to: destination, route, longest: mtu + 14) == nil
                else {
                    isOpen = false
                    continue
                }
                let active = features[link.index] ?? Ethtool.features(link.name)
                features[link.index] = active
                if takesSuperFrames(link, active, route) { continue }
                choices[port]?.withdraw()
                isOpen = false
            }
            if isOpen { choices[port, default: EngineChoice()].take(traffic, bound: senderBound) }
        }
        let chosen = Set(choices.filter(\.value.isKernel).keys)
        // The program before may still be in the rings.
        if chosen == current.chosen || previous != nil || ContinuousClock.now < nextChoice { return }
        switchEngines(current)
    }

    /// A generation costs time of this loop, and more with many filters: a hundredth of it at most goes there.
    private func switchEngines(_ old: Generation) {
        let began = ContinuousClock.now
        do throws(HostError) {
            try change(to: old.program)
        } catch {
            logger.error("\(error)")
        }
        nextChoice = .now + began.duration(to: .now) * 100
        guard let current else { return }
        for port in current.chosen.symmetricDifference(old.chosen).sorted() {
            let who = current.chosen.contains(port) ? "the kernel" : "the worker"
            let cost = choices[port].map { ": a clone costs the sender \(Int($0.cost)) ns a frame" } ?? ""
            logger.notice("\(who) carries port \(port) from here on\(cost)")
        }
    }

    /// Whether super-frames behind an outer header may be left to an uplink: a NIC segments them, while behind a veth, which
    /// has no wire, the monitor would see them whole, so that kind has to be asked for.
    private func takesSuperFrames(_ link: Link, _ features: Set<String>, _ route: DestinationRoute) -> Bool {
        let rule = rule(of: link.name)
        if rule.dedicated || rule.kind != .device && (rule.kind != .auto || !link.kind.isEmpty) { return false }
        let isUDP = route.encapsulation?.tunnel.encapsulation.usualUDPPort != nil
        return features.isSuperset(
            of: ["tx-tcp-segmentation", isUDP ? "tx-udp_tnl-segmentation" : "tx-gre-segmentation"])
    }
}
