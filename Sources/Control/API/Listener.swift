// Where the API is reached: a Unix socket and a TCP address, each a Hummingbird application with a responder of its
// own. Before: `heliostat serve`. After: Responder.

import Glibc
package import Hummingbird
import HummingbirdCore
import HummingbirdTLS
package import Logging
package import NIOCore

/// One address of the API.
package enum Listener: Sendable {
    /// A Unix socket of mode 0660, of the group if there is one.
    case unix(path: String, group: UInt32?)
    /// Port 0 takes any that is free; without a certificate nothing is encrypted.
    case tcp(host: String, port: Int, certificate: TLSCertificate? = nil)

    /// - Parameter onRunning: called once, with the address that was really obtained.
    package func application<Answers: HTTPResponder>(
        _ responder: Answers, logger: Logger, onRunning: @escaping @Sendable (SocketAddress?) async -> Void
    ) throws -> Application<Answers>
    where Answers.Context: InitializableFromSource<ApplicationRequestContextSource> {
        var logger = logger
        // Hummingbird's own messages at `info` say nothing that `serving` does not.
        logger.logLevel = max(logger.logLevel, .notice)
        let address: BindAddress =
            switch self {
            case .unix(let path, _): .unixDomainSocket(path: path)
            case .tcp(let host, let port, _): .hostname(host, port: port)
            }
        var server = HTTPServerBuilder.http1(
            configuration: .init(
                additionalChannelHandlers: [ConnectionDeadlines()],
                idleTimeout: .seconds(ListenerLimits.headSeconds),
                httpDecoderConfiguration: .init(
                    maxHeaderFieldSize: ListenerLimits.headerBytes, maxHeaderListSize: ListenerLimits.headerBytes,
                    maxHeaderFieldCount: ListenerLimits.headerFields)))
        if case .tcp(_, _, let certificate?) = self {
            server = try .tls(server, tlsConfiguration: certificate.configuration)
        }
        return Application(
            responder: responder,
            server: server,
            configuration: .init(
                address: address, serverName: nil,
                availableConnectionsDelegate: MaximumAvailableConnections(ListenerLimits.connections, logger: logger)),
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
