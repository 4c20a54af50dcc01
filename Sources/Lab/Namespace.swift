// A network namespace of the lab: the ground on which topologies (TappedPair.swift) stand.
// Made and deleted by ip(8); code of this process enters one on a thread of its own (NamespaceThread.swift).

import Foundation
import Glibc
import Synchronization

/// A network namespace, named `hs-lab-PID-NUMBER-LABEL`, that does not outlive this process.
public final class Namespace: Sendable {
    /// Name as ip-netns(8) knows it.
    public let name: String
    private let undo: Int

    private static let prefix = "hs-lab-"
    private static let folder = "/run/netns"
    private static let counter = Atomic<Int>(0)
    private static let swept: Void = sweep()

    /// File that stands for the namespace.
    public var path: String { "\(Self.folder)/\(name)" }

    /// Makes a namespace with `lo` up and nothing else, in which the kernel sends nothing by itself.
    ///
    /// - Parameter label: what the namespace is for, a short word.
    public init(_ label: String) throws {
        _ = Self.swept
        let number = Self.counter.wrappingAdd(1, ordering: .relaxed).newValue
        let name = "\(Self.prefix)\(getpid())-\(number)-\(label)"
        self.name = name
        (_, undo) = try Teardown.register { () throws(LabError) in ((), { Self.remove(name) }) }
        try ChildProcess.run(["ip", "netns", "add", name])
        try ip("link set lo up")
        // Without IPv6 of its own the kernel sends no duplicate address detection, router solicitation or MLD report;
        // IPv6 frames of the lab's senders pass all the same.
        try configure("net/ipv6/conf/all/disable_ipv6", "1")
        try configure("net/ipv6/conf/default/disable_ipv6", "1")
    }

    /// Ends every process in the namespace and deletes it.
    public func delete() {
        Self.remove(name)
        Teardown.forget(undo)
    }

    /// Runs a closure on a thread of its own inside the namespace and waits for it.
    public func run<Outcome: Sendable>(_ body: @escaping @Sendable () throws -> Outcome) throws -> Outcome {
        try NamespaceThread(in: self, body).wait()
    }

    /// Carries out lines of ip(8), `link add …`, inside the namespace, in one process; stops at the first that fails.
    public func ip(_ lines: String...) throws(LabError) {
        try ChildProcess.run(["ip", "-n", name, "-batch", "-"], input: lines.joined(separator: "\n") + "\n")
    }

    /// Runs a command inside the namespace to its end and returns its standard output.
    @discardableResult
    public func command(_ arguments: String..., seconds: Double = 30) throws(LabError) -> String {
        try ChildProcess.run(["nsenter", "--net=\(path)"] + arguments, seconds: seconds)
    }

    /// Starts a process inside the namespace; its pid is the process's own, since nsenter(1) replaces itself by it.
    public func start(_ arguments: [String], environment: [String: String] = [:]) throws(LabError) -> ChildProcess {
        try ChildProcess(["nsenter", "--net=\(path)"] + arguments, environment: environment)
    }

    /// Ethernet address of an interface.
    public func macAddress(of interface: String) throws(LabError) -> MAC {
        let words = try ChildProcess.run(["ip", "-n", name, "-o", "link", "show", interface]).split(separator: " ")
        guard let key = words.firstIndex(of: "link/ether"), let mac = MAC(words[key + 1]) else {
            throw LabError("interface '\(interface)' of '\(name)' has no Ethernet address")
        }
        return mac
    }

    /// Writes a network setting, such as `net/ipv4/ip_forward`.
    public func configure(_ setting: String, _ value: String) throws {
        try run { try Self.write(value, to: "/proc/sys/\(setting)") }
    }

    /// Switches offloads of an interface, `["tso": false]`, as ethtool -K does.
    public func offloads(of interface: String, _ features: [String: Bool]) throws(LabError) {
        let words = features.sorted { $0.key < $1.key }.flatMap { [$0.key, $0.value ? "on" : "off"] }
        try ChildProcess.run(["nsenter", "--net=\(path)", "ethtool", "-K", interface] + words)
    }

    /// Lets one CPU alone carry on with what `interface` receives, so that the kernel cannot change its order.
    ///
    /// Without it frames that a sender on several CPUs puts into a veth wait in several backlogs.
    public func receiveOnOneCPU(_ interface: String) throws(LabError) {
        // sysfs shows the namespace of whoever mounted it: ip-netns(8) mounts a fresh one.
        let queues = "/sys/class/net/\(interface)/queues"
        try ChildProcess.run([
            "ip", "netns", "exec", name, "sh", "-c", "for q in \(queues)/rx-*; do echo 1 > $q/rps_cpus || exit 1; done",
        ])
    }

    private static func write(_ value: String, to path: String) throws {
        let file = open(path, O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { throw LabError(errno: "cannot open '\(path)'") }
        defer { close(file) }
        guard Glibc.write(file, value, value.utf8.count) == value.utf8.count else {
            throw LabError(errno: "cannot write '\(value)' to '\(path)'")
        }
    }

    /// Ends the processes in a namespace (whatever was started there is the lab's) and deletes it.
    private static func remove(_ name: String) {
        let inside = (try? ChildProcess.run(["ip", "netns", "pids", name])) ?? ""
        let pids = inside.split(separator: "\n").compactMap { pid_t($0) }.filter { $0 != getpid() }
        for pid in pids { kill(pid, SIGTERM) }
        if !poll(seconds: 2, until: { pids.allSatisfy { !isRunning($0) } }) {
            for pid in pids where isRunning(pid) { kill(pid, SIGKILL) }
        }
        _ = try? ChildProcess.run(["ip", "netns", "delete", name])
    }

    private static func isRunning(_ pid: pid_t) -> Bool {
        // A zombie answers kill(2); only its parent can take it away.
        guard let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return false }
        return !stat.contains(") Z ")
    }

    /// Deletes what dead processes of the lab have left; the first namespace of a process does so by itself.
    public static func sweep() {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        for name in names where name.hasPrefix(prefix) {
            let owner = name.dropFirst(prefix.count).split(separator: "-").first.flatMap { pid_t($0) }
            if let owner, kill(owner, 0) != 0, errno == ESRCH { remove(name) }
        }
    }
}
