// The capture and deliver programs as direct-action filters of the clsact qdisc (linux/pkt_cls.h), for kernels without tcx: first
// by priority, and recognisable by its handle.

import CLibBPF
import CShims
import Glibc

/// Filters of ours in clsact.
package enum Clsact {
    /// What tells our filters from others', also after a restart, and their order.
    package enum Place: CaseIterable {
        case capture, deliver

        /// "HSC1", "HSD1".
        var handle: UInt32 { self == .capture ? 0x4853_4331 : 0x4853_4431 }
        var priority: UInt32 { self == .capture ? 1 : 2 }
        /// What the kernel calls the program.
        var programName: String { self == .capture ? "capture" : "deliver" }
    }

    static func attach(
        _ program: Descriptor, _ interface: Int32, _ name: String, ingress: Bool, _ place: Place
    ) throws(HostError) {
        var hook = hook(interface, ingress: ingress)
        let made = bpf_tc_hook_create(&hook)
        if made != 0, made != -EEXIST { throw .system("cannot add the clsact qdisc to \(name)", -made) }
        var options = options(place)
        options.prog_fd = program.raw
        options.flags = BPF_TC_F_REPLACE.rawValue
        let result = bpf_tc_attach(&hook, &options)
        if result != 0 {
            throw .system("cannot attach to clsact \(ingress ? "ingress" : "egress") of \(name)", -result)
        }
    }

    /// The qdisc stays: somebody else may have put filters into it since, and an empty one does nothing.
    static func detach(_ interface: Int32, ingress: Bool, _ place: Place) {
        var hook = hook(interface, ingress: ingress)
        var options = options(place)
        _ = bpf_tc_detach(&hook, &options)
    }

    /// Identifier of the program in our place, or nil.
    static func programID(_ interface: Int32, ingress: Bool, _ place: Place) -> UInt32? {
        var hook = hook(interface, ingress: ingress)
        var options = options(place)
        return bpf_tc_query(&hook, &options) == 0 ? options.prog_id : nil
    }

    private static func hook(_ interface: Int32, ingress: Bool) -> bpf_tc_hook {
        var hook = bpf_tc_hook()
        hook.sz = optionsSize(to: \bpf_tc_hook.parent)
        hook.ifindex = interface
        hook.attach_point = ingress ? BPF_TC_INGRESS : BPF_TC_EGRESS
        return hook
    }

    private static func options(_ place: Place) -> bpf_tc_opts {
        var options = bpf_tc_opts()
        options.sz = optionsSize(to: \bpf_tc_opts.priority)
        options.handle = place.handle
        options.priority = place.priority
        return options
    }
}
