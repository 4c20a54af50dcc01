// What an operator asks of CPUs and memory, on the command line or in the environment. After it: WorkerPlan.swift.

import Glibc

/// How many workers, where, and how they wait.
package struct CoreOptions: Equatable {
    /// Nil: as the machine is.
    package var workers: Int?
    /// One for each worker; empty: wherever the scheduler puts them.
    package var cpus: [Int] = []
    /// The workers poll without a pause under SCHED_FIFO; they need isolated CPUs.
    package var isRealTime = false
    /// AF_XDP sockets ask for preferred busy polling.
    package var busyPolls = false
    /// Nice value of the workers and the main thread.
    package var nice: Int32

    package init(
        workers: Int? = nil, cpus: [Int] = [], isRealTime: Bool = false, busyPolls: Bool = false, nice: Int32 = 0
    ) {
        self.workers = workers
        self.cpus = cpus
        self.isRealTime = isRealTime
        self.busyPolls = busyPolls
        self.nice = nice
    }

    /// The same as arguments of the command line.
    package var arguments: [String] {
        var words = ["--nice=\(nice)"]
        if let workers { words += ["--workers", "\(workers)"] }
        if !cpus.isEmpty { words += ["--cpus", cpus.map { "\($0)" }.joined(separator: ",")] }
        if isRealTime { words.append("--realtime") }
        if busyPolls { words.append("--busy-poll") }
        return words
    }

    /// CPUs of a list such as `2,4-6`; nil for anything else.
    package static func cpus(_ list: String) -> [Int]? {
        var cpus: [Int] = []
        for part in list.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
            guard let first = ends[0], let last = ends[ends.count - 1], ends.count <= 2, 0 <= first, first <= last,
                last < 8192
            else { return nil }
            cpus += first...last
        }
        return cpus
    }

    /// Fills in what the command line leaves open: HELIOSTAT_WORKERS, HELIOSTAT_CPUS, HELIOSTAT_REALTIME=1,
    /// HELIOSTAT_BUSY_POLL=1.
    ///
    /// - Parameter variable: the value of a variable of the environment.
    package func completed(
        by variable: (String) -> String? = { getenv($0).map { String(cString: $0) } }
    ) throws(HostError) -> CoreOptions {
        var options = self
        if workers == nil, let text = variable("HELIOSTAT_WORKERS"), !text.isEmpty {
            guard let count = Int(text), count > 0 else {
                throw HostError("HELIOSTAT_WORKERS is '\(text)'; use a number from 1")
            }
            options.workers = count
        }
        if cpus.isEmpty, let text = variable("HELIOSTAT_CPUS"), !text.isEmpty {
            guard let list = Self.cpus(text) else {
                throw HostError("HELIOSTAT_CPUS is '\(text)'; use a list such as 2,4-6")
            }
            options.cpus = list
        }
        if try Self.flag("HELIOSTAT_REALTIME", variable) { options.isRealTime = true }
        if try Self.flag("HELIOSTAT_BUSY_POLL", variable) { options.busyPolls = true }
        return options
    }

    private static func flag(_ name: String, _ variable: (String) -> String?) throws(HostError) -> Bool {
        switch variable(name) ?? "" {
        case "", "0": return false
        case "1": return true
        case let text: throw HostError("\(name) is '\(text)'; use 1 or 0")
        }
    }
}
