// Who is at the other end of the connection. Before: Hummingbird's channel. After: the audit, the back-off of logins.

package import Hummingbird
import NIOCore

/// The address of a client.
package struct Peer: Hashable, Sendable {
    /// Text of an IP address, without port; empty for the Unix socket.
    package let address: String
    /// The connection does not leave this machine.
    package let isLocal: Bool

    package init(address: String) {
        self.address = address
        // ::ffff:127.0.0.1 is what an IPv4 client looks like on an IPv6 listener.
        let plain = address.hasPrefix("::ffff:") ? String(address.dropFirst(7)) : address
        isLocal = address.isEmpty || address == "::1" || plain.hasPrefix("127.")
    }

    /// The Unix socket.
    package static let local = Peer(address: "")
}

/// What Hummingbird keeps beside a request: the client's address.
package struct PeerContext: RequestContext {
    package var coreContext: CoreRequestContextStorage
    package let peer: Peer

    package init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        peer = Peer(address: source.channel.remoteAddress?.ipAddress ?? "")
    }
}
