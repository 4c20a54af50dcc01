// What an operator allows on the interfaces that copies leave through, against what there is. Before it: the program's
// `uplinks`. After it: Reconcile.swift opens sockets by it, and status tells.

import Logging
package import MirrorProgram

extension Dataplane {
    /// Shared, of any kind and without cap where the program says nothing.
    func rule(of interface: String) -> MirrorProgram.UplinkRule {
        current?.program.uplinks.first { $0.interface == interface } ?? .init(interface: interface)
    }

    /// Caps by interface, the share of each worker that sends through it.
    func limits(of worker: WorkerHost) -> [Int32: MirrorProgram.RateLimit] {
        worker.uplinks.keys.reduce(into: [:]) { limits, index in
            let sharers = workers.count { $0.uplinks[index] != nil }
            limits[index] = kernel.links[index].flatMap { rule(of: $0.name).limit?.share(of: sharers) }
        }
    }

    /// Takes sockets out of use that are open in another way than the rules want.
    func leaveMisruled() {
        for index in openInterfaces {
            guard let link = kernel.links[index] else { continue }
            let rule = rule(of: link.name)
            let isDedicated = workers.contains { $0.uplinks[index]?.isDedicated == true }
            let sockets = workers.compactMap { $0.uplinks[index] }
            let isAsRuled = sockets.filter { $0.owner == nil }.allSatisfy {
                switch rule.kind {
                case .udp: $0.kind == .udp && $0.combines == combines(link)
                case .live: $0.kind == .live || $0.obstacleToLive != nil
                case .auto, .afXDP, .device: $0.kind == .afXDP && $0.obstacleToLive == nil
                }
            }
            if rule.obstacle == nil, rule.dedicated == isDedicated, isAsRuled { continue }
            leave(uplink: index)
        }
    }

    /// Whether an uplink of kind `udp` may put datagrams together: no destination is the interface itself.
    private func combines(_ link: Link) -> Bool {
        let programs = [current, previous].compactMap { $0?.program }
        return !programs.contains { $0.destinations.contains { $0.target == .interface(link.name) } }
    }

    /// Interfaces that some worker sends through.
    var openInterfaces: Set<Int32> { workers.reduce(into: []) { $0.formUnion($1.uplinks.keys) } }

    /// Takes an uplink out of use for all workers at once: some may depend on another's.
    func leave(uplink index: Int32) {
        for worker in workers {
            if let uplink = worker.uplinks.removeValue(forKey: index) { worker.leavingUplinks.append(uplink) }
        }
    }

    /// A socket for a worker, or its way to the first worker that has one.
    func openUplink(
        _ link: Link, _ rule: MirrorProgram.UplinkRule, _ worker: WorkerHost, number: UInt16
    ) throws(HostError) -> UplinkSocket {
        if rule.kind == .udp {
            return try UplinkSocket(packetsTo: link, number: number, worker: worker, combines: combines(link))
        }
        var isProgramNew = false
        do throws(HostError) {
            let uplink = try UplinkSocket(
                link, number: number, worker: worker, workers: workers.count, isDedicated: rule.dedicated,
                wantsLive: rule.kind == .live
            ) {
                isProgramNew = putProgram(on: link)
                return isProgramNew
            }
            if isProgramNew && !uplink.isZeroCopy { withdrawProgram(from: link) }
            return uplink
        } catch {
            if isProgramNew { withdrawProgram(from: link) }
            for owner in workers where owner !== worker {
                guard let other = owner.uplinks[link.index], other.owner == nil else { continue }
                return UplinkSocket(to: other, of: owner, number: number, from: worker)
            }
            throw error
        }
    }

