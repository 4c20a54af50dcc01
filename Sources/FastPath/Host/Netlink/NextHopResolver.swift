// From the remote of a tunnel to an interface, a source address, a MAC address and an MTU, by asking the kernel: its
// routing decision (RouteQuery.swift), then its neighbour table. We transmit behind the kernel's back, so we also keep
// its entry fresh. After it: DestinationRoute.swift.

import CShims
import Glibc
package import MirrorProgram

/// Resolves remotes of both IP versions; asks the kernel to do what is still missing.
package struct NextHopResolver {
    private let socket: NetlinkSocket

    package init(_ socket: NetlinkSocket) { self.socket = socket }

    package func resolve(_ remote: IPAddress, _ links: LinkTable) throws(NextHopFailure) -> NextHop {
        try resolve(Way(to: remote), links)
    }

    /// The way as it is now.
    ///
    /// An entry that is missing or stale is asked for in passing; a later call sees the answer.
    package func resolve(_ way: Way, _ links: LinkTable) throws(NextHopFailure) -> NextHop {
        let remote = way.remote
        let route = try Route(way, socket)
        guard let link = links[route.interface] else {
            throw NextHopFailure(.uplinkDown, "interface \(route.interface) toward \(remote) is not there")
        }
        let failure = { (drop: DropReason, reason: String, isError: Bool) in
            NextHopFailure(drop, reason, interface: link.index, source: route.source, isError: isError)
        }
        guard link.isEthernet, let sourceMAC = link.mac else {
            throw failure(
                .uplinkDown, "\(link.name) toward \(remote) is not an Ethernet interface; route the remote through one",
                true)
        }
        if !link.isUp { throw failure(.uplinkDown, "\(link.name) toward \(remote) is down", false) }
        if !link.hasCarrier { throw failure(.uplinkDown, "\(link.name) toward \(remote) has no carrier", false) }
        let neighbour = route.gateway ?? remote
        guard let mac = try? neighbourMAC(neighbour, on: link) else {
            let question = neighbour.isIPv6 ? "neighbour solicitations" : "ARP"
            throw failure(.neighbourUnresolved, "\(neighbour) on \(link.name) does not answer \(question)", false)
        }
        return NextHop(
            interface: link.index, source: route.source, sourceMAC: sourceMAC, mac: mac,
            mtu: min(route.mtu ?? link.mtu, link.mtu))
    }

    /// The neighbour's MAC address while its entry is usable.
    private func neighbourMAC(_ neighbour: IPAddress, on link: Link) throws(HostError) -> MACAddress? {
        var header = ndmsg()
        header.ndm_family = neighbour.family
        header.ndm_ifindex = link.index
        var request = NetlinkRequest(type: Int(RTM_GETNEIGH), flags: Int(NLM_F_ACK), header: header)
        request.append(Int(NDA_DST), neighbour.octets)
        let answer = try? socket.ask(request, "cannot ask for neighbour \(neighbour)")
        guard let entry = answer?.first(where: { $0.type == Int(RTM_NEWNEIGH) }) else {
            try use(neighbour, on: link)
            return nil
        }
        let state = Int32(entry.payload.number(at: 8, as: UInt16.self))
        let fresh = NUD_REACHABLE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP
        if state & fresh == 0 { try use(neighbour, on: link) }
        guard state & (fresh | NUD_STALE) != 0,
            let octets = entry.attributes(after: MemoryLayout<ndmsg>.size)[Int(NDA_LLADDR)]
        else { return nil }
        return MACAddress(octets: octets)
    }

    /// Does to the entry what a packet of the kernel's own would: resolve it, or probe it when it is stale.
    private func use(_ neighbour: IPAddress, on link: Link) throws(HostError) {
        var header = ndmsg()
        header.ndm_family = neighbour.family
        header.ndm_ifindex = link.index
        header.ndm_state = UInt16(NUD_NONE)
        header.ndm_flags = UInt8(NTF_USE)
        var request = NetlinkRequest(
            type: Int(RTM_NEWNEIGH), flags: Int(NLM_F_ACK) | Int(NLM_F_CREATE), header: header)
        request.append(Int(NDA_DST), neighbour.octets)
        _ = try socket.ask(request, "cannot ask the kernel to resolve \(neighbour) on \(link.name)")
    }
}
