// Gathers the facts of `heliostat doctor` from /proc, /sys, the kernel, the file system and the API. Changes nothing.

import ControlModel
import Foundation

/// Reads the machine.
enum MachineProbe {
    static func facts(stateDirectory: String, endpoint: APIEndpoint) async -> MachineFacts {
        var facts = MachineFacts()
        (facts.kernelRelease, facts.architecture) = kernel()
        facts.cpuFlags = cpuFlags(text("/proc/cpuinfo"))
        facts.isRoot = geteuid() == 0
        facts.capabilities = field("CapEff:", text("/proc/self/status")).flatMap { UInt64($0, radix: 16) } ?? 0
        (facts.bpf, facts.tcx) = KernelProbe.bpfAndTCX()
        facts.bpfJIT = jit()
        facts.hasBTF = access("/sys/kernel/btf/vmlinux", F_OK) == 0
        facts.xdpSocket = KernelProbe.xdpSocket()
        facts.hasBPFFS = text("/proc/self/mounts").split(separator: "\n").contains { line in
            let words = line.split(separator: " ")
            return words.count > 2 && words[1] == "/sys/fs/bpf" && words[2] == "bpf"
        }
        facts.lockedMemory = field("Max locked memory", text("/proc/self/limits"))
            .flatMap { $0.split(separator: " ").first }.flatMap { UInt64($0) }
        facts.userExists = getpwnam("heliostat") != nil
        facts.groupExists = getgrnam("heliostat") != nil
        facts.dataplane = dataplane()
        facts.stateDirectory = directory(stateDirectory)
        facts.api = await api(endpoint)
        return facts
    }

    private static func kernel() -> (release: String, architecture: String) {
        var name = utsname()
        uname(&name)
        func string<Field>(_ field: Field) -> String {
            withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        }
        return (string(name.release), string(name.machine))
    }

    /// The flags of the first CPU.
    private static func cpuFlags(_ cpuinfo: String) -> Set<String> {
        let line = cpuinfo.split(separator: "\n").first { $0.hasPrefix("flags") } ?? ""
        return Set(line.drop { $0 != ":" }.dropFirst().split(separator: " ").map(String.init))
    }

    /// The file is the administrator's alone to read; where it is there, the JIT is, and by default on.
    private static func jit() -> Int? {
        let path = "/proc/sys/net/core/bpf_jit_enable"
        guard access(path, F_OK) == 0 else { return nil }
        return Int(text(path).trimmingCharacters(in: .whitespacesAndNewlines)) ?? 1
    }

    /// Beside this program, then in PATH: as `heliostat serve` looks for it.
    private static func dataplane() -> MachineFacts.Dataplane {
        let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        let beside = URL(fileURLWithPath: own).deletingLastPathComponent().path
        let directories =
            [beside] + (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
        let paths = directories.map { $0 + "/heliostat-dataplane" }
        guard let path = paths.first(where: { access($0, X_OK) == 0 }) else { return .missing }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = ["--help"]
        let complaints = Pipe()
        process.standardOutput = FileHandle.nullDevice
        process.standardError = complaints
        do {
            try process.run()
        } catch {
            return .broken(path: path, reason: "\(error.localizedDescription)")
        }
        let complaint = String(decoding: complaints.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        if process.terminationReason == .exit, process.terminationStatus == 0 {
            return .runs(path: path, capabilities: KernelProbe.hasCapabilities(path))
        }
        let how = process.terminationReason == .exit ? "exit status" : "signal"
        let first = complaint.split(separator: "\n").first.map(String.init)
        return .broken(path: path, reason: first ?? "\(how) \(process.terminationStatus)")
    }

    private static func directory(_ path: String) -> MachineFacts.StateDirectory {
        var directory = MachineFacts.StateDirectory()
        directory.path = path
        let real = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
        if let attributes = try? FileManager.default.attributesOfItem(atPath: real) {
            directory.exists = true
            directory.isDirectory = attributes[.type] as? FileAttributeType == .typeDirectory
            directory.mode = (attributes[.posixPermissions] as? NSNumber)?.uint32Value ?? 0
        }
        // Where it is not there, the nearest parent says whether it can be made, and on which file system.
        var nearest = URL(fileURLWithPath: path)
        while access(nearest.path, F_OK) != 0, nearest.path != "/" { nearest.deleteLastPathComponent() }
        directory.writable = access(nearest.path, W_OK | X_OK) == 0
        var space = statvfs()
        if statvfs(nearest.path, &space) == 0 { directory.free = UInt64(space.f_bavail) * UInt64(space.f_frsize) }
        return directory
    }

    private static func api(_ endpoint: APIEndpoint) async -> MachineFacts.API {
        do {
            return try await APIClient.with(endpoint) { api in
                let dataplane = try await api.get("/v2.0/heliostat/status")["status"]["dataplane"]
                return .answers(
                    at: endpoint.name, dataplaneConnected: dataplane["connected"].bool == true,
                    reason: dataplane["reason"].string ?? "")
            }
        } catch {
            return .unusable(error as? CommandError ?? CommandError("\(error)"))
        }
    }

    private static func text(_ path: String) -> String { (try? String(contentsOfFile: path, encoding: .utf8)) ?? "" }

    /// What follows a name at the beginning of a line.
    private static func field(_ name: String, _ text: String) -> String? {
        text.split(separator: "\n").first { $0.hasPrefix(name) }
            .map { $0.dropFirst(name.count).trimmingCharacters(in: .whitespaces) }
    }
}
