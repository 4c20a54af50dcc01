// Pure: what one delivery of a program asks of the kernel right now, given the ways to its peers and the interfaces
// that there are. Before it: the program, NextHopResolver, LinkTable. After it: DeliverProgram.swift.

import CShims
package import MirrorProgram

/// A delivery against the kernel of this moment.
package struct DeliveryPlan: Hashable {
    package var delivery: MirrorProgram.Delivery
    /// Interfaces that its peers' packets come in through, by index.
    package var underlays: [Int32: String] = [:]
    /// Index of the port's interface; nil while it is missing or down.
    package var interface: Int32?
    /// Why it is not in order.
    package var down: String?
    /// Not a passing state.
    package var isError = false

    /// - Parameter ways: the interface that leads to each peer, or why none does.
    package init(
        _ delivery: MirrorProgram.Delivery, ways: [IPAddress: Result<Int32, NextHopFailure>], links: LinkTable
    ) {
        self.delivery = delivery
        if let link = links[delivery.interface] {
            if !link.isEthernet {
                refuse("\(link.name) is not an Ethernet interface")
            } else if !link.carries {
                down = link.isUp ? "\(link.name) has no carrier" : "\(link.name) is down"
            } else {
                interface = link.index
            }
        } else {
            down = "there is no interface \(delivery.interface)"
        }
        for peer in delivery.peers {
            switch ways[peer] {
            case .success(let index)?:
                guard let link = links[index] else { continue }
                if link.name == delivery.interface {
                    interface = nil
                    refuse("peer \(peer) is behind \(link.name), where its copies would be delivered: that is a loop")
                } else if link.isEthernet {
                    underlays[index] = link.name
                } else {
                    refuse("\(link.name), which leads to peer \(peer), is not an Ethernet interface")
                }
            case .failure(let failure)?: down = down ?? failure.reason
            case nil: break
            }
        }
    }

    private mutating func refuse(_ reason: String) {
        isError = true
        down = down ?? reason
    }

    /// What `deliver.bpf.c` finds each peer's packets by.
    package var keys: [TunnelKey] {
        delivery.peers.map { peer in
            let anywhere: IPAddress = peer.isIPv6 ? .v6(IPv6Address(high: 0, low: 0)) : .v4(IPv4Address(0))
            return TunnelKey(
                source: peer, remote: anywhere, encapsulation: delivery.encapsulation, tunnelID: delivery.tunnelID,
                udpPort: delivery.udpPort)
        }
    }

    /// The map's value.
    func value(counters: UInt32) -> hs_delivery {
        var value = hs_delivery()
        if let local = delivery.local { withUnsafeMutableBytes(of: &value.local) { $0.copyBytes(from: local.octets) } }
        value.interface = UInt32(bitPattern: interface ?? 0)
        value.counters = counters
        value.encapsulation =
            switch delivery.encapsulation {
            case .vxlan: UInt32(HS_VXLAN)
            case .gre: UInt32(HS_GRE)
            case .erspan2: UInt32(HS_ERSPAN2)
            case .erspan3: UInt32(HS_ERSPAN3)
            case .geneve: UInt32(HS_GENEVE)
            }
        return value
    }
}
