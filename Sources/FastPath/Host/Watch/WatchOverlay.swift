// Pure: whether a program can carry a watch of some taps beside all that it has. Before it: a request to watch, or a new
// program while watches are there. After it: Dataplane, which says no with this reason.

package import MirrorProgram

/// Watches over one program.
package struct WatchOverlay {
    private let program: MirrorProgram
    private let portOfTap: [String: String]
    /// Places of a port's 64 that are left.
    private var room: [String: Int] = [:]
    private var count = 0

    package init(_ program: MirrorProgram) {
        self.program = program
        portOfTap = Dictionary(uniqueKeysWithValues: program.taps.map { ($0.id, $0.port) })
        let members = program.destinations.reduce(into: [String: [String]]()) { members, destination in
            if case .spread(let ids) = destination.target { members[destination.id] = ids }
        }
        for (port, taps) in Dictionary(grouping: program.taps, by: \.port) {
            let ids = Set(taps.flatMap(\.destinations).flatMap { members[$0] ?? [$0] })
            room[port] = MirrorProgram.destinationsPerPort - ids.count
        }
    }

    /// Takes one more watch in.
    ///
    /// - Returns: why it cannot be; then nothing has changed.
    package mutating func add(_ taps: Set<String>) -> String? {
        if taps.isEmpty { return "a watch names the taps that it is of, at least one" }
        for tap in taps.sorted() where portOfTap[tap] == nil {
            return "the dataplane runs no tap '\(tap)'; 'heliostat explain \(tap)' says why"
        }
        if count == Watch.most {
            return "\(Watch.most) watches are there already, as many as can be; end one of them first"
        }
        let ports = Set(taps.map { portOfTap[$0]! })
        if let full = ports.sorted().first(where: { room[$0]! < 1 }) {
            return
                "port '\(full)' has \(MirrorProgram.destinationsPerPort) destinations and watches, as many as can be;"
                + " end a watch, or delete a destination"
        }
        for port in ports { room[port]! -= 1 }
        count += 1
        return nil
    }
}
