// steer.bpf.c on one `span` port: XDP in the driver hands every frame of a queue to that queue's AF_XDP socket.
// Before it: BPFObject.swift. After it: XSKSocket.swift.

import CLibBPF
import CShims

/// The steering program of one port; gone when it is let go, before the sockets are closed.
package final class SteerProgram {
    private let object: BPFObject
    private var link: Descriptor?
    private let sockets: Int32

    /// - Parameter ownTunnels: the map of the capture program: copies of ours are not taken in.
    package init(ownTunnels: Int32) throws(HostError) {
        let object = try BPFObject("steer", base64: steerObject)
        try check("cannot share the loop guard with the steering program") {
            bpf_map__reuse_fd(bpf_object__find_map_by_name(object.raw, "own_tunnels"), ownTunnels)
        }
        self.object = object
        try object.load("steer")
        sockets = try object.map("sockets")
    }

    /// Attaches in native mode only: the generic path would miss frames and cost more than it brings.
    package func attach(interface: Int32, name: String) throws(HostError) {
        let program = bpf_program__fd(try object.program("steer"))
        var options = bpf_link_create_opts()
        options.sz = optionsSize(to: \bpf_link_create_opts.flags)
        options.flags = UInt32(HS_XDP_FLAGS_DRV_MODE)
        link = try Descriptor("cannot attach XDP in native mode to \(name)") {
            bpf_link_create(program, interface, BPF_XDP, &options)
        }
    }

    /// From now on the frames of `queue` go into `socket`.
    package func steer(queue: Int, into socket: Descriptor) throws(HostError) {
        var key = UInt32(queue)
        var value = socket.raw
        try check("cannot steer queue \(queue) into a socket") { bpf_map_update_elem(sockets, &key, &value, 0) }
    }

    /// Gives the frames back to the host. Detach comes before the sockets are closed.
    package func detach() { link = nil }
}
