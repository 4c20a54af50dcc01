// From intents to the program that carries them out: pure, from scratch every time. What cannot be carried out is left
// out with its reason and keeps nothing else from running. DesiredTaps.swift has the second part, flows and mirrors, DesiredDeliveries.swift the
// third.
// Before: a snapshot of the store. After: Outcome (statuses) and Reconciler (application).

package import ControlModel
package import ControlStore
package import MirrorProgram

/// What one host should run, and why the rest of the intents is not in it.
///
/// The taps and destinations of an object have its id, or its id and a part behind a `/` where there are several.
package struct DesiredState: Sendable {
    /// Why an intent is not in the program.
    package struct Verdict: Hashable, Sendable {
        package var status: Status
        package var reason: Reason

        static func down(_ reason: Reason) -> Verdict { Verdict(status: .down, reason: reason) }
        static func error(_ reason: Reason) -> Verdict { Verdict(status: .error, reason: reason) }

        /// A refusal of the program's own rules: it names interfaces.
        static func error(_ refusal: ProgramError) -> Verdict {
            .error(Reason(refusal.description, members: "its host cannot carry it out; ask the administrator"))
        }
    }

    /// Always valid; its generation is 0 until it is applied.
    package internal(set) var program = MirrorProgram()
    /// By id of the tap service, tap flow or tap mirror.
    package internal(set) var verdicts: [String: Verdict] = [:]

    let hostName: String
    let remotes: RemoteRules
    let filters: FilterCode
    let hosts: [String: Host]
    let ports: [String: Port]
    private(set) var services: [String: TapService] = [:]
    /// By id of the tap service: the destinations that its taps name.
    private(set) var destinationsOfService: [String: [MirrorProgram.Destination]] = [:]
    /// By id of a destination that is spread: its members.
    private var membersOfSpread: [String: [MirrorProgram.Destination]] = [:]
    /// Interface to the port that is captured there.
    private var owners: [String: String] = [:]
    /// Interface to the interfaces of this host that get its copies.
    private var deliveries: [String: Set<String>] = [:]
    /// By id of the port: how many taps it has, and to which destinations.
    private var tapsOfPort: [String: Int] = [:]
    private var destinationsOfPort: [String: Set<String>] = [:]

    /// - Parameters:
    ///   - snapshot: all intents.
    ///   - host: name of the host that the program is for.
    ///   - remotes: the operator's rules for addresses, as they are now.
    ///   - filters: compiles packet filters.
    ///   - uplinks: the operator's rules for interfaces of the host.
    package init(
        _ snapshot: Snapshot, host: String, remotes: RemoteRules = RemoteRules(), filters: FilterCode = FilterCode(),
        uplinks: [MirrorProgram.UplinkRule] = []
    ) {
        program.uplinks = uplinks
        hostName = host
        self.remotes = remotes
        self.filters = filters
        hosts = Dictionary(snapshot.hosts.map { ($0.object.name, $0.object) }) { first, _ in first }
        ports = Dictionary(uniqueKeysWithValues: snapshot.ports.map { ($0.object.id, $0.object) })
        for service in snapshot.tapServices.map(\.object) where service.status != .pendingDelete {
            services[service.id] = service
            do throws(Verdict) {
                try add(destinations(of: service), of: service)
            } catch { verdicts[service.id] = error }
        }
        for flow in snapshot.tapFlows.map(\.object) where flow.status != .pendingDelete {
            do throws(Verdict) { try place(flow) } catch { verdicts[flow.id] = error }
        }
        for mirror in snapshot.tapMirrors.map(\.object) where mirror.status != .pendingDelete {
            do throws(Verdict) { try place(mirror) } catch { verdicts[mirror.id] = error }
        }
        addDeliveries(snapshot.tapFlows.map(\.object))
    }

    // MARK: Destinations

    /// The tunnels to the service's remote addresses, or the one way to its port.
    private func destinations(of service: TapService) throws(Verdict) -> [MirrorProgram.Destination] {
        if service.destinations.isEmpty {
            return [MirrorProgram.Destination(id: service.id, target: try target(of: service).get())]
        }
        var destinations: [MirrorProgram.Destination] = []
        for remote in service.destinations {
            try allow(remote.remoteIP)
            let tunnel = service.tunnel(to: remote)
            let name = "\(tunnel.remote)/\(tunnel.encapsulation.rawValue)/\(tunnel.tunnelID)/\(tunnel.udpPort)"
            let destination = MirrorProgram.Destination(id: "\(service.id)/\(name)", target: .tunnel(tunnel))
            if !destinations.contains(destination) { destinations.append(destination) }
        }
        return destinations
    }

    /// Refuses an address that copies may not be sent to (any more).
    func allow(_ address: IPAddress) throws(Verdict) {
        if let reason = remotes.refusal(of: address, Array(hosts.values)) { throw .error(Reason(reason)) }
    }

    private func target(of service: TapService) -> Result<MirrorProgram.Destination.Target, Verdict> {
        guard let port = ports[service.portID] else { return .failure(.error("its port \(service.portID) is gone")) }
        if port.hostName.isEmpty {
            return .failure(.down("port \(port.label) is not bound to a host; set its binding:host_id"))
        }
        if port.hostName == hostName {
            return interface(of: port).map { .interface($0) }
        }
        if !port.isAdministrativelyUp { return .failure(.down("port \(port.label) has admin_state_up false")) }
        guard let host = hosts[port.hostName] else {
            return .failure(
                .down(
                    "port \(port.label) is bound to \("host '\(port.hostName)', which is not known; create it", members: "an unknown host")"
                ))
        }
        if host.isHeliostat {
            return interface(of: port).flatMap { _ in path(from: hostName, to: host) }.map { path in
                .tunnel(
                    .init(
                        remote: path.remote, encapsulation: service.encapsulation, tunnelID: UInt32(service.tunnelID),
                        source: path.source))
            }
        }
        guard let remote = host.tunnelAddresses.first else {
            return .failure(.error("\(host.label) has no tunnel address\(Self.setAddresses)"))
        }
        if let reason = remotes.refusal(of: remote, Array(hosts.values)) {
            return .failure(.error(Reason(reason, members: "the port's host has an address that copies may not go to")))
        }
        return .success(
            .tunnel(.init(remote: remote, encapsulation: service.encapsulation, tunnelID: UInt32(service.tunnelID))))
    }

    static let setAddresses: Reason = "\("; set its tunnel_addresses", members: "")"

    func interface(of port: Port) -> Result<String, Verdict> {
        guard let interface = port.profile.interface else {
            return .failure(.down("port \(port.label) has no interface; set it in its binding:profile"))
        }
        if !port.isAdministrativelyUp { return .failure(.down("port \(port.label) has admin_state_up false")) }
        return .success(interface)
    }

    /// Puts the destinations of a service into the program, and with `spread` the one that stands for them.
    private mutating func add(_ members: [MirrorProgram.Destination], of service: TapService) throws(Verdict) {
        let isSpread = service.isSpread && !service.destinations.isEmpty
        let whole = MirrorProgram.Destination(id: service.id, target: .spread(members.map(\.id)))
        try append(isSpread ? members + [whole] : members, "tap services")
        destinationsOfService[service.id] = isSpread ? [whole] : members
        if isSpread { membersOfSpread[service.id] = members }
    }

    private mutating func append(_ destinations: [MirrorProgram.Destination], _ kind: String) throws(Verdict) {
        let limit = MirrorProgram.destinationsPerProgram
        if program.destinations.count + destinations.count > limit {
            let count = program.destinations.count
            throw .error(
                "this host has \("\(count) \(kind) already, and \(limit) is the limit", members: "no room for more")")
        }
        do throws(ProgramError) {
            try MirrorProgram(destinations: destinations).validate()
        } catch { throw .error(error) }
        program.destinations.append(contentsOf: destinations)
    }

    // MARK: Taps

    /// Puts taps of one port into the program, all or none.
    ///
    /// - Parameters:
    ///   - destinations: what the taps name; with `isNew`, they are put into the program too.
    mutating func add(
        _ taps: [MirrorProgram.Tap], of port: MirrorProgram.Port, to destinations: [MirrorProgram.Destination],
        isNew: Bool = false
    ) throws(Verdict) {
        let members = destinations.flatMap { membersOfSpread[$0.id] ?? [$0] }
        let spreads = destinations.filter { membersOfSpread[$0.id] != nil }
        let interfaces = members.compactMap { if case .interface(let name) = $0.target { name } else { nil } }
        for name in interfaces where reaches(name, port.interface) {
            let path = "copies of '\(port.interface)' to '\(name)'"
            let way = name == port.interface ? "" : " through other tap flows"
            throw .error("\(path, members: "its copies") would come back to it\(way): that is a loop")
        }
        do throws(ProgramError) {
            try MirrorProgram(ports: [port], destinations: members + spreads, taps: taps).validate()
        } catch {
            let hasNoOut = port.capture == .span && taps.contains { $0.direction == .out }
            throw hasNoOut
                ? .error(Reason(error.description, members: "the port has IN only; use IN or BOTH")) : .error(error)
        }
        if let owner = owners[port.interface], owner != port.id {
            throw .error(
                "\("interface '\(port.interface)'", members: "its interface") is tapped already, as \("port \(owner); tap it by that port", members: "another port")"
            )
        }
        try fit(taps.count, of: port, to: members)
        if isNew { try append(destinations, "tunnels") }
        deliveries[port.interface, default: []].formUnion(interfaces)
        if owners.updateValue(port.id, forKey: port.interface) == nil { program.ports.append(port) }
        tapsOfPort[port.id, default: 0] += taps.count
        destinationsOfPort[port.id, default: []].formUnion(members.map(\.id))
        program.taps.append(contentsOf: taps)
    }

    /// Refuses what a program cannot hold more of than it has.
    private func fit(
        _ count: Int, of port: MirrorProgram.Port, to members: [MirrorProgram.Destination]
    ) throws(Verdict) {
        if owners[port.interface] == nil, program.ports.count >= MirrorProgram.portsPerProgram {
            let full = "\(MirrorProgram.portsPerProgram) tapped ports already, which is the limit"
            throw .error("this host has \(full, members: "no room for more")")
        }
        if tapsOfPort[port.id, default: 0] + count > MirrorProgram.tapsPerPort {
            throw .error("port \(port.id) has \(MirrorProgram.tapsPerPort) taps already, which is the limit")
        }
        let limit = MirrorProgram.destinationsPerPort
        if destinationsOfPort[port.id, default: []].union(members.map(\.id)).count > limit {
            throw .error("port \(port.id) is mirrored to \(limit) destinations already, which is the limit")
        }
    }

    /// Whether copies of interface `from` are delivered, over any number of taps, to interface `to`.
    private func reaches(_ from: String, _ to: String) -> Bool {
        var seen: Set<String> = []
        var next = [from]
        while let interface = next.popLast() {
            if interface == to { return true }
            if seen.insert(interface).inserted { next.append(contentsOf: deliveries[interface] ?? []) }
        }
        return false
    }
}

extension DesiredState.Verdict: Error {}

extension Host {
    var label: Reason { "\("host '\(name)'", members: "a host")" }
}

extension Port {
    var label: String { name.isEmpty ? id : "'\(name)'" }
}

extension TapService {
    var label: String { name.isEmpty ? id : "'\(name)'" }
}
