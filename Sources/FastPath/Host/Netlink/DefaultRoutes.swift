// Which interfaces carry a default route, of any table and either IP version: what the host itself hangs on.
// Before it: NetlinkSocket.swift. After it: PortPlan.swift, which puts no XDP program there by itself.

import CShims

enum DefaultRoutes {
    /// Indices of the interfaces of all default routes; empty where the kernel does not tell.
    static func interfaces(_ socket: NetlinkSocket) -> Set<Int32> {
        let request = NetlinkRequest(type: Int(RTM_GETROUTE), flags: Int(NLM_F_DUMP), header: rtmsg())
        guard let messages = try? socket.ask(request, "cannot list the routes") else { return [] }
        return messages.reduce(into: []) { $0.formUnion(interfaces($1)) }
    }

    /// Whether a message tells of one that came or went.
    static func concerns(_ message: NetlinkMessage) -> Bool {
        (message.type == Int(RTM_NEWROUTE) || message.type == Int(RTM_DELROUTE)) && message.payload.count > 1
            && message.payload.number(at: 1, as: UInt8.self) == 0
    }

    private static func interfaces(_ message: NetlinkMessage) -> [Int32] {
        // struct rtmsg: the length of the destination, and the type of the route.
        guard message.type == Int(RTM_NEWROUTE), message.payload.count >= 8,
            message.payload.number(at: 1, as: UInt8.self) == 0,
            message.payload.number(at: 7, as: UInt8.self) == UInt8(RTN_UNICAST)
        else { return [] }
        let attributes = message.attributes(after: MemoryLayout<rtmsg>.size)
        var found = attributes[Int(RTA_OIF.rawValue)].map { [$0.number(at: 0, as: Int32.self)] } ?? []
        var hops = attributes[Int(RTA_MULTIPATH.rawValue)] ?? []
        while hops.count >= MemoryLayout<rtnexthop>.size {
            let length = Int(hops.number(at: 0, as: UInt16.self))
            found.append(hops.number(at: 4, as: Int32.self))
            if length < MemoryLayout<rtnexthop>.size { break }
            hops = hops.dropFirst((length + 3) & ~3)
        }
        return found
    }
}
