// A dataplane's answer, seen from the objects that it is about: what it says of an object's taps and destinations.
// Before: Outcome. After: a status and its reason.

import ControlModel
import MirrorProgram

/// A dataplane's answer by id, beside what it was to run.
struct Answers {
    typealias State = (status: Status, reason: Reason?)

    private let acknowledgement: Acknowledgement
    private(set) var ports: [String: PortStatus] = [:]
    private var destinations: [String: DestinationStatus] = [:]
    private var taps: [String: TapStatus] = [:]
    /// By id of the tap service.
    private var deliveries: [String: DeliveryStatus] = [:]
    /// Ids of the objects that the dataplane has destinations of.
    private var owners: Set<Substring> = []
    /// What is desired of each object: ids of its tunnels and interfaces, and of its taps.
    private var wantedDestinations: [Substring: [String]] = [:]
    private var wantedTaps: [Substring: [String]] = [:]

    init(_ acknowledgement: Acknowledgement, _ program: MirrorProgram) {
        self.acknowledgement = acknowledgement
        switch acknowledgement {
        case .unknown, .silent: break
        case .running(let status), .refused(_, let status):
            ports = Dictionary(status.ports.map { ($0.id, $0) }) { first, _ in first }
            destinations = Dictionary(status.destinations.map { ($0.id, $0) }) { first, _ in first }
            taps = Dictionary(status.taps.map { ($0.id, $0) }) { first, _ in first }
            deliveries = Dictionary(status.deliveries.map { ($0.id, $0) }) { first, _ in first }
            owners = Set(destinations.keys.map(Self.owner))
        }
        for destination in program.destinations {
            if case .spread = destination.target { continue }
            wantedDestinations[Self.owner(destination.id), default: []].append(destination.id)
        }
        for tap in program.taps { wantedTaps[Self.owner(tap.id), default: []].append(tap.id) }
    }

    private static func owner(_ id: String) -> Substring { id.prefix { $0 != "/" } }

    private var isAnswer: Bool {
        switch acknowledgement {
        case .running, .refused: true
        case .unknown, .silent: false
        }
    }

    func hasLetGo(destination id: String) -> Bool { isAnswer && !owners.contains(id[...]) }

    func hasLetGo(tap id: String) -> Bool { isAnswer && taps[id] == nil }

    /// The state of what is in the desired program but not in the answer.
    private var missing: State? {
        switch acknowledgement {
        case .unknown, .running: nil
        case .silent(let reason): (.down, "the dataplane does not answer\(": \(reason)", members: "")")
        case .refused(let reason, _):
            (.error, "the dataplane refused the program\(": \(reason)", members: "; ask the administrator")")
        }
    }

    // MARK: States

    func state(of service: TapService, _ verdict: DesiredState.Verdict?) -> State? {
        if let verdict { return (verdict.status, verdict.reason) }
        return destinationState(of: service.id)
    }

    func state(of flow: TapFlow, _ verdict: DesiredState.Verdict?) -> State? {
        if let verdict { return (verdict.status, verdict.reason) }
        return tapState(of: flow.id, to: flow.tapServiceID)
    }

    func state(of mirror: TapMirror, _ verdict: DesiredState.Verdict?) -> State? {
        if let verdict { return (verdict.status, verdict.reason) }
        guard let state = tapState(of: mirror.id, to: mirror.id) else { return nil }
        // Its tunnels are its own: when the kernel refuses them, nothing is left of it.
        if state.status == .active, let tunnels = destinationState(of: mirror.id), tunnels.status == .error {
            return tunnels
        }
        return state
    }

    /// The destinations of an object taken together: as long as one gets copies, what is wrong with others is a reason.
    private func destinationState(of id: String) -> State? {
        let wanted = wantedDestinations[id[...]] ?? []
        let found = wanted.compactMap { destinations[$0] }
        if wanted.isEmpty || found.count < wanted.count { return missing }
        var reasons = found.compactMap { destination -> Reason? in
            guard let reason = Self.reason(destination) else { return nil }
            let parts = destination.id.split(separator: "/")
            return found.count > 1 && parts.count > 1 ? "\(parts[1]): \(reason)" : reason
        }
        if let delivery = deliveries[id], let reason = delivery.reason {
            let members = delivery.state == .ready ? Self.rivalry : "they cannot be taken in"
            reasons.append("copies from other hosts: \(reason, members: members)")
        }
        let status: Status = found.allSatisfy { $0.state == .error } ? .error : .active
        return (status, Reason.joined(reasons))
    }

    /// What a dataplane says names interfaces and addresses of its host; members are told what it means.
    private static func reason(_ destination: DestinationStatus) -> Reason? {
        switch destination.state {
        case .ready: destination.reason.map { Reason($0, members: rivalry) }
        case .error: destination.reason.map { Reason($0, members: "its host cannot send copies there") }
        case .unreachable: Reason(destination.reason ?? unreachable, members: unreachable)
        }
    }

    private static let unreachable = "cannot be reached now; copies are dropped and counted"
    private static let rivalry = "another device of the host uses the same tunnel id"

    private static func reason(_ tap: TapStatus) -> Reason? {
        let members =
            switch tap.state {
            case .active: unreachable
            case .down: "the port's interface is missing, down, or not the port's"
            case .error: "its host cannot capture the port"
            }
        return tap.reason.map { Reason($0, members: members) }
    }

    /// The taps of an object taken together: the worst counts.
    private func tapState(of id: String, to owner: String) -> State? {
        let wanted = wantedTaps[id[...]] ?? []
        let found = wanted.compactMap { taps[$0] }
        if wanted.isEmpty || found.count < wanted.count { return missing }
        for (state, status) in [(TapStatus.State.error, Status.error), (.down, .down)] {
            if let tap = found.first(where: { $0.state == state }) { return (status, Self.reason(tap)) }
        }
        return (.active, found.lazy.compactMap(Self.reason).first ?? destinationState(of: owner)?.reason)
    }
}