    /// Why copies do not go as XDP frames through an uplink where they were asked to.
    private func obstacleToLive(_ index: Int32, _ sockets: [UplinkSocket]) -> String? {
        if let obstacle = sockets.lazy.compactMap(\.obstacleToLive).first { return "no XDP frames: \(obstacle)" }
        if workers.contains(where: { $0.uplinks[index]?.kind == .live && !laneShape(of: $0).isEmpty }) {
            return "no XDP frames from a worker that carries inline ports"
        }
        let failed = sockets.lazy.map(\.liveError).first { $0 != 0 }
        return failed.map { HostError.system("no XDP frames at present", $0).description }
    }

    /// Once a second: an uplink of kind `live` whose interface takes XDP frames now and did not, or the other way round, is opened
    /// anew, since what the interface does not take is gone without a word; and runs that have failed are tried again.
    func inspectLiveUplinks() {
        for index in openInterfaces {
            guard let link = kernel.links[index], rule(of: link.name).kind == .live else { continue }
            let sockets = workers.compactMap { $0.uplinks[index] }.filter { $0.owner == nil }
            for socket in sockets where socket.liveError != 0 { socket.forgive() }
            guard let isPossible = LiveProgram.isPossible(toward: link),
                sockets.contains(where: { $0.tookXDPFrames != isPossible })
            else { continue }
            logger.notice("\(link.name) takes \(isPossible ? "" : "no ")XDP frames now; opening it anew")
            leave(uplink: index)
        }
    }

    /// The uplinks in use, and those that cannot be.
    func uplinkStatus() -> [UplinkStatus] {
        let open = openInterfaces.map { index in
            let sockets = workers.compactMap { $0.uplinks[index] }.filter { $0.owner == nil }
            var status = UplinkStatus(
                interface: kernel.links[index]?.name ?? "\(index)", kinds: [.udp],
                dedicated: sockets.contains(where: \.isDedicated))
            status.fuse = fuseStatus(index)
            if sockets.contains(where: { $0.kind == .udp }) {
                status.refused = sockets.reduce(0) { $0 + $1.refused }
                return status
            }
            let isWhole = encapsulation != nil && sockets.contains(where: takesWhole)
            status.kinds = isWhole ? [.afXDP, .device] : [.afXDP]
            if sockets.contains(where: { $0.kind == .live }) {
                status.kinds.append(.live)
                status.refused = sockets.reduce(0) { $0 + $1.refused }
                status.xdpFrames = sockets.reduce(0) { $0 + ($1.xdpFrames ?? 0) }
            }
            status.zeroCopy = sockets.allSatisfy(\.isZeroCopy)
            status.reason = sockets.lazy.compactMap(\.obstacle).first.map { obstacle in
                "copy mode: \(obstacle)" + (uplinkPrograms.reason(index).map { "; \($0)" } ?? "")
            }
            status.reason = status.reason ?? obstacleToLive(index, sockets)
            status.queues = sockets.count
            status.busyPoll = workers[0].area.busyPolls ? sockets.allSatisfy(\.isBusyPolled) : nil
            return status
        }
        let failed = uplinkErrors.filter { !openInterfaces.contains($0.key) }.map { index, reason in
            let name = kernel.links[index]?.name ?? "\(index)"
            return UplinkStatus(interface: name, kinds: [], dedicated: rule(of: name).dedicated, reason: reason)
        }
        return (open + failed).sorted { $0.interface < $1.interface }
    }
}

extension MirrorProgram.RateLimit {
    /// One of so many equal shares.
    package func share(of count: Int) -> Self {
        let divided = { (rate: UInt64) in max(1, rate / UInt64(max(1, count))) }
        return Self(bitsPerSecond: bitsPerSecond.map(divided), framesPerSecond: framesPerSecond.map(divided))
    }
}

extension MirrorProgram.UplinkRule {
    /// Why this dataplane cannot do as it says; nil if it can.
    package var obstacle: String? {
        switch kind {
        case .udp where dedicated:
            "uplink \(interface): kind udp shares the interface's queueing discipline; leave `dedicated` out"
        case .live where dedicated:
            "uplink \(interface): kind live copies each frame, and dedicated is for those that are not; leave one of them out"
        default: nil
        }
    }
}
