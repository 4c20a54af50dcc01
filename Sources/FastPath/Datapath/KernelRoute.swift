// One destination as the kernel's own programs need it (hs_route of carry.h): the template and where its changing fields
// are, by the same rules as OuterFill.swift. Before it: OuterHeader.swift. After it: encapsulate.bpf.c.

public import CShims
import MirrorProgram

extension OuterHeader {
    /// The header as encapsulate.bpf.c fills it.
    ///
    /// - Parameters:
    ///   - limit: bytes of the longest inner frame.
    ///   - interface: index of the uplink, and the queue on it that the worker sends to.
    ///   - device: index of hs-encap.
    ///   - carries: whether capture programs may clone frames toward it.
    /// - Precondition: the tunnel has no `obstacleToKernel`.
    public func kernelRoute(limit: Int, interface: Int32, queue: Int, device: Int32, carries: Bool) -> hs_route {
        precondition(tunnel.obstacleToKernel == nil)
        var route = hs_route()
        let isUDP = tunnel.encapsulation.usualUDPPort != nil
        withUnsafeMutableBytes(of: &route.header) { header in
            writeTemplate(header.baseAddress!)
            if !tunnel.remote.isIPv6 {
                route.header_sum = UInt32(Checksum.sum(UnsafeRawPointer(header.baseAddress! + linkLength), 20))
            }
        }
        route.length = UInt32(length)
        route.limit = UInt32(limit)
        route.interface = UInt32(interface)
        route.queue = UInt16(queue)
        route.device = UInt32(device)
        var flags = 0
        if tunnel.remote.isIPv6 { flags |= Int(HS_ROUTE_IPV6.rawValue) }
        if isUDP { flags |= Int(HS_ROUTE_UDP.rawValue) }
        if carries { flags |= Int(HS_ROUTE_CARRIES.rawValue) }
        route.flags = UInt32(flags)
        (route.first_port, route.port_mask) = OuterFill.ports(tunnel)
        let place = { option in UInt8(self.place(of: option) ?? 0) }
        if tunnel.encapsulation == .geneve {
            route.source_port_at = place(.sourcePort)
            route.direction_at = place(.direction)
            route.timestamp_at = place(.timestamp)
        }
        return route
    }

    /// Whether a super-frame may go through hs-encap after the worker has had it: what is told of its time would be that
    /// of the sending.
    public var takesWholeFrames: Bool {
        tunnel.obstacleToKernel == nil && !tunnel.geneveOptions.contains(.timestamp)
    }
}
