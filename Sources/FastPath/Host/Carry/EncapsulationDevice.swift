// hs-encap: a veth of ours whose egress is encapsulate.bpf.c. Whatever is sent into it leaves through an uplink behind an
// outer header; nothing reaches its other end. Before it: clones of the capture programs, and super-frames of the worker.
// After it: an uplink's queueing discipline.
//
// The program's link is ours alone, so a device without a program is what an ended dataplane has left (`sweep`).

import CLibBPF
import CShims
import Glibc

/// The device, its program, and a packet socket on it; all gone when it is let go.
final class EncapsulationDevice {
    let index: Int32
    let name: String
    /// Takes frames behind a virtio-net header, with a mark of carry.h.
    let socket: Descriptor
    private let object: BPFObject
    private let hook: CaptureHook
    private let realTimeMap: Int32

    private static let prefix = "hs-encap"
    private static let most = 10

    /// - Parameter kind: clsact where tcx is there too.
    init(_ capture: CaptureProgram, kind: CaptureHookKind?) throws(HostError) {
        object = try BPFObject("encapsulate", base64: encapsulateObject)
        let routes = bpf_object__find_map_by_name(object.raw, "routes")
        try check("cannot share the routes with the program 'encapsulate'") {
            bpf_map__reuse_fd(routes, capture.routesMap)
        }
        try object.load("encapsulate")
        realTimeMap = try object.map("real_time")
        let loaded = bpf_program__fd(try object.program("encapsulate"))
        let program = try Descriptor("cannot keep the program 'encapsulate'") { fcntl(loaded, F_DUPFD_CLOEXEC, 0) }
        let netlink = try NetlinkSocket()
        name = try Self.make(netlink)
        do throws(HostError) {
            index = Int32(if_nametoindex(name))
            if index == 0 { throw .system("cannot find the device \(name)") }
            hook = try CaptureHook(program, interface: index, name: name, ingress: false, kind: kind)
            socket = try OffloadSocket.open(index, name)
        } catch {
            Self.remove(name, netlink)
            throw error
        }
    }

    deinit {
        // Another one may have the name by now.
        if let netlink = try? NetlinkSocket() { Self.remove(index, netlink) }
    }

    /// Whose program stands ahead of ours, in words.
    var rival: String? { hook.rival }

    /// Once a second: puts right what somebody has changed about it.
    ///
    /// - Parameter link: as the kernel tells of it; nil as long as it does not.
    /// - Returns: what that was, in words.
    /// - Throws: it cannot be put right.
    func keep(_ link: Link?) throws(HostError) -> [String] {
        var changes = try hook.keepPlace(name) ? ["its program was not in its place"] : []
        guard let link, !link.isUp || link.mtu != Int(Self.mtu) else { return changes }
        changes.append(link.isUp ? "its MTU was \(link.mtu)" : "it was down")
        try Self.setUp(index, name, try NetlinkSocket())
        return changes
    }

    /// Says what has to be added to CLOCK_MONOTONIC, in ns, to have ns since 1970-01-01 UTC.
    func setRealTime(offset: UInt64) {
        var key: UInt32 = 0
        var value = offset
        _ = bpf_map_update_elem(realTimeMap, &key, &value, 0)
    }

    /// Removes devices that an ended dataplane has left.
    static func sweep(_ links: LinkTable) -> [String] {
        let left = links.byIndex.values.filter { link in
            link.kind == "veth" && link.name.hasPrefix(prefix) && !link.name.hasSuffix(end) && !hasProgram(link.index)
        }
        guard !left.isEmpty, let netlink = try? NetlinkSocket() else { return [] }
        for link in left { remove(link.index, netlink) }
        return left.map(\.name).sorted()
    }

    private static func hasProgram(_ interface: Int32) -> Bool {
        if Clsact.programID(interface, ingress: false, .capture) != nil { return true }
        var count: UInt32 = 0
        let type = bpf_attach_type(UInt32(HS_TCX_EGRESS))
        return bpf_prog_query(interface, type, 0, nil, nil, &count) == 0 && count > 0
    }

