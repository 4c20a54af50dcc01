// live.bpf.c for one uplink of one worker. Before it: BPFObject.swift. After it: FastPath's LiveExit, by which the worker runs it.
//
// The kernel calls XDP programs through a dispatcher that knows those which are attached somewhere. One that is run without
// is put there and taken away again each time, and the run waits some 24 ms for that (kernel/bpf/dispatcher.c). So this one is
// attached to the loopback of a network namespace of its own, where no frame ever is.

import CLibBPF
import CShims
import FastPath
import Glibc

/// The program, its queue and its namespace; all gone when it is let go.
final class LiveProgram {
    let exit: UnsafeMutablePointer<LiveExit>
    private let object: BPFObject
    private let queue: UnsafeMutableRawPointer
    private let place: (namespace: Descriptor, link: Descriptor)

    private static let length = (Int(hs_live_size()) + pageSize - 1) / pageSize * pageSize

    /// - Throws: also where the interface takes no XDP frames, with what would help.
    init(toward link: Link) throws(HostError) {
        if let obstacle = try Self.obstacle(toward: link) { throw HostError(obstacle) }
        object = try BPFObject("live", base64: liveObject)
        try object.load("live")
        var key: UInt32 = 0
        var index = UInt32(link.index)
        let uplinks = try object.map("uplink")
        try check("cannot redirect to \(link.name)") { bpf_map_update_elem(uplinks, &key, &index, 0) }
        let program = bpf_program__fd(try object.program("live"))
        place = try Background { () throws(HostError) in try Self.attachApart(program) }.wait()
        queue = try mapPages(
            "the queue of XDP frames", Self.length, PROT_READ | PROT_WRITE, try object.map("queues"), 0)
        exit = .allocate(capacity: 1)
        exit.initialize(to: LiveExit(program: program, queue: queue))
    }

    deinit {
        exit.deinitialize(count: 1)
        exit.deallocate()
        munmap(queue, Self.length)
    }

    /// Why the interface as it is set now takes no XDP frames, and what would help; nil where it takes them.
    private static func obstacle(toward link: Link) throws(HostError) -> String? {
        if try XDPFeatures.of(link.index, link.name).contains(.transmits) { return nil }
        if link.kind != "veth" { return "its driver sends none, or none as it is set" }
        return "its other end does not receive by NAPI; 'ethtool -K PEER gro on' there makes it"
    }

    /// Whether it takes them now; nil where it cannot be told.
    static func isPossible(toward link: Link) -> Bool? {
        do throws(HostError) { return try obstacle(toward: link) == nil } catch { return nil }
    }

    /// On a thread that ends afterwards.
    private static func attachApart(_ program: Int32) throws(HostError) -> (namespace: Descriptor, link: Descriptor) {
        if unshare(Int32(HS_CLONE_NEWNET)) != 0 {
            let isDenied = errno == EPERM
            let error = HostError.system("cannot make a network namespace for them")
            throw isDenied ? HostError("\(error): they take CAP_SYS_ADMIN", code: error.code) : error
        }
        let namespace = try Descriptor("cannot open a network namespace") {
            open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
        }
        var options = bpf_link_create_opts()
        options.sz = optionsSize(to: \bpf_link_create_opts.flags)
        options.flags = UInt32(HS_XDP_FLAGS_SKB_MODE)
        let link = try Descriptor("cannot attach XDP to a loopback") {
            bpf_link_create(program, loopback, BPF_XDP, &options)
        }
        return (namespace, link)
    }

    /// Index of the loopback in every namespace (net/core/dev.c).
    private static var loopback: Int32 { 1 }
}
