// A real Keystone as the judge of tokens, in the calls that keystonemiddleware makes: log in as the service user, then
// ask about each token that is not known yet. Before: Authenticator. After: Caller; what is remembered is
// KeystoneCache.swift's, the sending KeystoneClient.swift's.

package import ControlModel
import Foundation
package import Logging

/// One Keystone.
package actor Keystone {
    /// How Keystone is reached, and as whom.
    package struct Settings: Hashable, Sendable {
        /// Without `/v3` and without a trailing `/`.
        package var url: String
        package var user: String
        package var project: String
        /// Name of the domain of both.
        package var domain: String
        package var passwordFile: String
        /// PEM file of the authorities that sign Keystone's certificate; nil: the machine's.
        package var certificateAuthority: String?
        /// Seconds for which an answer is good.
        package var timeToLive = 300.0

        package init(
            url: String, user: String, project: String, domain: String, passwordFile: String,
            certificateAuthority: String? = nil
        ) {
            var url = url
            while url.hasSuffix("/") { url.removeLast() }
            if url.hasSuffix("/v3") { url.removeLast(3) }
            (self.url, self.user, self.project, self.domain) = (url, user, project, domain)
            (self.passwordFile, self.certificateAuthority) = (passwordFile, certificateAuthority)
        }
    }

    /// Longer ones are nobody's: Keystone's own tokens are a few hundred characters.
    private static let longestToken = 8192

    package nonisolated let settings: Settings
    private let client: KeystoneClient
    private let logger: Logger
    private var cache: KeystoneCache
    private var serviceToken: String?
    private var asking: [TokenHash: Task<KeystoneCache.Answer, any Error>] = [:]

    /// - Throws: `IdentityError` for a password file that cannot be read or that others can, and for authorities that
    ///   are none.
    package init(_ settings: Settings, logger: Logger) throws(IdentityError) {
        self.settings = settings
        self.logger = logger
        client = try KeystoneClient(settings)
        cache = KeystoneCache(timeToLive: settings.timeToLive)
    }

    package func shutdown() async { await client.shutdown() }

    /// Who a token's bearer is.
    ///
    /// - Throws: `Fault.unauthorized`; 503 while Keystone cannot be asked and the answer is not remembered.
    package func caller(_ token: String) async throws(Fault) -> Caller {
        guard !token.isEmpty, token.utf8.count <= Self.longestToken,
            token.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        else { throw .unauthorized }
        let hash = TokenHash(of: token)
        if let answer = cache.find(hash, now: Date().timeIntervalSince1970) { return try answer.caller() }
        let task = asking[hash] ?? Task { try await ask(token) }
        asking[hash] = task
        defer { asking[hash] = nil }
        do {
            let answer = try await task.value
            cache.add(hash, answer, now: Date().timeIntervalSince1970)
            return try answer.caller()
        } catch let fault as Fault {
            throw fault
        } catch {
            logger.error("Keystone at \(settings.url) cannot be asked: \(error)")
            throw Fault(503, "ServiceUnavailable", "The identity service cannot be asked at the moment; try again.")
        }
    }

    /// Asks once, and once more with a new service token where the old one is not taken any more.
    private func ask(_ token: String) async throws -> KeystoneCache.Answer {
        for isLast in [false, true] {
            let service = try await currentServiceToken()
            let (status, body) = try await client.validate(token, service: service)
            switch status {
            case 200: return try KeystoneCache.Answer(body)
            case 404: return .refused
            case 401 where !isLast:
                if serviceToken == service { serviceToken = nil }
            default: throw IdentityError("it answered \(status) to the service user's question about a token")
            }
        }
        throw IdentityError("it does not take the service user's token")
    }

    private func currentServiceToken() async throws -> String {
        if let serviceToken { return serviceToken }
        let token = try await client.serviceToken()
        serviceToken = token
        return token
    }
}
