// What `heliostat doctor` knows of the machine before it judges. Facts only: MachineProbe.swift gathers them,
// DoctorChecks.swift judges them, and tests write them by hand.

/// The answer of the kernel to one question.
package enum Probe: Hashable, Sendable {
    case works
    /// Not allowed to ask, or not possible here; the text says why.
    case unknown(String)
    /// The kernel's error.
    case fails(String)
}

/// What a machine offers for mirroring.
package struct MachineFacts: Sendable {
    package var kernelRelease = ""
    /// As Swift and the kernel name it: `x86_64`, `aarch64`.
    package var architecture = ""
    /// Of /proc/cpuinfo.
    package var cpuFlags: Set<String> = []
    package var isRoot = false
    /// Bits of the effective capabilities, linux/capability.h.
    package var capabilities: UInt64 = 0
    /// Loading a BPF program of two instructions.
    package var bpf = Probe.unknown("not asked")
    /// /proc/sys/net/core/bpf_jit_enable; nil where the kernel has none.
    package var bpfJIT: Int?
    package var hasBTF = false
    package var tcx = Probe.unknown("not asked")
    package var xdpSocket = Probe.unknown("not asked")
    package var hasBPFFS = false
    /// Soft limit of locked memory, bytes; nil for none.
    package var lockedMemory: UInt64?
    package var userExists = false
    package var groupExists = false
    package var dataplane = Dataplane.missing
    package var stateDirectory = StateDirectory()
    package var api = API.unusable(CommandError("not asked"))

    package init() {}

    package enum Dataplane: Hashable, Sendable {
        case missing
        case broken(path: String, reason: String)
        /// `capabilities`: the file carries capabilities of its own.
        case runs(path: String, capabilities: Bool)
    }

    package struct StateDirectory: Hashable, Sendable {
        package var path = ""
        package var exists = false
        package var isDirectory = false
        package var writable = false
        /// Permission bits.
        package var mode: UInt32 = 0
        /// Free bytes of its file system (of the nearest parent that exists).
        package var free: UInt64 = 0

        package init() {}
    }

    package enum API: Hashable, Sendable {
        /// No answer, or an answer that refuses, such as for the token.
        case unusable(CommandError)
        case answers(at: String, dataplaneConnected: Bool, reason: String)
    }

    /// The dataplane is at work already, whatever we may ask the kernel ourselves.
    package var isMirroring: Bool {
        if case .answers(_, true, _) = api { true } else { false }
    }
}
