// What stands in front of a copy on its way to a remote monitor: Ethernet, a tag, IPv4 or IPv6, UDP or GRE, and the
// header of the encapsulation. It is written once, as a template, when the next hop is resolved; OuterFill.swift sets
// what differs from packet to packet. Before it: a Tunnel and its next hop. After it: OuterIP.swift, VXLAN.swift,
// Geneve.swift, GRE.swift and ERSPAN.swift, which lay out the parts.
//
//    0  Ethernet  destination(6) source(6)                RFC 894, RFC 2464
//   12  802.1Q    0x8100 tag(2), only with a VLAN id      IEEE 802.1Q-2018 section 9.6
//   12  EtherType, then the IP header at `linkLength` and UDP or GRE behind it

public import MirrorProgram

/// The outer headers of one tunnel.
public struct OuterHeader: Hashable, Sendable {
    public var tunnel: MirrorProgram.Tunnel
    /// Of the version of `tunnel.remote`.
    public var source: IPAddress
    public var sourceMAC, destinationMAC: MACAddress

    public init(
        _ tunnel: MirrorProgram.Tunnel, source: IPAddress, sourceMAC: MACAddress, destinationMAC: MACAddress
    ) {
        self.tunnel = tunnel
        self.source = source
        self.sourceMAC = sourceMAC
        self.destinationMAC = destinationMAC
    }

    /// Longest of all: a tag, IPv6, UDP and Geneve with all options make 102 bytes.
    static let longest = 128

    /// Bytes of the Ethernet header and its tag.
    var linkLength: Int { tunnel.vlan == nil ? 14 : 18 }
    var ipLength: Int { tunnel.remote.isIPv6 ? 40 : 20 }
    /// Where the UDP or GRE header begins.
    var transport: Int { linkLength + ipLength }

    /// Bytes in front of the inner frame.
    public var length: Int {
        switch tunnel.encapsulation {
        case .vxlan: transport + UDP.length + VXLAN.length
        case .geneve: transport + UDP.length + Geneve.length(tunnel.geneveOptions)
        case .gre: transport + GRE.length(hasKey: true, isSequenced: tunnel.isSequenced)
        case .erspan2: transport + GRE.length(hasKey: false, isSequenced: true) + ERSPAN.lengthOfTypeII
        case .erspan3: transport + GRE.length(hasKey: false, isSequenced: true) + ERSPAN.lengthOfTypeIII
        }
    }

    /// Where the value of a Geneve option stands in the packet; nil for one that is not sent.
    package func place(of option: MirrorProgram.GeneveOption) -> Int? {
        Geneve.value(option, tunnel.geneveOptions).map { transport + UDP.length + $0 }
    }

    /// Bytes of an outer IP packet that are not inner frame.
    public var overhead: Int { length - linkLength }

    /// Over IPv6 a UDP checksum is the rule (RFC 8200 section 8.1), over IPv4 none (RFC 7348 section 4.1).
    var hasChecksum: Bool {
        tunnel.encapsulation.usualUDPPort != nil && (tunnel.udpChecksum ?? tunnel.remote.isIPv6)
    }

    /// Writes everything that is the same in all packets; the rest is 0.
    ///
    /// - Parameter header: at least `length` bytes.
    func writeTemplate(_ header: UnsafeMutableRawPointer) {
        header.initializeMemory(as: UInt8.self, repeating: 0, count: length)
        header.put(destinationMAC.octets, 0)
        header.put(sourceMAC.octets, 6)
        if let vlan = tunnel.vlan {
            header.put16(EtherType.vlan, 12)
            header.put16(vlan, 14)
        }
        header.put16(tunnel.remote.isIPv6 ? EtherType.ipv6 : EtherType.ipv4, linkLength - 2)
        let proto = tunnel.encapsulation.usualUDPPort == nil ? IPProtocol.gre : IPProtocol.udp
        if tunnel.remote.isIPv6 {
            OuterIPv6.writeTemplate(header + linkLength, tunnel, source: source, proto)
        } else {
            OuterIPv4.writeTemplate(header + linkLength, tunnel, source: source, proto)
        }
        let at = header + transport
        switch tunnel.encapsulation {
        case .vxlan:
            UDP.writeTemplate(at, port: tunnel.udpPort)
            VXLAN.writeTemplate(at + UDP.length, vni: tunnel.tunnelID)
        case .geneve:
            UDP.writeTemplate(at, port: tunnel.udpPort)
            Geneve.writeTemplate(at + UDP.length, vni: tunnel.tunnelID, tunnel.geneveOptions)
        case .gre:
            GRE.writeTemplate(
                at, proto: GRE.ethernet, key: tunnel.tunnelID, isSequenced: tunnel.isSequenced)
        case .erspan2:
            GRE.writeTemplate(at, proto: GRE.erspan2, key: nil, isSequenced: true)
            ERSPAN.writeTypeII(at + GRE.length(hasKey: false, isSequenced: true), session: tunnel.tunnelID)
        case .erspan3:
            GRE.writeTemplate(at, proto: GRE.erspan3, key: nil, isSequenced: true)
            ERSPAN.writeTypeIII(at + GRE.length(hasKey: false, isSequenced: true), session: tunnel.tunnelID)
        }
    }
}

extension UnsafeMutableRawPointer {
    func put(_ octets: [UInt8], _ offset: Int) {
        for (index, octet) in octets.enumerated() { put8(octet, offset + index) }
    }
}
