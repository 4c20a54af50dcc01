// What stands on an interface's tcx hooks, as the kernel itself tells it, and a program of somebody else's ahead of all of
// them: the hands and the witness of promises about changes by hand. Beside Namespace.swift. By bpf(2) alone, since
// bpftool of Debian 12 does not know tcx; layouts are those of union bpf_attr in linux/bpf.h.

import CShims
import Glibc

/// The programs of one direction of one interface, first to last.
public struct TCXChain: Hashable, Sendable {
    /// The kernel's numbers of the programs.
    public var programs: [UInt32] = []
    /// The kernel's numbers of their links.
    public var links: [UInt32] = []
    /// Another one after every change, also after one that was undone.
    public var revision: UInt64 = 0
}

extension Namespace {
    /// Asks for the chain of an interface.
    public func tcx(of interface: String, ingress: Bool) throws -> TCXChain {
        try run {
            var programs = [UInt32](repeating: 0, count: 64)
            var links = programs
            return try programs.withUnsafeMutableBufferPointer { programs in
                try links.withUnsafeMutableBufferPointer { links in
                    // target_ifindex, attach_type; flags; prog_ids; count; prog_attach_flags; link_ids;
                    // link_attach_flags; revision.
                    var words = [UInt64](repeating: 0, count: 8)
                    words[0] = try TCX.target(interface, ingress: ingress)
                    words[2] = TCX.address(programs.baseAddress)
                    words[3] = UInt64(programs.count)
                    words[5] = TCX.address(links.baseAddress)
                    try TCX.call(.query, &words, "cannot ask for the programs on \(interface)")
                    let count = Int(UInt32(truncatingIfNeeded: words[3]))
                    return TCXChain(
                        programs: Array(programs.prefix(count)), links: Array(links.prefix(count)), revision: words[7])
                }
            }
        }
    }
}

/// A program of somebody else's, named `foreign`, at the head of an interface's tcx chain until it is let go.
public final class ForeignProgram: Sendable {
    /// What it says of every frame.
    public enum Verdict: Int32, Sendable {
        /// The next program decides (TCX_NEXT).
        case next = -1
        /// The frame goes on, and no program behind this one sees it (TCX_PASS).
        case pass = 0
    }

    private let link: Int32

    public init(in namespace: Namespace, interface: String, ingress: Bool, _ verdict: Verdict) throws {
        link = try namespace.run {
            let program = try TCX.load(verdict.rawValue)
            defer { close(program) }
            // prog_fd, target_ifindex; attach_type, flags; relative_fd; expected_revision.
            let target = try TCX.target(interface, ingress: ingress)
            var words: [UInt64] = [
                UInt64(program) | target << 32, target >> 32 | TCX.before << 32, 0, 0,
            ]
            return try TCX.call(.link, &words, "cannot put a program ahead of all others on \(interface)")
        }
    }

    deinit { close(link) }
}

/// The calls.
private enum TCX {
    enum Command: Int32 { case load = 5, query = 16, link = 28 }

    /// BPF_F_BEFORE
    static let before: UInt64 = 1 << 3

    /// An interface's index, and BPF_TCX_INGRESS or _EGRESS in the upper half.
    static func target(_ interface: String, ingress: Bool) throws -> UInt64 {
        let index = if_nametoindex(interface)
        guard index != 0 else { throw LabError("there is no interface '\(interface)'") }
        return UInt64(index) | (ingress ? 46 : 47) << 32
    }

    static func address<Element>(_ pointer: UnsafeMutablePointer<Element>?) -> UInt64 {
        UInt64(UInt(bitPattern: pointer))
    }

    @discardableResult
    static func call(_ command: Command, _ words: inout [UInt64], _ what: String) throws -> Int32 {
        let size = UInt32(words.count * 8)
        let result = words.withUnsafeMutableBytes { lab_bpf(command.rawValue, $0.baseAddress, size) }
        guard result >= 0 else { throw LabError(errno: what) }
        return result
    }

    /// `r0 = verdict; exit`.
    static func load(_ verdict: Int32) throws -> Int32 {
        var instructions: [UInt64] = [0xb7 | UInt64(UInt32(bitPattern: verdict)) << 32, 0x95]
        var license = Array("GPL\0".utf8)
        return try instructions.withUnsafeMutableBufferPointer { instructions in
            try license.withUnsafeMutableBufferPointer { license in
                // prog_type (BPF_PROG_TYPE_SCHED_CLS), insn_cnt; insns; license; log_level, log_size; log_buf;
                // kern_version, prog_flags; prog_name.
                var words = [UInt64](repeating: 0, count: 8)
                words[0] = 3 | UInt64(instructions.count) << 32
                words[1] = address(instructions.baseAddress)
                words[2] = address(license.baseAddress)
                withUnsafeMutableBytes(of: &words[6]) { $0.copyBytes(from: "foreign".utf8) }
                return try call(.load, &words, "cannot load a program")
            }
        }
    }
}
