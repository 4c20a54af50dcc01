// Where the copies of one destination go at this moment: resolved from the kernel's tables, or the reason why not.
// Before it: NextHopResolver and LinkTable. After it: a row of the forwarding table, and a line of the status.

import FastPath
import MirrorProgram

/// One destination against the kernel of this moment.
struct DestinationRoute: Equatable {
    /// What stands in front of a copy; nil on this host.
    var encapsulation: OuterHeader?
    /// Largest frame that fits, bytes with Ethernet header.
    var frameLimit = 0
    /// Interface that copies leave through.
    var link: Link?
    /// Why every copy is dropped for now.
    var fate: DropReason?
    var reason: String?
    /// The kernel refuses for good.
    var isError = false
    var source: IPAddress?
    var nextHop: MACAddress?
    var mtu: Int?

    /// - Parameter hops: every tunnel's way.
    init(
        _ destination: MirrorProgram.Destination, _ hops: [Way: Result<NextHop, NextHopFailure>],
        _ links: LinkTable
    ) {
        switch destination.target {
        case .interface(let name): self.init(interface: name, links)
        case .tunnel(let tunnel): self.init(tunnel, hops[Way(tunnel)]!, links)
        case .spread: self.init(interface: "", links)
        }
    }

    private init(interface name: String, _ links: LinkTable) {
        guard let link = links[name] else {
            fate = .uplinkDown
            reason = "there is no interface \(name)"
            return
        }
        self.link = link
        mtu = link.mtu
        // An Ethernet header and one tag: what every driver and a veth's other end take beyond the MTU.
        frameLimit = link.mtu + 18
        if !link.isEthernet {
            fate = .uplinkDown
            reason = "\(name) is not an Ethernet interface"
            isError = true
        } else if !link.carries {
            fate = .uplinkDown
            reason = link.isUp ? "\(name) has no carrier" : "\(name) is down"
        }
    }

    private init(_ tunnel: MirrorProgram.Tunnel, _ way: Result<NextHop, NextHopFailure>, _ links: LinkTable) {
        do throws(NextHopFailure) {
            let hop = try way.get()
            link = links[hop.interface]
            source = hop.source
            nextHop = hop.mac
            mtu = hop.mtu
            let header = OuterHeader(tunnel, source: hop.source, sourceMAC: hop.sourceMAC, destinationMAC: hop.mac)
            encapsulation = header
            let longest = Self.longestPacket(tunnel, hop, link)
            frameLimit = longest - header.overhead
            if frameLimit < 14 {
                fate = .exceedsMTU
                reason =
                    "a path MTU of \(longest) leaves no room for a frame behind \(header.overhead) bytes of outer headers"
            }
        } catch {
            fate = error.drop
            reason = error.reason
            isError = error.isError
            link = error.interface.flatMap { links[$0] }
            source = error.source
        }
    }

    /// Longest outer IP packet, bytes: its length has 16 bits, whatever a device claims.
    ///
    /// Ethernet devices take one tag beyond their MTU, so an outer tag costs nothing; only on a VLAN device it is the
    /// second one on the wire, and has to fit into the MTU.
    private static func longestPacket(_ tunnel: MirrorProgram.Tunnel, _ hop: NextHop, _ link: Link?) -> Int {
        let device = link.map { tunnel.vlan != nil && $0.kind == "vlan" ? $0.mtu - 4 : $0.mtu } ?? hop.mtu
        return min(hop.mtu, device, 65535)
    }
}
