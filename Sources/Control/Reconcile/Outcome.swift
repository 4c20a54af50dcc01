// From what the dataplane says to what the intents' rows should say: pure.
// Before: DesiredState and the dataplane's answer. After: one commit of statuses and removals.

package import ControlModel
package import ControlStore
package import MirrorProgram

/// What is known of the dataplane in one turn.
package enum Acknowledgement: Hashable, Sendable {
    /// It has not answered for a moment: nothing is concluded yet.
    case unknown
    /// It has not answered for longer than a restart takes.
    case silent(String)
    /// It runs the desired program.
    case running(DataplaneStatus)
    /// It refused the desired program and still runs another.
    case refused(String, DataplaneStatus)
}

/// The rows that must change, each from the revision at which it was seen.
package struct Outcome: Hashable, Sendable {
    package private(set) var ports: [Versioned<Port>] = []
    package private(set) var tapServices: [Versioned<TapService>] = []
    package private(set) var tapFlows: [Versioned<TapFlow>] = []
    package private(set) var tapMirrors: [Versioned<TapMirror>] = []
    package private(set) var removedServices: [Versioned<TapService>] = []
    package private(set) var removedFlows: [Versioned<TapFlow>] = []
    /// Tunnel ids of deleted services and mirrors that are free again.
    package private(set) var freedTunnelIDs: [OwedTunnelID] = []

    private typealias State = (status: Status, reason: Reason?)

    /// - Parameters:
    ///   - interfaces: the network interfaces that this host has now.
    package init(
        _ snapshot: Snapshot, _ desired: DesiredState, _ acknowledgement: Acknowledgement, host: String,
        interfaces: Set<String>
    ) {
        let dataplane = Answers(acknowledgement, desired.program)
        let collectors = Set(snapshot.hosts.map(\.object).filter { !$0.isHeliostat }.map(\.name))
        for port in snapshot.ports {
            let state =
                collectors.contains(port.object.hostName)
                ? Self.state(ofCollector: port.object)
                : Self.state(of: port.object, dataplane, host: host, interfaces: interfaces)
            var object = port.object
            (object.status, object.statusReason) = state
            if object != port.object { ports.append(Versioned(object, revision: port.revision)) }
        }
        for service in snapshot.tapServices {
            var object = service.object
            if object.status == .pendingDelete {
                if dataplane.hasLetGo(destination: object.id) { removedServices.append(service) }
            } else if let state = dataplane.state(of: object, desired.verdicts[object.id]) {
                (object.status, object.statusReason) = state
                if object != service.object { tapServices.append(Versioned(object, revision: service.revision)) }
            }
        }
        freedTunnelIDs = snapshot.owedTunnelIDs.filter { dataplane.hasLetGo(destination: $0.owner) }
        let removed = Set(removedServices.map(\.object.id))
        for flow in snapshot.tapFlows {
            var object = flow.object
            if removed.contains(object.tapServiceID)
                || object.status == .pendingDelete && dataplane.hasLetGo(tap: object.id)
            {
                removedFlows.append(flow)
            } else if object.status != .pendingDelete,
                let state = dataplane.state(of: object, desired.verdicts[object.id])
            {
                (object.status, object.statusReason) = state
                if object != flow.object { tapFlows.append(Versioned(object, revision: flow.revision)) }
            }
        }
        for mirror in snapshot.tapMirrors {
            var object = mirror.object
            guard let state = dataplane.state(of: object, desired.verdicts[object.id]) else { continue }
            (object.status, object.statusReason) = state
            if object != mirror.object { tapMirrors.append(Versioned(object, revision: mirror.revision)) }
        }
    }

    /// The new statuses, each row from the revision at which it was seen.
    package var statuses: Commit {
        var commit = Commit()
        func put<Object: Resource>(_ row: Versioned<Object>) {
            commit.expectations[row.object.key] = .some(row.revision)
            commit.put(row.object.key, JSON.object(row.object.values).bytes)
        }
        ports.forEach(put)
        tapServices.forEach(put)
        tapFlows.forEach(put)
        tapMirrors.forEach(put)
        return commit
    }

    /// What the dataplane has let go: the rows, and with a service its flows and its tunnel id.
    package var removals: Commit {
        var commit = Commit()
        func remove<Object: Resource>(_ row: Versioned<Object>) {
            commit.expectations[row.object.key] = .some(row.revision)
            commit.delete(row.object.key)
        }
        removedFlows.forEach(remove)
        for service in removedServices {
            remove(service)
            commit.delete(service.object.tunnelIDKey)
        }
        for owed in freedTunnelIDs {
            commit.expectations[owed.key] = .some(owed.revision)
            commit.delete(owed.key)
            commit.delete(owed.taken)
        }
        return commit
    }

    /// Of a port on a bare collector nothing is known but what the administrator says.
    private static func state(ofCollector port: Port) -> State {
        port.isAdministrativelyUp ? (.active, nil) : (.down, "admin_state_up is false")
    }

    private static func state(
        of port: Port, _ dataplane: Answers, host: String, interfaces: Set<String>
    ) -> State {
        if port.hostName != host {
            return (
                .down,
                port.hostName.isEmpty
                    ? "not bound to a host"
                    : "on \("host '\(port.hostName)', which this process does not serve", members: "a host that is not served")"
            )
        }
        guard let interface = port.profile.interface else { return (.down, "no interface in binding:profile") }
        if !port.isAdministrativelyUp { return (.down, "admin_state_up is false") }
        if !interfaces.contains(interface) {
            return (
                .down, "\("interface '\(interface)' is not on host '\(host)'", members: "its interface is missing")"
            )
        }
        let reason = dataplane.ports[port.id]?.reason
        switch dataplane.ports[port.id]?.state {
        case .down: return (.down, reason.map { Reason($0, members: "its interface is missing or down") })
        case .error: return (.error, reason.map { Reason($0, members: "its host cannot capture it") })
        case .capturing:
            return (.active, reason.map { Reason($0, members: "it is captured in another way than asked for") })
        case nil: break
        }
        return (.active, nil)
    }
}
