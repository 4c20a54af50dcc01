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
    private let ingress: Bool
    private var program: Descriptor
    package private(set) var programID: UInt32
    private let place: Clsact.Place
    private var link: Descriptor?

    /// Attaches ahead of everybody else.
    ///
    /// - Parameters:
    ///   - program: a loaded capture program.
    ///   - ingress: the interface's own direction, not the port's.
    ///   - kind: nil to take tcx where the kernel has it; `xdp` is the ingress alone.
    ///   - place: of ours in clsact.
    package init(
        _ program: Descriptor, interface: Int32, name: String, ingress: Bool, kind: CaptureHookKind? = nil,
        place: Clsact.Place = .capture
    ) throws(HostError) {
        self.program = program
        self.place = place
        self.interface = interface
        self.ingress = ingress
        programID = try Self.identifier(of: program)
        if kind == .xdp {
            link = try XDPLink.attach(program.raw, interface, name)
            self.kind = .xdp
            return
        }
        if kind != .clsact {
            do throws(HostError) {
                link = try Self.linkTCX(program, interface, name, ingress: ingress)
                self.kind = .tcx
                return
            } catch  where kind == nil && Self.meansNoTCX(error.code) {}
        }
        try Clsact.attach(program, interface, name, ingress: ingress, place)
        self.kind = .clsact
    }

    deinit {
        if kind == .clsact { Clsact.detach(interface, ingress: ingress, place) }
    }

    /// Whether the program is still there, and first but for others of ours.
    package func isInPlace(behind ours: Set<UInt32> = []) -> Bool {
        if kind == .clsact { return Clsact.programID(interface, ingress: ingress, place) == programID }
        if kind == .xdp { return link.map { XDPLink.isAttached($0, to: interface) } ?? false }
        var programs = [UInt32](repeating: 0, count: 64)
        var count = UInt32(programs.count)
        let type = bpf_attach_type(UInt32(ingress ? HS_TCX_INGRESS : HS_TCX_EGRESS))
        let result = bpf_prog_query(interface, type, 0, nil, &programs, &count)
        // ENOSPC: there are more than we have room for; the first ones are there all the same.
        guard result == 0 || result == -ENOSPC else { return false }
        return programs.prefix(Int(min(count, 64))).first { !ours.contains($0) } == programID
    }

    /// Goes back to the head. Our old place is left first: two of ours in one chain would make two copies.
    package func restore(_ name: String) throws(HostError) {
        if kind == .clsact {
            Clsact.detach(interface, ingress: ingress, place)
            try Clsact.attach(program, interface, name, ingress: ingress, place)
        } else if kind == .xdp {
            link = nil
            link = try XDPLink.attach(program.raw, interface, name)
        } else {
            link = nil
            link = try Self.linkTCX(program, interface, name, ingress: ingress)
        }
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
