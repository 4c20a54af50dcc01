// Pure: which worker serves which port. Before it: a valid program and the workers that there are. After it: the capture
// entries send a port's frames to the rings of its worker, and only that one has it in its selection.
//
// A port is one worker's, so that its frames stay in order and each goes once to a destination. Ports whose copies are
// numbered together (GRE and ERSPAN sequence numbers run between two addresses, RFC 2890 section 2.2) are the same
// one's too. A spread needs nothing of the kind: what it chooses depends on the frame alone.

package import MirrorProgram

/// Ports by worker.
package struct PortAssignment: Equatable {
    /// Place of the worker, by id of the port.
    package private(set) var workers: [String: Int] = [:]

    package init() {}

    /// - Parameters:
    ///   - previous: who serves the ports now, by their ids in this program: they stay there as long as they can. Where
    ///     some must come together they go to the first of their workers, so that ports only ever move forward.
    ///   - nodes: NUMA node of each worker.
    ///   - portNodes: NUMA node of the interfaces that have one, by id of the port.
    package init(
        _ program: MirrorProgram, nodes: [Int?], portNodes: [String: Int] = [:], previous: [String: Int] = [:]
    ) {
        var load = [Int](repeating: 0, count: nodes.count)
        var open: [[String]] = []
        for group in Self.groups(program) {
            guard let worker = group.compactMap({ previous[$0] }).filter({ $0 < nodes.count }).min() else {
                open.append(group)
                continue
            }
            for port in group { workers[port] = worker }
            load[worker] += group.count
        }
        for group in open.sorted(by: { $0.count > $1.count }) {
            let near = Self.mostFrequent(group.compactMap { portNodes[$0] })
            let worker = load.indices.min { first, second in
                let (far, farther) = (Self.isFar(nodes[first], near), Self.isFar(nodes[second], near))
                return far == farther ? load[first] < load[second] : !far
            }!
            for port in group { workers[port] = worker }
            load[worker] += group.count
        }
    }

    /// Ports that must be one worker's, in the order of the program.
    package static func groups(_ program: MirrorProgram) -> [[String]] {
        var remotes: [String: Set<IPAddress>] = [:]
        for destination in program.destinations {
            if case .tunnel(let tunnel) = destination.target, tunnel.isSequenced {
                remotes[destination.id] = [tunnel.remote]
            }
        }
        for destination in program.destinations {
            if case .spread(let members) = destination.target {
                remotes[destination.id] = members.reduce(into: []) { $0.formUnion(remotes[$1] ?? []) }
            }
        }
        let taps = Dictionary(grouping: program.taps, by: \.port)
        var groups: [(ports: [String], remotes: Set<IPAddress>)] = []
        for port in program.ports {
            let own = (taps[port.id] ?? []).flatMap(\.destinations)
                .reduce(into: Set<IPAddress>()) { $0.formUnion(remotes[$1] ?? []) }
            let joined = groups.filter { !$0.remotes.isDisjoint(with: own) }
            groups.removeAll { !$0.remotes.isDisjoint(with: own) }
            groups.append(
                (joined.flatMap(\.ports) + [port.id], joined.reduce(own) { $0.union($1.remotes) }))
        }
        return groups.map(\.ports)
    }

    private static func isFar(_ worker: Int?, _ port: Int?) -> Bool {
        guard let worker, let port else { return false }
        return worker != port
    }

    /// The lowest of those that are there most often.
    private static func mostFrequent(_ values: [Int]) -> Int? {
        let counts = values.reduce(into: [Int: Int]()) { $0[$1, default: 0] += 1 }
        return counts.max { ($0.value, -$0.key) < ($1.value, -$1.key) }?.key
    }
}
