// capture_xdp.bpf.c in the kernel: what an `xdp` port receives is copied by the driver's XDP hook, under the same
// entries and into the same rings. Before it: CaptureProgram.swift, whose maps it shares. After it: CaptureHook.swift.

import CLibBPF
package import CShims

/// The capture program as XDP; loaded when the first port asks for it.
package final class CaptureXDP {
    private let object: BPFObject
    private let instructions: [bpf_insn]
    private let constants: CaptureConstants

    package init(sharing capture: CaptureProgram) throws(HostError) {
        let object = try BPFObject("capture_xdp", base64: capture_xdpObject)
        let shared = [
            ("program", capture.programMap), ("rings", capture.ringsMap), ("need_wakeup", capture.needWakeupMap),
            ("own_tunnels", capture.ownTunnelsMap),
        ]
        for (name, map) in shared {
            try check("cannot share the map '\(name)' with the XDP program") {
                bpf_map__reuse_fd(bpf_object__find_map_by_name(object.raw, name), map)
            }
        }
        try object.load("capture_xdp")
        instructions = try object.instructions("capture")
        constants = try CaptureConstants(object)
        self.object = object
    }

    /// Loads the program for one capture point.
    ///
    /// - Parameter slot: 0 ..< HS_SLOTS.
    package func load(slot: Int, direction: hs_direction) throws(HostError) -> Descriptor {
        let (instructions, values) = try constants.set(slot: slot, direction: direction, in: instructions)
        var options = bpf_prog_load_opts()
        options.sz = optionsSize(to: \bpf_prog_load_opts.prog_flags)
        options.expected_attach_type = BPF_XDP
        options.prog_flags = UInt32(HS_BPF_F_XDP_HAS_FRAGS)
        return try withExtendedLifetime(values) { () throws(HostError) in
            try Descriptor("the kernel does not take the XDP program of slot \(slot)") {
                bpf_prog_load(BPF_PROG_TYPE_XDP, "capture", "Dual BSD/GPL", instructions, instructions.count, &options)
            }
        }
    }
}
