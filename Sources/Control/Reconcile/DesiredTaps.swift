// The taps of the desired program: one for a tap flow, one for each direction of a tap mirror.
// Before: DesiredState.swift, which has the destinations. After: Outcome.

import ControlModel
import MirrorProgram

extension DesiredState {
    /// Puts a flow into the program.
    mutating func place(_ flow: TapFlow) throws(Verdict) {
        guard let service = services[flow.tapServiceID] else { throw .down("its tap service is being deleted") }
        let source = try source(flow.sourcePortID)
        if let verdict = verdicts[service.id] {
            throw Verdict(status: verdict.status, reason: "tap service \(service.label): \(verdict.reason)")
        }
        let destinations = destinationsOfService[service.id] ?? []
        let port = try capturePoint(source)
        var tap = MirrorProgram.Tap(
            id: flow.id, port: port.id, direction: flow.direction, destinations: destinations.map(\.id))
        if let text = flow.vlanFilter {
            guard let filter = MirrorProgram.VLANFilter(text) else {
                throw .error(
                    "vlan_filter '\(text)' has an id above 4095, or a range that runs backwards: no frame can match")
            }
            tap.vlanFilter = filter
        }
        try apply(flow.actions, to: &tap)
        try add([tap], of: port, to: destinations)
    }

    /// Puts a mirror into the program: a tunnel for each tunnel id, a tap for each direction.
    mutating func place(_ mirror: TapMirror) throws(Verdict) {
        let source = try source(mirror.portID)
        guard let remote = IPAddress(mirror.remoteIP) else {
            throw .error("remote_ip '\(mirror.remoteIP)' is not an IP address")
        }
        try allow(remote)
        if mirror.tunnelIDs.isEmpty { throw .error("directions is empty: there is nothing to mirror") }
        let port = try capturePoint(source)
        let encapsulation = mirror.mirrorType.encapsulation
        var destinations: [MirrorProgram.Destination] = []
        var taps: [MirrorProgram.Tap] = []
        for (direction, asked, id) in mirror.tunnelIDs {
            guard let id = id.flatMap({ UInt32(exactly: $0) }), id <= encapsulation.largestTunnelID else {
                let range = "0 to \(encapsulation.largestTunnelID)"
                throw .error(
                    "tunnel id \(asked) of \(direction.rawValue) is not \(encapsulation.tunnelIDName), \(range)")
            }
            let tunnel = MirrorProgram.Tunnel(remote: remote, encapsulation: encapsulation, tunnelID: id)
            let destination = MirrorProgram.Destination(id: "\(mirror.id)/\(id)", target: .tunnel(tunnel))
            if !destinations.contains(destination) { destinations.append(destination) }
            var tap = MirrorProgram.Tap(
                id: "\(mirror.id)/\(direction.rawValue)", port: port.id, direction: direction,
                destinations: [destination.id])
            try apply(mirror.actions, to: &tap)
            taps.append(tap)
        }
        try add(taps, of: port, to: destinations, isNew: true)
    }

    /// The port that frames are copied from, if this host has it.
    private func source(_ id: String) throws(Verdict) -> Port {
        guard let source = ports[id] else { throw .error("its port \(id) is gone") }
        if source.hostName.isEmpty {
            throw .down("port \(source.label) is not bound to a host; set its binding:host_id")
        }
        if source.hostName != hostName {
            throw .down(
                "port \(source.label) is on \("host '\(source.hostName)', which this process does not serve", members: "a host that is not served")"
            )
        }
        return source
    }

    private func capturePoint(_ source: Port) throws(Verdict) -> MirrorProgram.Port {
        if source.profile.capture == .inline {
            // Such a port is a wire, which must not end with its last tap.
            throw .error(
                "port \(source.label) asks for inline capture, which needs a pair: a program file has such ports, intents do not"
            )
        }
        return MirrorProgram.Port(
            id: source.id, interface: try interface(of: source).get(), netns: source.profile.netns,
            mac: source.profile.mac, capture: source.profile.capture ?? .tap, policy: source.profile.capturePolicy,
            side: source.profile.side ?? .auto)
    }

    private func apply(_ actions: TapActions, to tap: inout MirrorProgram.Tap) throws(Verdict) {
        if let expression = actions.filter {
            switch filters.code(of: expression) {
            case .success(let code): tap.filter = .init(expression: expression, code: code)
            case .failure(let fault): throw .error("filter '\(expression)': \(fault.reason)")
            }
        }
        tap.snaplen = actions.snaplen
        tap.sampling = actions.sampling
        tap.rateLimit = actions.rateLimit
    }
}
