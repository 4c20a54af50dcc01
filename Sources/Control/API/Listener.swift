// Where the API is reached: a Unix socket and a TCP address, each a Hummingbird application with a responder of its
// own. Before: `heliostat serve`. After: Responder.

import Glibc
package import Hummingbird
package import Logging
package import NIOCore

/// One address of the API.
package enum Listener: Sendable {
    /// A Unix socket of mode 0660, of the group if there is one.
    case unix(path: String, group: UInt32?)
    /// Port 0 takes any that is free.
    case tcp(host: String, port: Int)

    /// - Parameter onRunning: called once, with the address that was really obtained.
    package func application(
        _ responder: Responder, logger: Logger, onRunning: @escaping @Sendable (SocketAddress?) async -> Void
    ) -> Application<Responder> {
        var logger = logger
        // Hummingbird's own messages at `info` say nothing that `serving` does not.
        logger.logLevel = max(logger.logLevel, .notice)
        let address: BindAddress =
            switch self {
            case .unix(let path, _): .unixDomainSocket(path: path)
            case .tcp(let host, let port): .hostname(host, port: port)
            }
        return Application(
            responder: responder,
            server: .http1(configuration: .init(idleTimeout: .seconds(60))),
            configuration: .init(address: address, serverName: nil),
            onServerRunning: { channel in
                if case .unix(let path, let group) = self {
                    if let group { _ = chown(path, uid_t.max, group) }
                    chmod(path, 0o660)
                }
                await onRunning(channel.localAddress)
            },
            logger: logger)
    }
}
