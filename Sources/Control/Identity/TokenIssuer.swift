// The built-in identity service: users of the accounts' file get tokens for a password or for another token.
// Before: TokenRequest. After: IssuedTokens; what is answered is API/IdentityService.swift's.

package import ControlModel
import Foundation

/// Gives tokens out, finds what they stand for, and takes them back.
package final class TokenIssuer: Sendable {
    /// Seconds for which a token is good.
    package static let lifetime = 3600.0
    /// Longer ones would make scrypt's first step a way to keep the processor busy.
    private static let longestPassword = 4096

    private let accounts: AccountsFile
    private let issued: any IssuedTokens
    private let passwords = PasswordCheck()
    private let attempts = AttemptBackOff()

    package init(accounts: AccountsFile, tokens: any IssuedTokens) {
        self.accounts = accounts
        issued = tokens
    }

    /// What a token stands for now, with the accounts as they are now.
    package struct Identity: Hashable, Sendable {
        package let token: IssuedToken
        package let user: Accounts.User
        package let project: Accounts.Project?
        /// In the project, those that are implied among them.
        package let roles: Set<Caller.Role>
        /// Projects of the user.
        package let projects: [Accounts.Project]
    }

    /// - Parameter address: of the client, for the back-off; empty: the Unix socket.
    /// - Returns: the token, to be shown this once, and what it stands for.
    /// - Throws: `Fault` 401, 429 for who guesses, 503 for an accounts' file that cannot be used.
    package func issue(
        _ request: TokenRequest, address: String
    ) async throws(Fault) -> (secret: SecretToken, identity: Identity) {
        let accounts = try current()
        let now = Date().timeIntervalSince1970
        var token: IssuedToken
        switch request.proof {
        case .password(let id, let name, let password):
            let user = try await check(
                id.map(accounts.user(id:)) ?? name.flatMap(accounts.user(name:)), named: id ?? name ?? "", password,
                address)
            token = IssuedToken(
                userID: user.id, projectID: nil, methods: ["password"], auditIDs: [Self.auditID()], issuedAt: now,
                expiresAt: now + Self.lifetime)
        case .token(let text):
            let old = try await identity(text).token
            token = old
            token.methods = old.methods.contains("token") ? old.methods : ["token"] + old.methods
            token.auditIDs = [Self.auditID(), old.auditIDs.last ?? ""]
            token.issuedAt = now
        }
        token.projectID = try project(request.scope, of: token.userID, accounts)?.id
        let identity = try identity(token, accounts)
        let secret = SecretToken()
        try await issued.add(token, secret.hash)
        return (secret, identity)
    }

    /// What a token stands for.
    ///
    /// - Throws: `Fault.unauthorized` for one that is not ours, has expired, was revoked, or whose user has gone.
    package func identity(_ text: String) async throws(Fault) -> Identity {
        guard let token = try await issued.find(TokenHash(of: text)), token.expiresAt > Date().timeIntervalSince1970
        else { throw .unauthorized }
        return try identity(token, try current())
    }

    package func revoke(_ text: String) async throws(Fault) { try await issued.revoke(TokenHash(of: text)) }

    /// All projects: for the administrator's look-ups.
    package func projects() throws(Fault) -> [Accounts.Project] { try current().projects }

    private func current() throws(Fault) -> Accounts {
        do throws(IdentityError) { return try accounts.current() } catch {
            throw Fault(503, "Service Unavailable", "The accounts of this server cannot be used.")
        }
    }

    private func identity(_ token: IssuedToken, _ accounts: Accounts) throws(Fault) -> Identity {
        guard let user = accounts.user(id: token.userID) else { throw .unauthorized }
        var project: Accounts.Project?
        var roles: Set<Caller.Role> = []
        if let id = token.projectID {
            guard let names = user.roles[id], !names.isEmpty, let found = accounts.project(id: id) else {
                throw .unauthorized
            }
            project = found
            roles = names.reduce(into: []) { $0.formUnion(Caller.Role(rawValue: $1).implied) }
        }
        return Identity(
            token: token, user: user, project: project, roles: roles, projects: accounts.projects(of: user))
    }

    /// The user, if the password is theirs. That there is no such user takes as long to say.
    private func check(
        _ user: Accounts.User?, named name: String, _ password: String, _ address: String
    ) async throws(Fault) -> Accounts.User {
        if let seconds = attempts.wait(user: name, address: address) {
            throw Fault(429, "Too Many Requests", "Too many failed logins; try again in \(seconds) seconds.")
        }
        let isPossible = password.utf8.count <= Self.longestPassword
        let matches = try await passwords.matches(isPossible ? password : "", user?.password ?? .none)
        guard let user, isPossible, matches else {
            attempts.failed(user: name, address: address)
            throw .unauthorized
        }
        attempts.succeeded(user: name, address: address)
        return user
    }

    private func project(
        _ scope: TokenRequest.Scope, of userID: String, _ accounts: Accounts
    ) throws(Fault) -> Accounts.Project? {
        guard let user = accounts.user(id: userID) else { throw .unauthorized }
        let own = accounts.projects(of: user)
        switch scope {
        case .unscoped: return nil
        case .unsaid: return own.count == 1 ? own[0] : nil
        case .project(let id, let name):
            guard let project = own.first(where: { $0.id == id || $0.name == name }) else { throw .unauthorized }
            return project
        }
    }

    private static func auditID() -> String {
        var generator = SystemRandomNumberGenerator()
        return SecretToken.base64URL((0..<16).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }
}
