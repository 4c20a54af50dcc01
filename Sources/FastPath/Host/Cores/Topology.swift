// The CPUs of this machine and the memory that is near to them, as sysfs tells (Documentation/ABI/stable/
// sysfs-devices-node, testing/sysfs-devices-system-cpu). Before it: the kernel. After it: WorkerPlan.swift.

/// CPUs, isolated CPUs and NUMA nodes.
package struct Topology: Equatable {
    /// CPUs that threads can run on.
    package var online: [Int]
    /// Of those, the ones that the scheduler gives nothing to by itself (isolcpus=).
    package var isolated: Set<Int>
    /// CPUs by NUMA node, online ones alone; nodes without CPUs are not there.
    package var nodes: [Int: [Int]]

    /// - Parameter root: where sysfs is.
    /// - Throws: the list of online CPUs cannot be read; everything else may be missing.
    package init(root: String = "/sys") throws(HostError) {
        let system = root + "/devices/system"
        let online = CaptureRingSet.cpus(in: try readText(system + "/cpu/online"))
        self.online = online
        isolated = Set(Self.list(system + "/cpu/isolated")).intersection(online)
        nodes = [:]
        for node in Self.list(system + "/node/online") {
            let cpus = Self.list(system + "/node/node\(node)/cpulist").filter(online.contains)
            if !cpus.isEmpty { nodes[node] = cpus }
        }
    }

    package init(online: [Int], isolated: Set<Int> = [], nodes: [Int: [Int]] = [:]) {
        self.online = online
        self.isolated = isolated
        self.nodes = nodes
    }

    /// CPUs that everybody shares.
    package var shared: [Int] { online.filter { !isolated.contains($0) } }

    /// The node of a CPU; nil where there is none.
    package func node(ofCPU cpu: Int) -> Int? { nodes.first { $0.value.contains(cpu) }?.key }

    /// The node that a device is attached to; nil where the machine has one, or does not tell.
    ///
    /// - Parameter index: what the interface must have: sysfs may show those of another network namespace.
    package static func node(ofInterface name: String, index: Int32, root: String = "/sys") -> Int? {
        let folder = "\(root)/class/net/\(name)"
        guard number(folder + "/ifindex") == Int(index), let node = number(folder + "/device/numa_node") else {
            return nil
        }
        return node < 0 ? nil : node
    }

    private static func list(_ path: String) -> [Int] {
        (try? readText(path)).map { CaptureRingSet.cpus(in: $0) } ?? []
    }

    private static func number(_ path: String) -> Int? {
        guard let text = try? readText(path) else { return nil }
        return Int(text.filter { !$0.isWhitespace })
    }
}
