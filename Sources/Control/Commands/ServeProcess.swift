// The control process put together: lock, dataplane, privileges, store, listeners, reconciler; and its end.
// Before: ServeCommand. After: Listener and Reconciler run until a signal.

import ControlAPI
import ControlIdentity
import ControlModel
import ControlReconcile
import ControlStore
import ControlTelemetry
import Foundation
import Hummingbird
import Logging
import NIOCore
import ServiceLifecycle
import UnixSignals

/// One run of `heliostat serve`.
package struct ServeProcess: Sendable {
    private let settings: ServeConfiguration
    private let directory: ServeStateDirectory
    private let logger: Logger

    package init(_ settings: ServeConfiguration) {
        self.settings = settings
        directory = ServeStateDirectory(path: settings.stateDirectory)
        var logger = Logger(label: "heliostat") { label -> any LogHandler in
            if settings.logFormat == "json" { return JSONLogHandler(label: label) }
            return StreamLogHandler.standardError(label: label)
        }
        logger.logLevel = ProcessInfo.processInfo.environment["LOG_LEVEL"].flatMap { Logger.Level($0) } ?? .info
        self.logger = logger
    }

    /// - Throws: `ServeError` with the one line that says why it cannot serve.
    package func run() async throws(ServeError) { try await serve(holding: try prepare()) }

    /// Everything that is done as root, and the end of being it. Where it is started as root, call it while the process
    /// has one thread: the main thread of an asynchronous program is on its way out already, and keeps its rights.
    ///
    /// - Returns: descriptor of the state directory's lock; -1 for a process that only serves the API and takes none.
    /// - Throws: `ServeError` with the one line that says why it cannot serve.
    package func prepare() throws(ServeError) -> Int32 {
        umask(0o027)
        signal(SIGPIPE, SIG_IGN)
        // A file that may not grow is an error to the caller, as a full disk is.
        signal(SIGXFSZ, SIG_IGN)
        try findUser()
        try directory.prepare()
        if settings.isAPIOnly {
            try probeAddress()
            try readPolicy()
            try dropPrivileges()
            return -1
        }
        let lock = try directory.takeLock()
        if geteuid() == 0 {
            try directory.own()
            try directory.prepareDataplane(group: user?.group)
        }
        try probeAddress()
        try readPolicy()
        try startDataplane()
        try dropPrivileges()
        return lock
    }

    /// Serves until a signal.
    ///
    /// - Parameter lock: of `prepare`; closed at the end.
    /// - Throws: `ServeError` with the one line that says why it cannot serve.
    package func serve(holding lock: Int32) async throws(ServeError) {
        defer { if lock >= 0 { close(lock) } }
        do {
            let telemetry = Telemetry()
            let store = try SQLiteStore(path: directory.store) { commits in
                telemetry.recordCommit(
                    seconds: commits.seconds, committed: commits.committed, conflicts: commits.conflicts,
                    failed: commits.failed)
            }
            let operations = Operations(
                store: store, hostName: settings.host, remotes: settings.remotes,
                tunnelIDPool: settings.tunnelIDPool)
            if !settings.isAPIOnly {
                try await operations.registerHost(tunnelAddresses: settings.tunnelAddresses)
            }
            try await serve(operations, telemetry)
            try store.close()
        } catch let error as ServeError {
            throw error
        } catch let error as Fault {
            throw ServeError(error.message)
        } catch {
            throw ServeError("\(error)")
        }
    }

    // MARK: Before anything listens

    /// Says that the port is in use before the dataplane is started for nothing; the listener says it again.
    private func probeAddress() throws(ServeError) {
        guard let listen = settings.listen, listen.port != 0 else { return }
        let address: SocketAddress
        do {
            address = try SocketAddress.makeAddressResolvingHost(listen.host, port: listen.port)
        } catch { throw ServeError("cannot listen on \(settings.listenText): the host cannot be resolved") }
        let probe = socket(
            address.protocol == .inet6 ? AF_INET6 : AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue),
            0)
        defer { close(probe) }
        var reuse: Int32 = 1
        setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &reuse, socklen_t(MemoryLayout<Int32>.size))
        let result = address.withSockAddr { pointer, size in bind(probe, pointer, socklen_t(size)) }
        if result != 0 {
            throw ServeError("cannot listen on \(settings.listenText): \(String(cString: strerror(errno)))")
        }
    }

    /// Refuses rules that cannot be before the dataplane is started for nothing.
    private func readPolicy() throws(ServeError) {
        guard let path = settings.identity["policy"] else { return }
        do throws(IdentityError) { _ = try Policy(file: path) } catch { throw ServeError("\(error)") }
    }

    private var user: ServeUser? { geteuid() == 0 ? ServeUser(settings.user) : nil }

    /// Refuses a user that there is not, before anything is done as root.
    private func findUser() throws(ServeError) {
        let isDefault = settings.user == ServeConfiguration().user
        if ServeUser(settings.user) != nil || isDefault && geteuid() != 0 { return }
        throw ServeError(
            isDefault
                ? """
                there is no user '\(settings.user)' to serve as; make it with 'make setup' or \
                'useradd --system --user-group \(settings.user)', or serve as root with --user root
                """
                : "there is no user '\(settings.user)'; name another with --user, or 'user' in the configuration")
    }

    private func startDataplane() throws(ServeError) {
        if !settings.startsDataplane { return }
        let dataplane = ServeDataplane(directory: directory)
        if dataplane.isSupervised == true { return }
        if geteuid() == 0 {
            // One that runs without a supervisor runs on: the children of the new one wait at its lock.
            if dataplane.isRunning == true { logger.warning("the dataplane runs without a supervisor; starting one") }
            do throws(ServeError) {
                try dataplane.start(try ServeDataplane.executable(settings.dataplane), logger: logger)
            } catch {
                if settings.dataplane != nil { throw error }
                logger.warning("no supervisor, and so no dataplane, was started: \(error)")
            }
        } else if dataplane.isRunning == false {
            logger.warning(
                """
                no dataplane runs on \(directory.dataplane) and only root can start one; run as root: \
                heliostat-dataplane --supervise --state-dir \(directory.dataplane)
                """
            )
        }
    }

    private func dropPrivileges() throws(ServeError) {
        if geteuid() != 0 { return }
        guard let user else { throw ServeError("there is no user '\(settings.user)' any more") }
        try directory.hand(to: user)
        try user.become()
        if access(directory.path, R_OK | W_OK | X_OK) != 0 {
            throw ServeError(
                """
                user '\(user.name)' cannot reach the state directory \(directory.path); let it pass the directories \
                above, or serve as another with --user
                """
            )
        }
    }

    // MARK: Serving

    private func serve(_ operations: Operations, _ telemetry: Telemetry) async throws {
        let listeners = [!settings.isAPIOnly, settings.listen != nil, settings.metricsListen != nil]
        let ready = Readiness(expected: listeners.count { $0 })
        let group = user?.group ?? ServeUser.group("heliostat")
        // The token is made at the first start even where nothing asks for it yet: the next one may listen.
        let token = try AdministratorToken(file: directory.token)
        let identity = try ServeIdentity(
            settings.identity, directory: directory.path, token: token, store: operations.store, logger: logger)
        var services: [any Service] = [ServeReload(identity: identity)]
        if !settings.isAPIOnly {
            services.append(try unix(group, identity, operations, telemetry, ready))
            services.append(
                ReconcilerService(
                    reconciler: Reconciler(
                        store: operations.store, host: settings.host,
                        dataplane: DataplaneClient(path: directory.dataplaneSocket), telemetry: telemetry,
                        logger: logger, remotes: settings.remotes, uplinks: settings.uplinks)))
        }
        if let listen = settings.listen {
            services.append(try tcp(listen, identity, operations, telemetry, ready))
        }
        if let listen = settings.metricsListen {
            services.append(try metrics(listen, operations, telemetry, ready))
        }
        var configuration = ServiceGroupConfiguration(
            services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: quiet)
        configuration.maximumGracefulShutdownDuration = .milliseconds(1500)
        configuration.maximumCancellationDuration = .seconds(2)
        do {
            try await ServiceGroup(configuration: configuration).run()
        } catch let error as IOError {
            throw ServeError("cannot listen: \(error)")
        } catch is CancellationError {
            // Connections that stayed open past the grace were cut.
        }
        await identity.shutdown()
        if !settings.isAPIOnly { unlink(directory.socket) }
    }

    private func unix(
        _ group: UInt32?, _ identity: ServeIdentity, _ operations: Operations, _ telemetry: Telemetry,
        _ ready: Readiness
    ) throws -> any Service {
        try Listener.unix(path: directory.socket, group: group).application(
            Responder(
                operations: operations, telemetry: telemetry, authenticator: identity.socketAuthenticator,
                hostNames: nil, audit: identity.audit, logger: logger),
            logger: logger
        ) { [directory] _ in await ready.add("unix:\(directory.socket)") }
    }

    private func metrics(
        _ listen: (host: String, port: Int), _ operations: Operations, _ telemetry: Telemetry, _ ready: Readiness
    ) throws -> any Service {
        try Listener.tcp(host: listen.host, port: listen.port).application(
            Observability(store: operations.store, telemetry: telemetry, reconciles: !settings.isAPIOnly),
            logger: logger
        ) { address in
            let host = listen.host.contains(":") ? "[\(listen.host)]" : listen.host
            await ready.add("metrics http://\(host):\(address?.port ?? listen.port)/metrics")
        }
    }

    private func tcp(
        _ listen: (host: String, port: Int), _ identity: ServeIdentity, _ operations: Operations,
        _ telemetry: Telemetry, _ ready: Readiness
    ) throws -> any Service {
        identity.warn(settings.identity, address: settings.listenText, host: listen.host)
        let scheme = identity.certificate == nil ? "http" : "https"
        return try Listener.tcp(host: listen.host, port: listen.port, certificate: identity.certificate).application(
            Responder(
                operations: operations, telemetry: telemetry, authenticator: identity.authenticator,
                hostNames: HostNames([listen.host, settings.host] + settings.names),
                isEncrypted: identity.certificate != nil, audit: identity.audit,
                reconciles: !settings.isAPIOnly, logger: logger),
            logger: logger
        ) { address in
            let host = listen.host.contains(":") ? "[\(listen.host)]" : listen.host
            await ready.add("\(scheme)://\(host):\(address?.port ?? listen.port)")
        }
    }

    private var quiet: Logger {
        var logger = logger
        logger.logLevel = .critical
        return logger
    }
}

/// Says `serving` once all listeners are there.
private actor Readiness {
    private let expected: Int
    private var addresses: [String] = []

    init(expected: Int) { self.expected = expected }

    func add(_ address: String) {
        addresses.append(address)
        if addresses.count == expected {
            FileHandle.standardOutput.write(
                Data("heliostat: serving \(addresses.sorted().joined(separator: " and "))\n".utf8))
        }
    }
}

/// The reconciler as a service that ends with the others.
private struct ReconcilerService: Service {
    let reconciler: Reconciler

    func run() async throws {
        await cancelWhenGracefulShutdown { await reconciler.run() }
    }
}
