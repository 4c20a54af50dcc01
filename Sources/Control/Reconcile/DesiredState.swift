// From intents to the program that carries them out: pure, from scratch every time. What cannot be carried out is left
// out with its reason and keeps nothing else from running.
// Before: a snapshot of the store. After: Outcome (statuses) and Reconciler (application).

package import ControlModel
package import ControlStore
package import MirrorProgram

/// What one host should run, and why the rest of the intents is not in it.
package struct DesiredState: Hashable, Sendable {
    /// Why an intent is not in the program.
    package struct Verdict: Hashable, Sendable {
        package var status: Status
        package var reason: String

        static func down(_ reason: String) -> Verdict { Verdict(status: .down, reason: reason) }
        static func error(_ reason: String) -> Verdict { Verdict(status: .error, reason: reason) }
    }

    /// Always valid; its generation is 0 until it is applied.
    package private(set) var program = MirrorProgram()
    /// By id of the tap service or tap flow.
    package private(set) var verdicts: [String: Verdict] = [:]

    private let hostName: String
    private let hosts: [String: Host]
    private let ports: [String: Port]
    private var services: [String: TapService] = [:]
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
    package init(_ snapshot: Snapshot, host: String) {
        hostName = host
        hosts = Dictionary(snapshot.hosts.map { ($0.object.name, $0.object) }) { first, _ in first }
        ports = Dictionary(uniqueKeysWithValues: snapshot.ports.map { ($0.object.id, $0.object) })
        for service in snapshot.tapServices.map(\.object) where service.status != .pendingDelete {
            services[service.id] = service
            switch target(of: service) {
            case .success(let target): add(MirrorProgram.Destination(id: service.id, target: target))
            case .failure(let verdict): verdicts[service.id] = verdict
            }
        }
        let destinations = Dictionary(uniqueKeysWithValues: program.destinations.map { ($0.id, $0) })
        for flow in snapshot.tapFlows.map(\.object) where flow.status != .pendingDelete {
            if let verdict = place(flow, destinations) { verdicts[flow.id] = verdict }
        }
    }

    // MARK: Destinations

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
                .down("port \(port.label) is bound to host '\(port.hostName)', which is not known; create it"))
        }
        if host.isHeliostat {
            let place = "port \(port.label) is on Heliostat host '\(host.name)'"
            return .failure(.error("\(place): delivery on another Heliostat host is not offered yet"))
        }
        guard let remote = host.tunnelAddresses.first else {
            return .failure(.error("host '\(host.name)' has no tunnel address; set its tunnel_addresses"))
        }
        if let own = hosts.values.first(where: { $0.isHeliostat && $0.tunnelAddresses.contains(remote) }) {
            return .failure(
                .error("\(remote) is the address of Heliostat host '\(own.name)': copies would come back to it"))
        }
        return .success(
            .tunnel(.init(remote: remote, encapsulation: service.encapsulation, tunnelID: UInt32(service.tunnelID))))
    }

    private func interface(of port: Port) -> Result<String, Verdict> {
        guard let interface = port.profile.interface else {
            return .failure(.down("port \(port.label) has no interface; set it in its binding:profile"))
        }
        if !port.isAdministrativelyUp { return .failure(.down("port \(port.label) has admin_state_up false")) }
        return .success(interface)
    }

    private mutating func add(_ destination: MirrorProgram.Destination) {
        if program.destinations.count >= MirrorProgram.destinationsPerProgram {
            let limit = MirrorProgram.destinationsPerProgram
            verdicts[destination.id] = .error("this host has \(limit) tap services already, which is the limit")
            return
        }
        do throws(ProgramError) {
            try MirrorProgram(destinations: [destination]).validate()
            program.destinations.append(destination)
        } catch {
            verdicts[destination.id] = .error(error.description)
        }
    }

    // MARK: Taps

    /// Puts a flow into the program, or says why not.
    private mutating func place(
        _ flow: TapFlow, _ destinations: [String: MirrorProgram.Destination]
    ) -> Verdict? {
        guard let service = services[flow.tapServiceID] else { return .down("its tap service is being deleted") }
        guard let source = ports[flow.sourcePortID] else { return .error("its port \(flow.sourcePortID) is gone") }
        if source.hostName.isEmpty {
            return .down("port \(source.label) is not bound to a host; set its binding:host_id")
        }
        if source.hostName != hostName {
            return .down("port \(source.label) is on host '\(source.hostName)', which this process does not serve")
        }
        if let verdict = verdicts[service.id] {
            return Verdict(status: verdict.status, reason: "tap service \(service.label): \(verdict.reason)")
        }
        guard let destination = destinations[service.id] else { return .error("its tap service is gone") }
        switch interface(of: source) {
        case .failure(let verdict): return verdict
        case .success(let interface):
            let port = MirrorProgram.Port(
                id: source.id, interface: interface, mac: source.profile.mac, capture: source.profile.capture ?? .tap,
                side: source.profile.side ?? .auto)
            let tap = MirrorProgram.Tap(
                id: flow.id, port: port.id, direction: flow.direction, destinations: [destination.id])
            return add(tap, of: port, to: destination)
        }
    }

    private mutating func add(
        _ tap: MirrorProgram.Tap, of port: MirrorProgram.Port, to destination: MirrorProgram.Destination
    ) -> Verdict? {
        do throws(ProgramError) {
            try MirrorProgram(ports: [port], destinations: [destination], taps: [tap]).validate()
        } catch { return .error(error.description) }
        if let owner = owners[port.interface], owner != port.id {
            return .error("interface '\(port.interface)' is tapped already, as port \(owner); tap it by that port")
        }
        if let verdict = excess(of: port, to: destination) { return verdict }
        if case .interface(let name) = destination.target {
            if reaches(name, port.interface) {
                let path = "copies of '\(port.interface)' to '\(name)'"
                return .error("\(path) would come back to it through other tap flows: that is a loop")
            }
            deliveries[port.interface, default: []].insert(name)
        }
        if owners.updateValue(port.id, forKey: port.interface) == nil { program.ports.append(port) }
        tapsOfPort[port.id, default: 0] += 1
        destinationsOfPort[port.id, default: []].insert(destination.id)
        program.taps.append(tap)
        return nil
    }

    /// What a program cannot hold more of than it has, if one more tap of `port` to `destination` needs it.
    private func excess(of port: MirrorProgram.Port, to destination: MirrorProgram.Destination) -> Verdict? {
        if owners[port.interface] == nil, program.ports.count >= MirrorProgram.portsPerProgram {
            return .error("this host has \(MirrorProgram.portsPerProgram) tapped ports already, which is the limit")
        }
        if tapsOfPort[port.id, default: 0] >= MirrorProgram.tapsPerPort {
            return .error("port \(port.id) has \(MirrorProgram.tapsPerPort) tap flows already, which is the limit")
        }
        let reached = destinationsOfPort[port.id, default: []]
        if reached.count >= MirrorProgram.destinationsPerPort, !reached.contains(destination.id) {
            let limit = MirrorProgram.destinationsPerPort
            return .error("port \(port.id) is mirrored to \(limit) tap services already, which is the limit")
        }
        return nil
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

extension Port {
    var label: String { name.isEmpty ? id : "'\(name)'" }
}

extension TapService {
    var label: String { name.isEmpty ? id : "'\(name)'" }
}
