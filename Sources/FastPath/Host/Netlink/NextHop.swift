// Where copies toward a remote really go: what the outer header is made of, or why nothing can be sent.
// Before it: NextHopResolver. After it: the forwarding table.

package import MirrorProgram

/// What decides about the way of a tunnel's packets.
package struct Way: Hashable {
    package var remote: IPAddress
    /// Nil for the address that the kernel's route prefers.
    package var source: IPAddress?

    package init(to remote: IPAddress, from source: IPAddress? = nil) {
        self.remote = remote
        self.source = source
    }

    init(_ tunnel: MirrorProgram.Tunnel) { self.init(to: tunnel.remote, from: tunnel.source) }
}

/// A resolved way to an address.
package struct NextHop: Hashable {
    /// Interface that leads there.
    package var interface: Int32
    /// Our source address on that way.
    package var source: IPAddress
    /// MAC address of this host on the interface, and of the gateway or of the remote itself.
    package var sourceMAC: MACAddress
    package var mac: MACAddress
    /// Largest IP packet, bytes: the route's or the learned path MTU, else the interface's.
    package var mtu: Int
}

/// Why there is no next hop: a drop reason for the counters and a sentence for people.
package struct NextHopFailure: Error, Hashable {
    package var drop: DropReason
    package var reason: String
    /// What is known of the way all the same.
    package var interface: Int32?
    package var source: IPAddress?
    /// The kernel refuses for good until somebody changes the configuration: not a passing state.
    package var isError = false

    package init(
        _ drop: DropReason, _ reason: String, interface: Int32? = nil, source: IPAddress? = nil, isError: Bool = false
    ) {
        self.drop = drop
        self.reason = reason
        self.interface = interface
        self.source = source
        self.isError = isError
    }
}