    // MARK: The veth

    private static let end = "-end"

    /// - Returns: its name, the first that is free: another dataplane may have one in the same namespace.
    private static func make(_ netlink: NetlinkSocket) throws(HostError) -> String {
        for number in 0..<most {
            let name = number == 0 ? prefix : "\(prefix)\(number)"
            do throws(HostError) {
                try make(name, netlink)
                return name
            } catch  where error.code == EEXIST {}
        }
        throw HostError("\(most) devices \(prefix)… are there already; remove what nobody uses")
    }

    /// The largest MTU, both ends up, without IPv6 addresses where the kernel has IPv6.
    private static func make(_ name: String, _ netlink: NetlinkSocket) throws(HostError) {
        let peer = withUnsafeBytes(of: ifinfomsg()) { Array($0) } + settings("\(name)\(end)")
        let info =
            NetlinkRequest.attribute(Int(IFLA_INFO_KIND), Array("veth".utf8))
            + NetlinkRequest.attribute(Int(IFLA_INFO_DATA), NetlinkRequest.attribute(Int(HS_VETH_INFO_PEER), peer))
        var request = NetlinkRequest(
            type: Int(RTM_NEWLINK), flags: Int(NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK), header: ifinfomsg())
        request.append(attributes: settings(name))
        request.append(Int(IFLA_LINKINFO), info)
        _ = try netlink.ask(request, "cannot make the device \(name)")
        do throws(HostError) {
            // An end cannot be up before there are two.
            for name in [name, "\(name)\(end)"] { try setUp(Int32(if_nametoindex(name)), name, netlink) }
        } catch {
            remove(name, netlink)
            throw error
        }
    }

    private static let mtu: UInt32 = 65535

    private static func settings(_ name: String) -> [UInt8] {
        NetlinkRequest.attribute(Int(IFLA_IFNAME), Array(name.utf8) + [0]) + largestMTU
    }

    private static var largestMTU: [UInt8] {
        NetlinkRequest.attribute(Int(IFLA_MTU), withUnsafeBytes(of: mtu) { Array($0) })
    }

    private static func setUp(_ index: Int32, _ name: String, _ netlink: NetlinkSocket) throws(HostError) {
        var header = ifinfomsg()
        header.ifi_index = index
        let mode = NetlinkRequest.attribute(Int(IFLA_INET6_ADDR_GEN_MODE), [UInt8(IN6_ADDR_GEN_MODE_NONE.rawValue)])
        var quiet = NetlinkRequest(type: Int(RTM_NEWLINK), flags: Int(NLM_F_ACK), header: header)
        quiet.append(Int(IFLA_AF_SPEC), NetlinkRequest.attribute(Int(AF_INET6), mode))
        // Refused where there is no IPv6, and no address to be made then.
        _ = try? netlink.ask(quiet, "")
        header.ifi_flags = UInt32(HS_IFF_UP | HS_IFF_NOARP)
        header.ifi_change = header.ifi_flags
        var up = NetlinkRequest(type: Int(RTM_NEWLINK), flags: Int(NLM_F_ACK), header: header)
        up.append(attributes: largestMTU)
        _ = try netlink.ask(up, "cannot bring \(name) up")
    }

    private static func remove(_ name: String, _ netlink: NetlinkSocket) {
        remove(Int32(if_nametoindex(name)), netlink)
    }

    private static func remove(_ index: Int32, _ netlink: NetlinkSocket) {
        if index == 0 { return }
        var header = ifinfomsg()
        header.ifi_index = index
        let request = NetlinkRequest(type: Int(RTM_DELLINK), flags: Int(NLM_F_ACK), header: header)
        _ = try? netlink.ask(request, "cannot remove interface \(index)")
    }
}
