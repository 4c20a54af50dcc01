// The table of `heliostat doctor`, in the order in which a frame needs things: kernel and CPU, capture, transmission,
// privileges, programs, state, and what runs.

extension DoctorCheck {
    package static let all = [
        DoctorCheck(name: "kernel", judge: kernel),
        DoctorCheck(name: "CPU", judge: cpu),
        DoctorCheck(name: "BPF", judge: bpf),
        DoctorCheck(name: "BPF JIT", judge: jit),
        DoctorCheck(name: "BTF", judge: btf),
        DoctorCheck(name: "tcx", judge: tcx),
        DoctorCheck(name: "bpffs", judge: bpffs),
        DoctorCheck(name: "AF_XDP", judge: xdpSocket),
        DoctorCheck(name: "locked memory", judge: lockedMemory),
        DoctorCheck(name: "privileges", judge: privileges),
        DoctorCheck(name: "user and group", judge: account),
        DoctorCheck(name: "heliostat-dataplane", judge: dataplane),
        DoctorCheck(name: "state directory", judge: stateDirectory),
        DoctorCheck(name: "API", judge: api),
        DoctorCheck(name: "dataplane", judge: connection),
    ]

    private static let asRoot = "run 'sudo heliostat doctor' for an answer"

    /// Major and minor version of a release such as `6.1.0-18-amd64`.
    static func version(_ release: String) -> (Int, Int)? {
        let numbers = release.split(separator: ".", maxSplits: 2).map { $0.prefix { $0.isASCII && $0.isNumber } }
        guard numbers.count >= 2, let major = Int(numbers[0]), let minor = Int(numbers[1]) else { return nil }
        return (major, minor)
    }

    /// 5.8 has BPF ring buffers and CAP_BPF, 5.12 the atomic exchange that wakes a worker, 6.6 tcx.
    static func kernel(_ facts: MachineFacts) -> Finding {
        let release = facts.kernelRelease
        guard let version = version(release) else {
            return .warn(
                "'\(release)' is no version that this program can read", "Heliostat needs Linux 5.12, better 6.6")
        }
        if version < (5, 8) {
            return .fail("Linux \(release) has no BPF ring buffers", "boot Linux 5.12 or later, better 6.6")
        }
        if version < (5, 12) {
            return .warn(
                "Linux \(release) does not take the capture program; packet sockets stand in",
                "boot Linux 5.12 or later, better 6.6")
        }
        if version < (6, 6) { return .warn("Linux \(release) has no tcx; clsact is used", "boot Linux 6.6 or later") }
        return .ok("Linux \(release)")
    }

    /// The flags of /proc/cpuinfo that x86-64-v3 stands for; abm is LZCNT.
    static func cpu(_ facts: MachineFacts) -> Finding {
        guard facts.architecture == "x86_64" else { return .ok(facts.architecture) }
        let missing = ["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"].filter {
            !facts.cpuFlags.contains($0)
        }
        if missing.isEmpty { return .ok("x86-64-v3 (avx2, bmi2, movbe)") }
        return .fail(
            "x86-64 without \(missing.joined(separator: ", "))",
            "use a CPU with x86-64-v3 (Intel Haswell, AMD Zen), or a virtual machine whose CPU model passes these on")
    }

    static func bpf(_ facts: MachineFacts) -> Finding {
        switch facts.bpf {
        case .works: .ok("the kernel loads BPF programs")
        case .unknown(let reason): .warn("not checked: \(reason)", asRoot)
        case .fails(let reason):
            .fail(
                "the kernel refuses a BPF program: \(reason)",
                "use a kernel with CONFIG_BPF_SYSCALL and no lockdown of BPF")
        }
    }

    static func jit(_ facts: MachineFacts) -> Finding {
        switch facts.bpfJIT {
        case nil: .warn("the kernel has no BPF JIT", "use a kernel with CONFIG_BPF_JIT: capture is slow without")
        case 0: .warn("off: capture is slow", "sysctl -w net.core.bpf_jit_enable=1")
        default: .ok("on")
        }
    }

    static func btf(_ facts: MachineFacts) -> Finding {
        if facts.hasBTF { return .ok("/sys/kernel/btf/vmlinux") }
        return .warn(
            "no /sys/kernel/btf/vmlinux: the checksum state of local senders' frames is guessed",
            "use a kernel with CONFIG_DEBUG_INFO_BTF")
    }

    static func tcx(_ facts: MachineFacts) -> Finding {
        switch facts.tcx {
        case .works: return .ok("the kernel takes tcx links")
        case .fails(let reason):
            return .warn("the kernel refuses tcx (\(reason)); clsact is used", "boot Linux 6.6 or later")
        case .unknown(let reason):
            guard let version = version(facts.kernelRelease) else { return .warn("not checked: \(reason)", asRoot) }
            if version < (6, 6) { return .warn("not in this kernel; clsact is used", "boot Linux 6.6 or later") }
            return .ok("in this kernel (by its version; not tried: \(reason))")
        }
    }

    static func bpffs(_ facts: MachineFacts) -> Finding {
        if facts.hasBPFFS { return .ok("/sys/fs/bpf") }
        return .warn("not mounted at /sys/fs/bpf: nothing can be pinned", "mount -t bpf bpf /sys/fs/bpf")
    }

