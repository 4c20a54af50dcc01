// The kernel's networking as the dataplane sees it: interfaces followed live, routes and neighbours asked for.
// Before it: rtnetlink. After it: `changed` makes Dataplane.swift compare what is with what should be.

import CShims
import Glibc

/// Interfaces and ways of this network namespace.
final class KernelView {
    private(set) var links = LinkTable()
    let resolver: NextHopResolver
    /// Interfaces that ended since the last call of `takeEnded`: an index may be in use again already.
    private var ended: Set<Int32> = []
    /// As of the last question; nil once something has happened that may change it. A host may have a million routes.
    private var knownDefaultRoutes: Set<Int32>?
    private let query: NetlinkSocket
    private let monitor: NetlinkSocket

    init(_ loop: EventLoop, changed: @escaping () -> Void) throws(HostError) {
        let groups =
            RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR
            | RTMGRP_IPV6_ROUTE
        monitor = try NetlinkSocket(groups: UInt32(groups))
        query = try NetlinkSocket()
        resolver = NextHopResolver(query)
        try links.reload(query)
        try loop.watch(monitor.descriptor.raw) { [unowned self] _ in
            take()
            changed()
        }
    }

    /// Reads the events that are there.
    private func take() {
        guard let messages = try? monitor.drain() else {
            // Some were lost: whatever may have ended has to be looked at again.
            knownDefaultRoutes = nil
            ended.formUnion(links.byIndex.keys)
            try? links.reload(query)
            ended.subtract(links.byIndex.keys)
            return
        }
        for message in messages {
            if DefaultRoutes.concerns(message) { knownDefaultRoutes = nil }
            guard message.type == Int(RTM_DELLINK), let link = Link(message) else {
                // The kernel drops the routes of a link that goes down without a word.
                if links.apply(message) { knownDefaultRoutes = nil }
                continue
            }
            knownDefaultRoutes = nil
            links.apply(message)
            ended.insert(link.index)
        }
    }

    /// Interfaces that the traffic of a default route runs through.
    func defaultRoutes() -> Set<Int32> {
        let known = knownDefaultRoutes ?? DefaultRoutes.interfaces(query)
        knownDefaultRoutes = known
        return links.carriers(of: known)
    }

    func takeEnded() -> Set<Int32> {
        defer { ended = [] }
        return ended
    }
}
