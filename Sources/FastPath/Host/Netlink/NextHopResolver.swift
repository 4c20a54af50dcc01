// From the remote of a tunnel to an interface, a source address, a MAC address and an MTU, by asking the kernel: its
// routing decision, then its neighbour table. We transmit behind the kernel's back, so we also keep its entry fresh.

import CShims
import Glibc
package import MirrorProgram

/// Resolves IPv4 remotes; asks the kernel to do what is still missing.
package struct NextHopResolver {
    private let socket: NetlinkSocket

    package init(_ socket: NetlinkSocket) { self.socket = socket }

    private struct Route {
        var interface: Int32
        var gateway: IPAddress?
        var source: IPAddress
        var mtu: Int?
    }

    /// The way to `remote` as it is now.
    ///
    /// An entry that is missing or stale is asked for in passing; a later call sees the answer.
    package func resolve(_ remote: IPAddress, _ links: LinkTable) throws(NextHopFailure) -> NextHop {
        if remote.isIPv6 { throw NextHopFailure(.noRoute, "\(remote) is an IPv6 address", isError: true) }
        let route = try self.route(to: remote)
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
            throw failure(.neighbourUnresolved, "\(neighbour) on \(link.name) does not answer ARP", false)
        }
        return NextHop(
            interface: link.index, source: route.source, sourceMAC: sourceMAC, mac: mac,
            mtu: min(route.mtu ?? link.mtu, link.mtu))
    }

    /// The kernel's routing decision (ip-rule and table included), as it would send a packet of ours.
    private func route(to remote: IPAddress) throws(NextHopFailure) -> Route {
        var header = rtmsg()
        header.rtm_family = UInt8(AF_INET)
        header.rtm_dst_len = 32
        var request = NetlinkRequest(type: Int(RTM_GETROUTE), flags: Int(NLM_F_ACK), header: header)
        request.append(Int(RTA_DST.rawValue), remote.octets)
        let answer: [NetlinkMessage]
        do {
            answer = try socket.ask(request, "cannot ask for the route to \(remote)")
        } catch {
            switch error.code {
            case ENETUNREACH: throw NextHopFailure(.noRoute, "no route to \(remote)")
            case EHOSTUNREACH: throw NextHopFailure(.noRoute, "the route to \(remote) is 'unreachable'")
            case EACCES: throw NextHopFailure(.noRoute, "the route to \(remote) is 'prohibit'")
            case EINVAL: throw NextHopFailure(.noRoute, "the route to \(remote) is 'blackhole', or not for unicast")
            default: throw NextHopFailure(.noRoute, error.description)
            }
        }
        guard let message = answer.first(where: { $0.type == Int(RTM_NEWROUTE) }) else {
            throw NextHopFailure(.noRoute, "the kernel names no route to \(remote)")
        }
        return try parse(message, remote)
    }

    private func parse(_ message: NetlinkMessage, _ remote: IPAddress) throws(NextHopFailure) -> Route {
        let attributes = message.attributes(after: MemoryLayout<rtmsg>.size)
        let type = Int(message.payload.number(at: 7, as: UInt8.self))
        switch type {
        case Int(RTN_UNICAST): break
        case Int(RTN_LOCAL):
            throw NextHopFailure(
                .noRoute,
                "\(remote) is an address of this host; name the monitor's interface as the destination instead",
                isError: true)
        case Int(RTN_BROADCAST), Int(RTN_MULTICAST):
            throw NextHopFailure(.noRoute, "\(remote) is a broadcast or multicast address here", isError: true)
        default: throw NextHopFailure(.noRoute, "the route to \(remote) discards packets (type \(type))")
        }
        if attributes[Int(RTA_ENCAP.rawValue)] != nil {
            throw NextHopFailure(
                .noRoute, "the route to \(remote) has an encapsulation of its own; use a plain one", isError: true)
        }
        if attributes[Int(RTA_VIA.rawValue)] != nil {
            throw NextHopFailure(
                .noRoute, "the route to \(remote) has an IPv6 gateway; use an IPv4 one", isError: true)
        }
        guard let interface = attributes[Int(RTA_OIF.rawValue)],
            let source = attributes[Int(RTA_PREFSRC.rawValue)].flatMap(address)
        else { throw NextHopFailure(.noRoute, "the route to \(remote) names no interface or source address") }
        let metrics = attributes[Int(RTA_METRICS.rawValue)].map(NetlinkMessage.attributes) ?? [:]
        return Route(
            interface: interface.number(at: 0, as: Int32.self),
            gateway: attributes[Int(RTA_GATEWAY.rawValue)].flatMap(address), source: source,
            mtu: metrics[Int(RTAX_MTU)].map { Int($0.number(at: 0, as: UInt32.self)) })
    }

    /// The neighbour's MAC address while its entry is usable.
    private func neighbourMAC(_ neighbour: IPAddress, on link: Link) throws(HostError) -> MACAddress? {
        var header = ndmsg()
        header.ndm_family = UInt8(AF_INET)
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
        header.ndm_family = UInt8(AF_INET)
        header.ndm_ifindex = link.index
        header.ndm_state = UInt16(NUD_NONE)
        header.ndm_flags = UInt8(NTF_USE)
        var request = NetlinkRequest(
            type: Int(RTM_NEWNEIGH), flags: Int(NLM_F_ACK) | Int(NLM_F_CREATE), header: header)
        request.append(Int(NDA_DST), neighbour.octets)
        _ = try socket.ask(request, "cannot ask the kernel to resolve \(neighbour) on \(link.name)")
    }

    private func address(_ bytes: ArraySlice<UInt8>) -> IPAddress? {
        IPAddress(octets: bytes)
    }
}