    static func xdpSocket(_ facts: MachineFacts) -> Finding {
        switch facts.xdpSocket {
        case .works: .ok("sockets open")
        case .unknown(let reason): .warn("not checked: \(reason)", asRoot)
        case .fails(let reason): .fail("no sockets: \(reason)", "use a kernel with CONFIG_XDP_SOCKETS")
        }
    }

    private static let ipcLock: UInt64 = 1 << 14

    static func lockedMemory(_ facts: MachineFacts) -> Finding {
        guard let limit = facts.lockedMemory else { return .ok("not limited") }
        if facts.isRoot || facts.capabilities & ipcLock != 0 { return .ok("the limit does not bind (CAP_IPC_LOCK)") }
        if case .runs(_, true) = facts.dataplane {
            return .ok("the limit does not bind (heliostat-dataplane's capabilities)")
        }
        if limit >= 256 << 20 { return .ok(Quantity.bytes(limit)) }
        return .warn(
            "limited to \(Quantity.bytes(limit)); UMEM needs more without CAP_IPC_LOCK",
            "start as root, or set LimitMEMLOCK=infinity (systemd) or 'ulimit -l unlimited'")
    }

    /// CAP_NET_ADMIN 12, CAP_NET_RAW 13, CAP_IPC_LOCK 14, CAP_SYS_ADMIN 21, CAP_PERFMON 38, CAP_BPF 39.
    static func privileges(_ facts: MachineFacts) -> Finding {
        if facts.isRoot { return .ok("root") }
        if facts.isMirroring { return .ok("not root; the running dataplane has what it needs") }
        if case .runs(let path, true) = facts.dataplane { return .ok("\(path) has capabilities of its own") }
        let needed: [(String, Int)] = [
            ("CAP_BPF", 39), ("CAP_PERFMON", 38), ("CAP_NET_ADMIN", 12), ("CAP_NET_RAW", 13), ("CAP_IPC_LOCK", 14),
        ]
        let missing = needed.filter { name, bit in
            let administrates = bit >= 38 && facts.capabilities >> 21 & 1 != 0
            return facts.capabilities >> UInt64(bit) & 1 == 0 && !administrates
        }
        if missing.isEmpty { return .ok("the capabilities that are needed") }
        return .fail(
            "no \(missing.map(\.0).joined(separator: ", "))",
            "start 'heliostat serve' as root, or heliostat-dataplane by its unit: systemctl start heliostat-dataplane")
    }

    static func account(_ facts: MachineFacts) -> Finding {
        if facts.userExists, facts.groupExists { return .ok("heliostat") }
        let what = facts.userExists ? "group" : facts.groupExists ? "user" : "user and no group"
        return .warn(
            "no \(what) 'heliostat': 'heliostat serve' has no account to drop root for",
            "sudo make install, or useradd --system --user-group --no-create-home --shell /usr/sbin/nologin heliostat")
    }

    static func dataplane(_ facts: MachineFacts) -> Finding {
        switch facts.dataplane {
        case .runs(let path, let capabilities): .ok(path + (capabilities ? " (with capabilities)" : ""))
        case .missing where facts.isMirroring:
            .warn("not found beside heliostat, nor in PATH", "sudo make install")
        case .missing: .fail("not found beside heliostat, nor in PATH", "make build, or sudo make install")
        case .broken(let path, let reason): .fail("\(path) does not run: \(reason)", "make build, or sudo make install")
        }
    }

    static func stateDirectory(_ facts: MachineFacts) -> Finding {
        let directory = facts.stateDirectory
        let path = directory.path
        if !directory.exists {
            if directory.writable { return .ok("\(path) will be made by 'heliostat serve'") }
            return .warn(
                "\(path) is not there, and you may not make it",
                "start 'heliostat serve' as root, or name another with --state-dir")
        }
        if !directory.isDirectory { return .fail("\(path) is not a directory", "name another with --state-dir") }
        if directory.free < 64 << 20 {
            return .fail("\(path) has \(Quantity.bytes(directory.free)) left", "make room: 64 MB at least")
        }
        if directory.mode & 0o002 != 0 {
            return .fail("\(path) can be written by everybody", "chmod o-w \(path)")
        }
        if !directory.writable {
            if facts.isMirroring { return .ok("\(path), in use by 'heliostat serve'") }
            return .warn(
                "you may not write \(path)", "start 'heliostat serve' as root, or name another with --state-dir")
        }
        return .ok("\(path), \(Quantity.bytes(directory.free)) free")
    }

    static func api(_ facts: MachineFacts) -> Finding {
        switch facts.api {
        case .answers(let place, _, _): .ok(place)
        case .unusable(let error): .warn(error.what, error.remedy ?? "see the log of 'heliostat serve'")
        }
    }

    static func connection(_ facts: MachineFacts) -> Finding {
        switch facts.api {
        case .answers(_, true, _): .ok("connected")
        case .answers(_, false, let reason):
            .fail(
                "not connected" + (reason.isEmpty ? "" : ": \(reason)"),
                "see the dataplane's log; where 'heliostat serve' may not start it: systemctl start heliostat-dataplane"
            )
        case .unusable: .warn("not checked: only the API knows", "mend the line above")
        }
    }
}
