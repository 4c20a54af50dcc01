// The settings of who may do what, made real: policy, accounts, Keystone, certificate, audit.
// Before: ServeProcess, as the user that serves. After: the responders of the listeners; SIGHUP comes back here.

import ControlAPI
import ControlIdentity
import ControlStore
import Foundation
import Logging
import ServiceLifecycle
import UnixSignals

/// What the listeners of one process share.
struct ServeIdentity: Sendable {
    let policy: Policy
    /// Of the TCP listener.
    let authenticator: Authenticator
    /// Of the Unix socket.
    let socketAuthenticator: Authenticator
    let certificate: TLSCertificate?
    let audit: Audit
    private let auditFile: AuditFile?
    private let keystone: Keystone?
    private let logger: Logger

    /// - Parameter token: the administrator's, of the state directory.
    /// - Throws: `IdentityError` naming the file and what is wrong with it.
    init(
        _ settings: ServeIdentitySettings, directory: String, token: AdministratorToken, store: any Store,
        logger: Logger
    ) throws(IdentityError) {
        self.logger = logger
        policy = try settings["policy"].map { (path) throws(IdentityError) in try Policy(file: path) } ?? .standard
        let accounts = AccountsFile(directory: directory)
        let known = try accounts.current()
        if let url = settings.keystone {
            keystone = try Keystone(url, logger: logger)
        } else {
            keystone = nil
        }
        var administrator = Caller.administrator
        administrator.policy = policy
        socketAuthenticator = .everybody(administrator)
        if let project = settings.openProject {
            administrator.projectID = known.project(name: project)?.id ?? project
            administrator.userName = "anybody"
            administrator.userID = "anybody"
            authenticator = .everybody(administrator)
        } else {
            authenticator = .tokens(
                .init(
                    administrator: token, policy: policy, accounts: accounts,
                    issuer: keystone == nil ? TokenIssuer(accounts: accounts, tokens: StoredTokens(store)) : nil,
                    keystone: keystone))
        }
        if let file = settings["tls_certificate"], let key = settings["tls_key"] {
            certificate = try TLSCertificate(certificate: file, key: key)
        } else {
            certificate = nil
        }
        if let path = settings["audit_log"] {
            let file = try AuditFile(path)
            auditFile = file
            audit = Audit(Logger(label: "heliostat.audit") { _ in AuditLogHandler(file: file) })
        } else {
            auditFile = nil
            // In the format of the log that it is part of.
            audit = Audit(
                Logger(label: "heliostat.audit") { label -> any LogHandler in
                    if logger.handler is JSONLogHandler { return JSONLogHandler(label: label) }
                    return StreamLogHandler.standardError(label: label)
                })
        }
    }

    /// Says what an operator should know about how open the TCP address is.
    func warn(_ settings: ServeIdentitySettings, address: String, host: String) {
        let isLocal = ["localhost", "::1"].contains(host) || host.hasPrefix("127.")
        if let project = settings.openProject {
            logger.warning(
                """
                --auth none: whoever reaches \(address) is the administrator, and what they make belongs to project \
                '\(project)'
                """)
        } else if certificate == nil, !isLocal {
            logger.warning(
                """
                \(address) is not encrypted: tokens can be read on the way, and passwords are taken from this machine \
                only; give --tls-certificate and --tls-key
                """)
        }
    }

    /// What SIGHUP means: certificate and audit file again. What cannot be read leaves the old one in use.
    func reload() {
        do throws(IdentityError) {
            try auditFile?.reopen()
            try certificate?.reload()
            logger.info("SIGHUP: certificate and audit file were opened again")
        } catch { logger.error("SIGHUP: \(error); what was in use stays") }
    }

    func shutdown() async { await keystone?.shutdown() }
}

/// Waits for SIGHUP.
struct ServeReload: Service {
    let identity: ServeIdentity

    func run() async throws {
        let signals = await UnixSignalsSequence(trapping: .sighup)
        await cancelWhenGracefulShutdown {
            for await _ in signals { identity.reload() }
        }
    }
}
