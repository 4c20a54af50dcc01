// The fuses of the uplinks in use: ten looks a second at counters that are there anyway, as long as a rule of the running
// program has a fuse. Before it: the rules. After it: Reconcile.swift, whose next table sheds or sends.

import CShims
import FastPath
import Logging
import MirrorProgram

/// The fuse of one interface and what was counted at the last look.
struct FusedUplink {
    var fuse: UplinkFuse
    /// By worker: copies handed over and failed, under the number of the uplink's socket.
    var seen: [UInt16: (handed: UInt64, failed: UInt64)] = [:]
}

extension Dataplane {
    private static var timeBetweenLooks: Duration { .milliseconds(100) }

    /// Fuses of the uplinks that are to have one, and no others.
    func armFuses() {
        var wanted: Set<Int32> = []
        for index in openInterfaces {
            guard let name = kernel.links[index]?.name, let rule = rule(of: name).fuse else { continue }
            wanted.insert(index)
            if fuses[index]?.fuse.rule != rule { fuses[index] = FusedUplink(fuse: UplinkFuse(rule)) }
        }
        fuses = fuses.filter { wanted.contains($0.key) }
        if fuses.isEmpty { starved = [:] } else { fuseTimer?.schedule(in: Self.timeBetweenLooks) }
    }

    /// One look at all of them.
    func lookAtFuses() {
        let starved = countStarved()
        var isChanged = false
        for (index, var uplink) in fuses {
            let (wasBlown, shed) = (uplink.fuse.isBlown, uplink.fuse.sheds)
            let look = look(at: &uplink, index, starved)
            uplink.fuse.take(look, at: hs_clock())
            fuses[index] = uplink
            if shed != uplink.fuse.sheds { isChanged = true }
            if wasBlown != uplink.fuse.isBlown { tell(of: uplink.fuse, index) }
        }
        if isChanged { reconcile() } else if !fuses.isEmpty { fuseTimer?.schedule(in: Self.timeBetweenLooks) }
    }

    private func look(at uplink: inout FusedUplink, _ index: Int32, _ starved: UInt64) -> UplinkFuse.Look {
        var look = UplinkFuse.Look(handed: 0, failed: 0, starved: starved)
        var seen: [UInt16: (handed: UInt64, failed: UInt64)] = [:]
        for socket in workers.compactMap({ $0.uplinks[index] }) {
            let now = (handed: socket.pointer.pointee.handed, failed: socket.pointer.pointee.failed)
            let before = uplink.seen[socket.number] ?? now
            look.handed &+= now.handed &- before.handed
            look.failed &+= now.failed &- before.failed
            seen[socket.number] = now
        }
        uplink.seen = seen
        return look
    }

    /// Frames dropped since the last look, on the CPUs that workers may run on.
    private func countStarved() -> UInt64 {
        guard let text = try? readText("/proc/net/softnet_stat") else { return 0 }
        let cpus = workers.contains { $0.plan.cpus.isEmpty } ? nil : Set(workers.flatMap(\.plan.cpus))
        let now = UplinkFuse.starved(text)
        defer { starved = now }
        return now.reduce(0) { sum, entry in
            guard cpus?.contains(entry.key) ?? true, let before = starved[entry.key], entry.value > before else {
                return sum
            }
            return sum + entry.value - before
        }
    }

    private func tell(of fuse: UplinkFuse, _ index: Int32) {
        let name = kernel.links[index]?.name ?? "interface \(index)"
        if fuse.isBlown {
            logger.warning(
                "the fuse of uplink \(name) has blown: \(fuse.reason ?? ""); copies are shed, and tried again")
        } else {
            logger.notice("the fuse of uplink \(name) is whole again; it has blown \(fuse.count) times in all")
        }
    }

    /// Why copies through an interface are shed, or on trial; nil if they are not.
    func fuseReason(_ index: Int32) -> String? {
        guard let fuse = fuses[index]?.fuse, fuse.isBlown else { return nil }
        return "the fuse of uplink \(kernel.links[index]?.name ?? "\(index)") has blown: \(fuse.reason ?? "")"
    }

    func fuseStatus(_ index: Int32) -> FuseStatus? {
        fuses[index].map { uplink in
            let state: FuseStatus.State =
                switch uplink.fuse.state {
                case .whole: .whole
                case .blown: .blown
                case .onTrial: .onTrial
                }
            return FuseStatus(state: state, blown: uplink.fuse.count, reason: uplink.fuse.reason)
        }
    }
}
