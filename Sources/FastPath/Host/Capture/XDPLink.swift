// An XDP program on an interface: in the driver, by a link that ends with us, and never in somebody else's place.
// Before it: SteerProgram.swift and CaptureHook.swift. After it: frames, before there is an sk_buff.

import CLibBPF
import CShims
import Glibc

enum XDPLink {
    /// Attaches in native mode only: the generic path would miss frames and cost more than it brings.
    ///
    /// - Throws: also where the interface has an XDP program already, with its id and, where we may ask, its name.
    static func attach(_ program: Int32, _ interface: Int32, _ name: String) throws(HostError) -> Descriptor {
        if let id = programID(interface) {
            throw HostError(
                "\(name) has an XDP program already, \(BPFObject.describe(program: id)); it is not ours to replace: detach it first",
                code: EBUSY)
        }
        var options = bpf_link_create_opts()
        options.sz = optionsSize(to: \bpf_link_create_opts.flags)
        options.flags = UInt32(HS_XDP_FLAGS_DRV_MODE)
        do throws(HostError) {
            return try Descriptor("cannot attach XDP in native mode to \(name)") {
                bpf_link_create(program, interface, BPF_XDP, &options)
            }
        } catch {
            switch error.code {
            case EOPNOTSUPP:
                throw HostError(
                    "\(name) takes no native XDP program: its driver has none, or none for this MTU", code: error.code)
            // What drivers answer where a frame would not fit into their buffers.
            case EINVAL, ERANGE, E2BIG: throw HostError("\(error); a lower MTU may do", code: error.code)
            default: throw error
            }
        }
    }

    /// Whether the link still holds its place: whoever may can detach it by force.
    static func isAttached(_ link: Descriptor, to interface: Int32) -> Bool {
        var info = bpf_link_info()
        var length = UInt32(MemoryLayout<bpf_link_info>.size)
        return bpf_obj_get_info_by_fd(link.raw, &info, &length) == 0 && info.xdp.ifindex == UInt32(interface)
    }

    /// Of any mode.
    private static func programID(_ interface: Int32) -> UInt32? {
        var options = bpf_xdp_query_opts()
        options.sz = optionsSize(to: \bpf_xdp_query_opts.attach_mode)
        guard bpf_xdp_query(interface, 0, &options) == 0 else { return nil }
        return [options.prog_id, options.drv_prog_id, options.skb_prog_id, options.hw_prog_id].first { $0 != 0 }
    }
}
