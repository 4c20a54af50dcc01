// What `status` says of a worker, as it was really obtained. Before it: ControlProtocol.swift, the answer that it is
// part of.

/// A thread that copies frames, and the memory that it does it in.
public struct WorkerStatus: Codable, Hashable, Sendable {
    public enum Pages: String, Codable, Hashable, Sendable {
        /// Set aside by the operator (vm.nr_hugepages).
        case huge
        /// Huge pages that the kernel found when it was asked (transparent_hugepage).
        case transparent
        case plain
    }

    /// CPUs that it may run on; nil for all.
    public var cpus: [Int]?
    /// `nice N`, or `fifo N` for one that polls in real time without a pause.
    public var scheduling: String
    /// Pages of its frames' memory.
    public var pages: Pages
    /// NUMA node that the memory is on.
    public var node: Int?
    /// Ids of the ports that it serves, sorted.
    public var ports: [String]
    /// What it was to have and has not got.
    public var reason: String?

    public init(
        cpus: [Int]? = nil, scheduling: String, pages: Pages, node: Int? = nil, ports: [String] = [],
        reason: String? = nil
    ) {
        self.cpus = cpus
        self.scheduling = scheduling
        self.pages = pages
        self.node = node
        self.ports = ports
        self.reason = reason
    }
}
