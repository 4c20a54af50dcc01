// inline.bpf.c on the two ports of a pair: loaded for each pair anew, put into the pinned links of the run before or
// attached and pinned. Before it: BPFObject.swift. After it: frames go from port to port, in the kernel as long as no
// worker writes the heartbeat.

import CLibBPF
import CShims
import Glibc

/// The programs of one pair; the links keep them in the kernel when this is gone.
package final class InlineProgram {
    private let object: BPFObject
    private let sockets, counts: Int32
    /// 64-bit word that the worker writes, ns of CLOCK_MONOTONIC.
    package let heartbeat: UnsafeMutableRawPointer
    private let possibleCPUs: Int

    /// - Parameters:
    ///   - ownTunnels: the map of the capture program: copies of ours go from port to port unseen.
    ///   - interfaces: the first and the second port.
    package init(ownTunnels: Int32, interfaces: [Int32]) throws(HostError) {
        let object = try BPFObject("inline", base64: inlineObject)
        try check("cannot share the loop guard with the inline program") {
            bpf_map__reuse_fd(bpf_object__find_map_by_name(object.raw, "own_tunnels"), ownTunnels)
        }
        try object.load("inline")
        self.object = object
        sockets = try object.map("sockets")
        counts = try object.map("bypassed")
        possibleCPUs = Int(libbpf_num_possible_cpus())
        let wire = try object.map("wire")
        for side in 0..<2 {
            var key = UInt32(side)
            var value = UInt32(interfaces[1 - side])
            try check("cannot connect interfaces \(interfaces[side]) and \(value)") {
                bpf_map_update_elem(wire, &key, &value, 0)
            }
        }
        heartbeat = try mapPages("a heartbeat", pageSize, PROT_READ | PROT_WRITE, try object.map("heartbeat"), 0)
    }

    deinit { munmap(heartbeat, pageSize) }

    private func program(_ side: Int) throws(HostError) -> Int32 {
        bpf_program__fd(try object.program(side == 0 ? "inline_first" : "inline_second"))
    }

    /// Attaches in native mode, where nobody else's program is.
    package func attach(side: Int, _ interface: Int32, _ name: String) throws(HostError) -> Descriptor {
        try XDPLink.attach(try program(side), interface, name)
    }

    /// Takes the place of the program that `link` holds, without a frame between the two.
    package func replace(side: Int, in link: Descriptor, _ name: String) throws(HostError) {
        let program = try program(side)
        let result = bpf_link_update(link.raw, program, nil)
        if result != 0 { throw .system("cannot replace the inline program on \(name)", -result) }
    }

    /// From now on the frames of a queue go into `socket` while the heartbeat is fresh.
    package func steer(side: Int, queue: Int, into socket: Descriptor) throws(HostError) {
        var key = UInt32(side * Int(HS_INLINE_QUEUES) + queue)
        var value = socket.raw
        try check("cannot steer queue \(queue) into a socket") { bpf_map_update_elem(sockets, &key, &value, 0) }
    }

    /// From now on the kernel carries the frames of a queue.
    package func release(side: Int, queue: Int) {
        var key = UInt32(side * Int(HS_INLINE_QUEUES) + queue)
        _ = bpf_map_delete_elem(sockets, &key)
    }

    /// Frames of one side that the kernel has carried.
    package func bypassed(side: Int) -> UInt64 {
        var values = [UInt64](repeating: 0, count: possibleCPUs)
        var key = UInt32(side)
        return bpf_map_lookup_elem(counts, &key, &values) == 0 ? values.reduce(0, &+) : 0
    }
}
