// capture_xdp.bpf.c in the kernel: what an `xdp` port receives is copied by the driver's XDP hook, under the same
// entries and into the same rings. Before it: CaptureProgram.swift, whose maps it shares. After it: CaptureHook.swift.

import CLibBPF
package import CShims
import Glibc

/// The capture program as XDP, for one port.
package enum CaptureXDP {
    /// Loads the program of a hook, inside the namespace of its interface.
    static func load(sharing capture: CaptureProgram, for place: HookPlace) throws(HostError) -> Descriptor {
        try within(place.namespace) { () throws(HostError) in
            try load(
                sharing: capture, slot: place.point.slot, direction: hs_direction(UInt32(place.point.direction)),
                interface: place.interface)
        }
    }

    /// Loads the program for one capture point, bound to its interface where the driver then tells tags (Linux 6.8).
    ///
    /// - Parameter slot: 0 ..< HS_SLOTS.
    package static func load(
        sharing capture: CaptureProgram, slot: Int, direction: hs_direction, interface: Int32
    ) throws(HostError) -> Descriptor {
        let bound = try? load("capture_xdp_tag", capture_xdp_tagObject, capture, slot, direction, interface)
        if let bound { return bound }
        return try load("capture_xdp", capture_xdpObject, capture, slot, direction, nil)
    }

    private static func load(
        _ name: String, _ base64: String, _ capture: CaptureProgram, _ slot: Int, _ direction: hs_direction,
        _ interface: Int32?
    ) throws(HostError) -> Descriptor {
        let object = try BPFObject(name, base64: base64)
        let shared = [
            ("program", capture.programMap), ("rings", capture.ringsMap), ("doorbells", capture.doorbellsMap),
            ("need_wakeup", capture.needWakeupMap), ("own_tunnels", capture.ownTunnelsMap),
        ]
        for (name, map) in shared {
            try check("cannot share the map '\(name)' with the XDP program") {
                bpf_map__reuse_fd(bpf_object__find_map_by_name(object.raw, name), map)
            }
        }
        try CaptureConstants.set(
            slot: slot, direction: direction, ringSize: capture.ringSize, in: object)
        let program = try object.program("capture")
        if let interface {
            bpf_program__set_ifindex(program, UInt32(interface))
            bpf_program__set_flags(program, UInt32(HS_BPF_F_XDP_DEV_BOUND_ONLY))
        }
        try object.load(name)
        return try Descriptor("cannot keep the XDP program of slot \(slot)") {
            fcntl(bpf_program__fd(program), F_DUPFD_CLOEXEC, 0)
        }
    }
}
