// Questions that only the kernel can answer, asked so that nothing on the machine changes: a program is loaded and
// dropped again, and a link is asked for on an interface that cannot be there.

import Glibc

/// Probes of bpf(2), tcx and AF_XDP.
enum KernelProbe {
    /// glibc has no function for bpf(2), and Swift does not import variadic ones; `syscall` takes its words in
    /// registers like any other function on the architectures we know.
    private typealias SystemCall = @convention(c) (Int, Int, UnsafeMutableRawPointer?, Int, Int, Int) -> Int

    private static let systemCall: SystemCall? = dlsym(nil, "syscall").map { unsafeBitCast($0, to: SystemCall.self) }

    #if arch(x86_64)
    private static let bpfNumber: Int? = 321
    #elseif arch(arm64)
    private static let bpfNumber: Int? = 280
    #else
    private static let bpfNumber: Int? = nil
    #endif

    /// bpf(2): a file descriptor or 0, or the negative errno.
    private static func bpf(_ command: Int, _ attributes: UnsafeMutableRawBufferPointer) -> Int {
        guard let systemCall, let bpfNumber else { return -Int(ENOSYS) }
        let result = systemCall(bpfNumber, command, attributes.baseAddress, attributes.count, 0, 0)
        return result < 0 ? -Int(errno) : result
    }

    /// Loads `return TCX_NEXT` and asks for a tcx link with it.
    static func bpfAndTCX() -> (bpf: Probe, tcx: Probe) {
        let program = loadProgram()
        if program < 0 {
            let probe = outcome(Int32(-program))
            return (probe, .unknown("no BPF program to try it with"))
        }
        defer { close(Int32(program)) }
        return (.works, linkProbe(Int32(program)))
    }

    /// BPF_PROG_LOAD (5) of a BPF_PROG_TYPE_SCHED_CLS (3); linux/bpf.h, union bpf_attr.
    private static func loadProgram() -> Int {
        // r0 = -1 (BPF_ALU64 | BPF_MOV | BPF_K); exit (BPF_JMP | BPF_EXIT)
        let instructions: [UInt64] = [0xFFFF_FFFF_0000_00B7, 0x95]
        return instructions.withUnsafeBytes { instructions in
            "GPL".withCString { license in
                var attributes = [UInt64](repeating: 0, count: 6)
                attributes[0] = 3 | 2 << 32  // prog_type, insn_cnt
                attributes[1] = UInt64(UInt(bitPattern: instructions.baseAddress))
                attributes[2] = UInt64(UInt(bitPattern: license))
                return attributes.withUnsafeMutableBytes { bpf(5, $0) }
            }
        }
    }

    /// BPF_LINK_CREATE (28) at BPF_TCX_INGRESS (46) of an interface with the largest index there is: a kernel with
    /// tcx looks for the interface (ENODEV), one without refuses the attach type (EINVAL).
    private static func linkProbe(_ program: Int32) -> Probe {
        var attributes = [UInt32](repeating: 0, count: 12)
        attributes[0] = UInt32(program)
        attributes[1] = UInt32(Int32.max)
        attributes[2] = 46
        let result = attributes.withUnsafeMutableBytes { bpf(28, $0) }
        if result >= 0 { close(Int32(result)) }
        return result >= 0 || result == -Int(ENODEV) ? .works : outcome(Int32(-result))
    }

    /// socket(AF_XDP)
    static func xdpSocket() -> Probe {
        let descriptor = socket(44, Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        if descriptor < 0 { return outcome(errno) }
        close(descriptor)
        return .works
    }

    private static func outcome(_ code: Int32) -> Probe {
        let reason = String(cString: strerror(code))
        return code == EPERM || code == EACCES ? .unknown(reason) : .fails(reason)
    }

    /// Whether a file carries capabilities (getxattr of `security.capability`).
    static func hasCapabilities(_ path: String) -> Bool {
        typealias GetExtendedAttribute =
            @convention(c) (
                UnsafePointer<CChar>, UnsafePointer<CChar>, UnsafeMutableRawPointer?, Int
            ) -> Int
        guard let symbol = dlsym(nil, "getxattr") else { return false }
        return unsafeBitCast(symbol, to: GetExtendedAttribute.self)(path, "security.capability", nil, 0) > 0
    }
}
