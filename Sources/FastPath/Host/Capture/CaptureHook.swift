// One attachment of the capture program: a port's ingress or egress, at the head of tcx, or in clsact where the
// kernel has no tcx; the ingress of an `xdp` port in its driver's XDP hook. Before it: CaptureProgram.swift loads it. After it: frames.
//
// Nothing is pinned. A link lives by our descriptor, so the kernel takes it away when we die, whatever kills us;
// a clsact filter stays, and the next start sweeps it (Sweep.swift).

import CLibBPF
import CShims
import Glibc

/// Where a capture program sits in the kernel.
package enum CaptureHookKind: String {
    case tcx, clsact
    case xdp = "xdp-native"
}

/// A capture program on one direction of one interface; gone when it is let go.
package final class CaptureHook {
    package let kind: CaptureHookKind
    package let interface: Int32
    /// Where the interface is; nil for the dataplane's own.
    private let namespace: NetworkNamespace?
    private let ingress: Bool
    private var program: Descriptor
    package private(set) var programID: UInt32
    private let place: Clsact.Place
    private var link: Descriptor?
    private var patience = Patience()
    /// Whose program stands ahead of ours for now, and where, in words; nil for nobody's.
    package private(set) var rival: String?

    /// Attaches ahead of everybody else.
    ///
    /// - Parameters:
    ///   - program: a loaded capture program.
    ///   - ingress: the interface's own direction, not the port's.
    ///   - kind: nil to take tcx where the kernel has it; `xdp` is the ingress alone.
    ///   - namespace: where the interface is; nil for the dataplane's own.
    ///   - place: of ours in clsact.
    package init(
        _ program: Descriptor, interface: Int32, name: String, ingress: Bool, kind: CaptureHookKind? = nil,
        namespace: NetworkNamespace? = nil, place: Clsact.Place = .capture
    ) throws(HostError) {
        self.namespace = namespace
        self.program = program
        self.place = place
        self.interface = interface
        self.ingress = ingress
        programID = try Self.identifier(of: program)
        if kind == .xdp {
            link = try within(namespace) { () throws(HostError) in
                try XDPLink.attach(program.raw, interface, name)
            }
            self.kind = .xdp
            return
        }
        if kind != .clsact {
            do throws(HostError) {
                link = try within(namespace) { () throws(HostError) in
                    try Self.linkTCX(program, interface, name, ingress: ingress)
                }
                self.kind = .tcx
                return
            } catch  where kind == nil && Self.meansNoTCX(error.code) {}
        }
        try within(namespace) { () throws(HostError) in
            try Clsact.attach(program, interface, name, ingress: ingress, place)
        }
        self.kind = .clsact
    }

    deinit {
        guard kind == .clsact else { return }
        let (interface, ingress, place) = (interface, ingress, place)
        // Where the namespace has gone, so has the filter.
        try? within(namespace) { Clsact.detach(interface, ingress: ingress, place) }
    }

    /// Whether the program is still there, and first but for others of ours.
    package func isInPlace(behind ours: Set<UInt32> = []) -> Bool { position(behind: ours) == .first }

    /// Once a second: goes back to its place where somebody has taken it, or has taken the program out.
    ///
    /// - Parameters:
    ///   - ours: programs of ours that may stand ahead.
    ///   - name: of the interface.
    /// - Returns: whether it had to.
    /// - Throws: the place cannot be had any more.
    package func keepPlace(behind ours: Set<UInt32> = [], _ name: String) throws(HostError) -> Bool {
        rival = nil
        switch position(behind: ours) {
        case .first: return false
        case .behind(let other) where !patience.isOver():
            rival =
                "program \(BPFObject.describe(program: other)) stands ahead of ours at tcx "
                + "\(ingress ? "ingress" : "egress") of \(name), again and again: what it does not pass on is not copied"
            return false
        case .behind, .gone:
            try restore(name)
            return true
        }
    }

    private enum Position: Equatable {
        case first
        case behind(UInt32)
        case gone
    }

    private func position(behind ours: Set<UInt32>) -> Position {
        (try? within(namespace) { [self] in positionHere(behind: ours) }) ?? .gone
    }

    private func positionHere(behind ours: Set<UInt32>) -> Position {
        if kind == .clsact { return Clsact.programID(interface, ingress: ingress, place) == programID ? .first : .gone }
        if kind == .xdp { return link.map { XDPLink.isAttached($0, to: interface) } ?? false ? .first : .gone }
        var programs = [UInt32](repeating: 0, count: 64)
        var count = UInt32(programs.count)
        let type = bpf_attach_type(UInt32(ingress ? HS_TCX_INGRESS : HS_TCX_EGRESS))
        let result = bpf_prog_query(interface, type, 0, nil, &programs, &count)
        // ENOSPC: there are more than we have room for; the first ones are there all the same.
        guard result == 0 || result == -ENOSPC else { return .gone }
        let chain = programs.prefix(Int(min(count, 64))).filter { !ours.contains($0) }
        if !chain.contains(programID) { return .gone }
        return chain[0] == programID ? .first : .behind(chain[0])
    }

    /// Goes back to the head.
    package func restore(_ name: String) throws(HostError) {
        try within(namespace) { [self] () throws(HostError) in
            switch kind {
            case .clsact:
                Clsact.detach(interface, ingress: ingress, place)
                try Clsact.attach(program, interface, name, ingress: ingress, place)
            case .xdp:
                link = nil
                link = try XDPLink.attach(program.raw, interface, name)
            case .tcx: try goToHead(name)
            }
        }
    }

    /// Two of ours in one chain would make two copies, and to take one out takes as long as the kernel waits for its
    /// readers: so the old place has a program that does nothing until the new one is there.
    private func goToHead(_ name: String) throws(HostError) {
        // A link that was detached by force has no place any more.
        let isIdle = link.map(Self.makeIdle) ?? false
        if !isIdle { link = nil }
        do throws(HostError) {
            link = try Self.linkTCX(program, interface, name, ingress: ingress)
        } catch {
            if isIdle, let link { _ = bpf_link_update(link.raw, program.raw, nil) }
            throw error
        }
    }

    private static func makeIdle(_ link: Descriptor) -> Bool {
        let next = [
            bpf_insn(code: 0xb7, dst_reg: 0, src_reg: 0, off: 0, imm: -1),  // r0 = TCX_NEXT
            bpf_insn(code: 0x95, dst_reg: 0, src_reg: 0, off: 0, imm: 0),  // exit
        ]
        let raw = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "idle", "Dual BSD/GPL", next, next.count, nil)
        if raw < 0 { return false }
        let idle = Descriptor(raw)
        return withExtendedLifetime(idle) { bpf_link_update(link.raw, idle.raw, nil) == 0 }
    }

    /// Puts another program in the place of an `xdp` hook's, without a moment in which there is none.
    package func replace(_ next: Descriptor, _ name: String) throws(HostError) {
        guard kind == .xdp, let link else { throw HostError("\(name) has no XDP program of ours to replace") }
        let id = try Self.identifier(of: next)
        try check("cannot replace the XDP program of \(name)") { bpf_link_update(link.raw, next.raw, nil) }
        program = next
        programID = id
    }

    private static func linkTCX(
        _ program: Descriptor, _ interface: Int32, _ name: String, ingress: Bool
    ) throws(HostError) -> Descriptor {
        var options = bpf_link_create_opts()
        options.sz = optionsSize(to: \bpf_link_create_opts.flags)
        options.flags = UInt32(HS_BPF_F_BEFORE)
        let type = bpf_attach_type(UInt32(ingress ? HS_TCX_INGRESS : HS_TCX_EGRESS))
        return try Descriptor("cannot attach to tcx \(ingress ? "ingress" : "egress") of \(name)") {
            bpf_link_create(program.raw, interface, type, &options)
        }
    }

    /// Kernels before 6.6 do not know the attach type.
    private static func meansNoTCX(_ code: Int32) -> Bool { code == EINVAL || code == EOPNOTSUPP || code == ENOTSUP }

    private static func identifier(of program: Descriptor) throws(HostError) -> UInt32 {
        var info = bpf_prog_info()
        var length = UInt32(MemoryLayout<bpf_prog_info>.size)
        try check("cannot identify a BPF program") { bpf_obj_get_info_by_fd(program.raw, &info, &length) }
        return info.id
    }
}
