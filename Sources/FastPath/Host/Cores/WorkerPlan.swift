// Pure: how many workers there are, where each of them runs and where its memory is. Before it: Topology.swift and
// CoreOptions.swift. After it: WorkerHost.swift makes them so.
//
// Isolated CPUs are never taken without being named: on hosts of virtual machines they are somebody's.

/// One worker.
package struct WorkerPlan: Equatable {
    /// CPUs that it may run on; empty for all.
    package var cpus: [Int] = []
    /// NUMA node of its frames' memory; nil to leave it to the kernel.
    package var node: Int?
    /// While no original waits for it.
    package var nice: Int32 = 0
    package var isRealTime = false

    package init(cpus: [Int] = [], node: Int? = nil, nice: Int32 = 0, isRealTime: Bool = false) {
        self.cpus = cpus
        self.node = node
        self.nice = nice
        self.isRealTime = isRealTime
    }

    /// Workers that one dataplane can have.
    package static let most = 16
    /// CPUs that share one worker where nobody says how many there are to be, and how many there are then at most.
    private static let cpusPerWorker = 8
    private static let mostByItself = 8

    /// All workers of a dataplane, at least one.
    ///
    /// - Throws: what of the options this machine cannot give.
    package static func workers(_ topology: Topology, _ options: CoreOptions) throws(HostError) -> [WorkerPlan] {
        if let count = options.workers, !(1...most).contains(count) {
            throw HostError("a dataplane has 1 to \(most) workers, not \(count)")
        }
        if !options.cpus.isEmpty { return try pinned(topology, options) }
        if options.isRealTime {
            throw HostError("real-time workers need CPUs of their own: name isolated ones with --cpus")
        }
        let byItself = min(mostByItself, topology.shared.count / cpusPerWorker)
        let count = options.workers ?? max(1, byItself)
        // Each on one node and next to its memory; one alone has to serve them all.
        let nodes = topology.nodes.keys.sorted().filter { node in
            topology.nodes[node]!.contains { !topology.isolated.contains($0) }
        }
        guard count > 1, nodes.count > 1 else {
            return Array(repeating: WorkerPlan(nice: options.nice), count: count)
        }
        return (0..<count).map { index in
            let node = nodes[index % nodes.count]
            return WorkerPlan(
                cpus: topology.nodes[node]!.filter { !topology.isolated.contains($0) }, node: node, nice: options.nice)
        }
    }

    private static func pinned(_ topology: Topology, _ options: CoreOptions) throws(HostError) -> [WorkerPlan] {
        let cpus = options.cpus
        if cpus.count > most { throw HostError("a dataplane has 1 to \(most) workers, and --cpus names \(cpus.count)") }
        if let count = options.workers, count != cpus.count {
            throw HostError("--workers \(count) needs as many CPUs, and --cpus names \(cpus.count)")
        }
        if let twice = cpus.first(where: { cpu in cpus.count { $0 == cpu } > 1 }) {
            throw HostError("--cpus names CPU \(twice) twice; each worker needs one of its own")
        }
        if let missing = cpus.first(where: { !topology.online.contains($0) }) {
            throw HostError("CPU \(missing) of --cpus is not online")
        }
        if options.isRealTime, let other = cpus.first(where: { !topology.isolated.contains($0) }) {
            throw HostError(
                "CPU \(other) is not isolated, and a real-time worker would leave nothing of it to others; "
                    + "isolate it (isolcpus=) or do without --realtime")
        }
        let hasNodes = topology.nodes.count > 1
        return cpus.map { cpu in
            WorkerPlan(
                cpus: [cpu], node: hasNodes ? topology.node(ofCPU: cpu) : nil, nice: options.nice,
                isRealTime: options.isRealTime)
        }
    }
}
