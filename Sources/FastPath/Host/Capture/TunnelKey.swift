// Outer tuple of a tunnel of ours: what the capture program knows our own copies by (record.h, hs_tunnel_key).

import CShims

/// A tunnel that copies leave through; numbers in host order.
package struct TunnelKey: Hashable {
    package var source, remote, vni: UInt32
    package var port: UInt16

    package init(source: UInt32, remote: UInt32, vni: UInt32, port: UInt16) {
        self.source = source
        self.remote = remote
        self.vni = vni
        self.port = port
    }

    /// As on the wire.
    var key: hs_tunnel_key {
        hs_tunnel_key(
            source: source.bigEndian, remote: remote.bigEndian, tunnel_id: (vni << 8).bigEndian,
            udp_port: port.bigEndian, reserved: 0)
    }
}
