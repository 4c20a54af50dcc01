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

    /// Attaches in native mode, where nobody else's program is.
    package func attach(interface: Int32, name: String) throws(HostError) {
        link = nil
        link = try XDPLink.attach(bpf_program__fd(try object.program("steer")), interface, name)
    }

    /// Nobody has detached it by force.
    func isInPlace(on interface: Int32) -> Bool { link.map { XDPLink.isAttached($0, to: interface) } ?? false }

    /// From now on the frames of `queue` go into `socket`.
    package func steer(queue: Int, into socket: Descriptor) throws(HostError) {
        var key = UInt32(queue)
        var value = socket.raw
        try check("cannot steer queue \(queue) into a socket") { bpf_map_update_elem(sockets, &key, &value, 0) }
    }

    /// Gives the frames back to the host. Detach comes before the sockets are closed.
    package func detach() { link = nil }
}
