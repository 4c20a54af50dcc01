// A network interface as rtnetlink describes it (linux/if_link.h).

import CShims
package import MirrorProgram

/// One interface of this network namespace.
package struct Link: Hashable {
    package var index: Int32
    package var name: String
    /// `veth`, `tun`, `bridge`, …; empty for a physical device.
    package var kind: String = ""
    package var mac: MACAddress?
    package var mtu: Int = 0
    /// What it is a member of: a bridge, bond or team.
    package var master: Int32?
    /// In this namespace: what a VLAN device lies on, the other end of a veth.
    package var lower: Int32?
    package var flags: UInt32 = 0
    package var hasCarrier = true
    /// ARPHRD_ETHER for everything that has Ethernet frames.
    package var hardwareType: UInt16 = 0
    package var transmitQueues = 1
    /// Of a vxlan or geneve device whose packets are of this network namespace.
    package var tunnel: TunnelDevice?

    package var isUp: Bool { flags & UInt32(HS_IFF_UP) != 0 }
    package var isEthernet: Bool { hardwareType == UInt16(HS_ARPHRD_ETHER) && flags & UInt32(HS_IFF_LOOPBACK) == 0 }
    /// Up, and a frame that is sent now leaves.
    package var carries: Bool { isUp && hasCarrier }

    /// The side of the link that a port on this interface is seen from, when the program leaves it open: behind a veth,
    /// netkit or tap device sits the owner.
    package var side: MirrorProgram.Side { ["veth", "tun", "netkit"].contains(kind) ? .peer : .`self` }

    package init(index: Int32, name: String) {
        self.index = index
        self.name = name
    }

    /// - Parameter message: RTM_NEWLINK or RTM_DELLINK; nil for what describes no whole interface (bridge ports,
    ///   wireless events).
    package init?(_ message: NetlinkMessage) {
        let header = MemoryLayout<ifinfomsg>.size
        guard message.payload.count >= header, message.payload.number(at: 0, as: UInt8.self) == 0 else { return nil }
        let attributes = message.attributes(after: header)
        guard let name = attributes[Int(IFLA_IFNAME)], let mtu = attributes[Int(IFLA_MTU)] else { return nil }
        index = message.payload.number(at: 4, as: Int32.self)
        self.name = name.text
        self.mtu = Int(mtu.number(at: 0, as: UInt32.self))
        hardwareType = message.payload.number(at: 2, as: UInt16.self)
        flags = message.payload.number(at: 8, as: UInt32.self)
        mac = attributes[Int(IFLA_ADDRESS)].flatMap { $0.count == 6 ? MACAddress(octets: $0) : nil }
        master = attributes[Int(IFLA_MASTER)].map { $0.number(at: 0, as: Int32.self) }
        if attributes[Int(IFLA_LINK_NETNSID)] == nil {
            lower = attributes[Int(IFLA_LINK)].map { $0.number(at: 0, as: Int32.self) }
        }
        if let carrier = attributes[Int(IFLA_CARRIER)] { hasCarrier = carrier.number(at: 0, as: UInt8.self) != 0 }
        if let queues = attributes[Int(IFLA_NUM_TX_QUEUES)] {
            transmitQueues = Int(queues.number(at: 0, as: UInt32.self))
        }
        if let info = attributes[Int(IFLA_LINKINFO)] {
            let details = NetlinkMessage.attributes(info)
            kind = details[Int(IFLA_INFO_KIND)]?.text ?? ""
            // One that was moved here goes on sending and listening in the namespace where it was made.
            if attributes[Int(IFLA_LINK_NETNSID)] == nil, let data = details[Int(IFLA_INFO_DATA)] {
                tunnel = TunnelDevice(kind: kind, NetlinkMessage.attributes(data))
            }
        }
    }
}
