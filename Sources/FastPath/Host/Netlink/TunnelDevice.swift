// What the kernel's own vxlan and geneve devices take packets by (linux/if_link.h, IFLA_INFO_DATA): a tunnel of ours with
// the same UDP port and VNI cannot be told from theirs. Before it: Link.swift. After it: LinkTable.swift.

import CShims
package import MirrorProgram

/// A device that ends tunnels by itself.
package struct TunnelDevice: Hashable {
    package var encapsulation: MirrorProgram.Encapsulation
    package var udpPort: UInt16
    /// Nil for a device that takes every VNI (`external`: the VNI is in each packet's metadata).
    package var tunnelID: UInt32?
    /// Version of its outer addresses; nil for both, and where the kernel does not say.
    package var isIPv6: Bool?

    package init(
        _ encapsulation: MirrorProgram.Encapsulation, udpPort: UInt16, tunnelID: UInt32?, isIPv6: Bool? = nil
    ) {
        self.encapsulation = encapsulation
        self.udpPort = udpPort
        self.tunnelID = tunnelID
        self.isIPv6 = isIPv6
    }

    /// - Parameter data: attributes of the kind; nil for any other kind of device.
    init?(kind: String, _ data: [Int: ArraySlice<UInt8>]) {
        switch kind {
        case "vxlan":
            self.init(
                .vxlan, data, id: IFLA_VXLAN_ID, port: IFLA_VXLAN_PORT,
                isExternal: data[Int(IFLA_VXLAN_COLLECT_METADATA)]?.number(at: 0, as: UInt8.self) == 1,
                addresses: [(IFLA_VXLAN_GROUP, IFLA_VXLAN_GROUP6), (IFLA_VXLAN_LOCAL, IFLA_VXLAN_LOCAL6)])
        case "geneve":
            self.init(
                .geneve, data, id: IFLA_GENEVE_ID, port: IFLA_GENEVE_PORT,
                isExternal: data[Int(IFLA_GENEVE_COLLECT_METADATA)] != nil,
                addresses: [(IFLA_GENEVE_REMOTE, IFLA_GENEVE_REMOTE6)])
        default: return nil
        }
    }

    /// - Parameter addresses: attributes of an IPv4 and an IPv6 address; a device that has one is of that version alone.
    private init?<Name: BinaryInteger>(
        _ encapsulation: MirrorProgram.Encapsulation, _ data: [Int: ArraySlice<UInt8>], id: Name, port: Name,
        isExternal: Bool, addresses: [(v4: Name, v6: Name)]
    ) {
        guard let port = data[Int(port)]?.number(at: 0, as: UInt16.self) else { return nil }
        let number = data[Int(id)]?.number(at: 0, as: UInt32.self)
        if !isExternal, number == nil { return nil }
        self.init(encapsulation, udpPort: UInt16(bigEndian: port), tunnelID: isExternal ? nil : number)
        if isExternal { return }
        if addresses.contains(where: { data[Int($0.v4)] != nil }) { isIPv6 = false }
        if addresses.contains(where: { data[Int($0.v6)] != nil }) { isIPv6 = true }
    }
}
