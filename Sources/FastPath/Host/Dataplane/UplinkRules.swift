// What an operator allows on the interfaces that copies leave through, against what there is. Before it: the program's
// `uplinks`. After it: Reconcile.swift opens sockets by it, and status tells.

import MirrorProgram

extension Dataplane {
    /// Shared, of any kind and without cap where the program says nothing.
    func rule(of interface: String) -> MirrorProgram.UplinkRule {
        current?.program.uplinks.first { $0.interface == interface } ?? .init(interface: interface)
    }

    /// Caps by interface.
    var limits: [Int32: MirrorProgram.RateLimit] {
        uplinks.keys.reduce(into: [:]) { limits, index in
            limits[index] = kernel.links[index].flatMap { rule(of: $0.name).limit }
        }
    }

    /// Takes sockets out of use that are open in another way than the rules want.
    func leaveMisruled() {
        for (index, uplink) in uplinks {
            guard let link = kernel.links[index] else { continue }
            let rule = rule(of: link.name)
            if rule.obstacle == nil, rule.dedicated == uplink.isDedicated { continue }
            uplinks[index] = nil
            leavingUplinks.append(uplink)
        }
    }

    /// The uplinks in use, and those that cannot be.
    func uplinkStatus() -> [UplinkStatus] {
        let open = uplinks.map { index, uplink in
            var status = UplinkStatus(
                interface: kernel.links[index]?.name ?? "\(index)", kinds: [.afXDP], dedicated: uplink.isDedicated,
                zeroCopy: uplink.isZeroCopy)
            status.busyPoll = worker.area.busyPolls ? uplink.isBusyPolled : nil
            return status
        }
        let failed = uplinkErrors.filter { uplinks[$0.key] == nil }.map { index, reason in
            let name = kernel.links[index]?.name ?? "\(index)"
            return UplinkStatus(interface: name, kinds: [], dedicated: rule(of: name).dedicated, reason: reason)
        }
        return (open + failed).sorted { $0.interface < $1.interface }
    }
}

extension MirrorProgram.UplinkRule {
    /// Why this dataplane cannot do as it says; nil if it can.
    package var obstacle: String? {
        switch kind {
        case .auto, .afXDP: nil
        case .device, .udp:
            "uplink \(interface): kind \(kind.rawValue) is not served by this version; use auto or af_xdp"
        }
    }
}
