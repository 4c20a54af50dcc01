// The kernel's routing decision for one way (RTM_GETROUTE), as it would send a packet of ours: rules, tables, source
// address and path MTU included. Before it: NetlinkSocket. After it: NextHopResolver.

import CShims
import Glibc
import MirrorProgram

/// What the kernel has decided.
struct Route {
    var interface: Int32
    /// Nil where the remote is on the link. It may be of the other IP version (RFC 5549), or link-local.
    var gateway: IPAddress?
    var source: IPAddress
    var mtu: Int?

    init(_ way: Way, _ socket: NetlinkSocket) throws(NextHopFailure) {
        if let source = way.source { try Self.requireLocal(source, socket) }
        let message = try Self.ask(way.remote, from: way.source, socket)
        let attributes = message.attributes(after: MemoryLayout<rtmsg>.size)
        try Self.refuse(message, attributes, way.remote)
        let preferred = attributes[Int(RTA_PREFSRC.rawValue)].flatMap { IPAddress(octets: $0) }
        guard let interface = attributes[Int(RTA_OIF.rawValue)], let source = way.source ?? preferred else {
            throw NextHopFailure(
                .noRoute,
                "the route to \(way.remote) names no interface, or this host has no address on it to send from")
        }
        let metrics = attributes[Int(RTA_METRICS.rawValue)].map(NetlinkMessage.attributes) ?? [:]
        self.interface = interface.number(at: 0, as: Int32.self)
        self.source = source
        gateway = attributes[Int(RTA_GATEWAY.rawValue)].flatMap { IPAddress(octets: $0) }
        // struct rtvia: the address behind its 16-bit family.
        if let via = attributes[Int(RTA_VIA.rawValue)] { gateway = IPAddress(octets: via.dropFirst(2)) }
        mtu = metrics[Int(RTAX_MTU)].map { Int($0.number(at: 0, as: UInt32.self)) }
    }

    private static func ask(
        _ remote: IPAddress, from source: IPAddress? = nil, _ socket: NetlinkSocket
    ) throws(NextHopFailure) -> NetlinkMessage {
        var header = rtmsg()
        header.rtm_family = remote.family
        header.rtm_dst_len = UInt8(remote.octets.count * 8)
        header.rtm_src_len = source.map { UInt8($0.octets.count * 8) } ?? 0
        var request = NetlinkRequest(type: Int(RTM_GETROUTE), flags: Int(NLM_F_ACK), header: header)
        request.append(Int(RTA_DST.rawValue), remote.octets)
        if let source { request.append(Int(RTA_SRC.rawValue), source.octets) }
        let answer: [NetlinkMessage]
        do {
            answer = try socket.ask(request, "cannot ask for the route to \(remote)")
        } catch {
            let from = source.map { " from \($0)" } ?? ""
            switch error.code {
            case ENETUNREACH: throw NextHopFailure(.noRoute, "no route to \(remote)\(from)")
            case EHOSTUNREACH: throw NextHopFailure(.noRoute, "the route to \(remote)\(from) is 'unreachable'")
            case EACCES: throw NextHopFailure(.noRoute, "the route to \(remote)\(from) is 'prohibit'")
            case EINVAL:
                throw NextHopFailure(.noRoute, "the route to \(remote)\(from) is 'blackhole', or not for unicast")
            default: throw NextHopFailure(.noRoute, error.description)
            }
        }
        guard let message = answer.first(where: { $0.type == Int(RTM_NEWROUTE) }) else {
            throw NextHopFailure(.noRoute, "the kernel names no route to \(remote)")
        }
        return message
    }

    /// The kernel routes IPv6 from any source that it is told; an address is this host's if packets to it stay here.
    private static func requireLocal(_ source: IPAddress, _ socket: NetlinkSocket) throws(NextHopFailure) {
        let failure = { (reason: String) in
            NextHopFailure(.noRoute, "source \(source) \(reason)", source: source, isError: true)
        }
        if let reason = source.unfitAsRemote { throw failure("\(reason); name a unicast address of this host") }
        guard let message = try? ask(source, socket), message.payload.number(at: 7, as: UInt8.self) == UInt8(RTN_LOCAL)
        else { throw failure("is not an address of this host; add it to an interface or name another") }
    }

    private static func refuse(
        _ message: NetlinkMessage, _ attributes: [Int: ArraySlice<UInt8>], _ remote: IPAddress
    ) throws(NextHopFailure) {
        let type = Int(message.payload.number(at: 7, as: UInt8.self))
        switch type {
        case Int(RTN_UNICAST): break
        case Int(RTN_LOCAL):
            throw NextHopFailure(
                .noRoute,
                "\(remote) is an address of this host; name the monitor's interface as the destination instead",
                isError: true)
        case Int(RTN_BROADCAST), Int(RTN_MULTICAST), Int(RTN_ANYCAST):
            throw NextHopFailure(.noRoute, "\(remote) is a broadcast, multicast or anycast address here", isError: true)
        default: throw NextHopFailure(.noRoute, "the route to \(remote) discards packets (type \(type))")
        }
        if attributes[Int(RTA_ENCAP.rawValue)] != nil {
            throw NextHopFailure(
                .noRoute, "the route to \(remote) has an encapsulation of its own; use a plain one", isError: true)
        }
    }
}

extension IPAddress {
    var family: UInt8 { UInt8(isIPv6 ? AF_INET6 : AF_INET) }
}
