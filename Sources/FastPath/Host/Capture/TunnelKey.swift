// Outer tuple of a tunnel of ours: what the capture program knows our own copies by (record.h, hs_tunnel_key).

import CShims
package import MirrorProgram

/// A tunnel that copies leave through.
package struct TunnelKey: Hashable {
    package var source, remote: IPAddress
    package var encapsulation: MirrorProgram.Encapsulation
    package var tunnelID: UInt32
    /// 0 without UDP.
    package var udpPort: UInt16

    package init(_ tunnel: MirrorProgram.Tunnel, source: IPAddress) {
        self.source = source
        remote = tunnel.remote
        encapsulation = tunnel.encapsulation
        tunnelID = tunnel.tunnelID
        udpPort = tunnel.encapsulation.usualUDPPort == nil ? 0 : tunnel.udpPort
    }

    /// As on the wire.
    var key: hs_tunnel_key {
        var key = hs_tunnel_key()
        withUnsafeMutableBytes(of: &key.source) { $0.copyBytes(from: source.octets) }
        withUnsafeMutableBytes(of: &key.remote) { $0.copyBytes(from: remote.octets) }
        key.version = source.isIPv6 ? 6 : 4
        key.udp_port = udpPort.bigEndian
        switch encapsulation {
        case .vxlan, .geneve:
            key.tunnel_id = (tunnelID << 8).bigEndian
        case .gre:
            key.tunnel_id = tunnelID.bigEndian
            key.gre_protocol = UInt16(HS_GRE_ETHERNET.rawValue).bigEndian
        case .erspan2:
            key.tunnel_id = tunnelID.bigEndian
            key.gre_protocol = UInt16(HS_GRE_ERSPAN2.rawValue).bigEndian
        case .erspan3:
            key.tunnel_id = tunnelID.bigEndian
            key.gre_protocol = UInt16(HS_GRE_ERSPAN3.rawValue).bigEndian
        }
        return key
    }
}
