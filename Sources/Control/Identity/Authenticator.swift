// From a request's token to a caller. Before: the API's responder. After: Caller, or a refusal.

package import ControlModel

/// How the callers of one listener are known.
package enum Authenticator: Sendable {
    /// Everybody is this caller: the Unix socket, where file permissions decided already, and TCP with `--auth none`.
    case everybody(Caller)
    /// TCP: a token, always.
    case tokens(Tokens)

    package static let administrator = Authenticator.everybody(.administrator)
    package static func token(_ token: AdministratorToken) -> Authenticator {
        .tokens(Tokens(administrator: token, policy: .standard))
    }

    /// Where tokens come from, in the order in which they are asked.
    package struct Tokens: Sendable {
        var administrator: AdministratorToken
        var policy: Policy
        var accounts: AccountsFile?
        package var issuer: TokenIssuer?
        package var keystone: Keystone?

        package init(
            administrator: AdministratorToken, policy: Policy, accounts: AccountsFile? = nil,
            issuer: TokenIssuer? = nil, keystone: Keystone? = nil
        ) {
            self.administrator = administrator
            self.policy = policy
            self.accounts = accounts
            self.issuer = issuer
            self.keystone = keystone
        }
    }

    /// Where one gets a token; nil: from who runs this server.
    package var issuer: TokenIssuer? { if case .tokens(let tokens) = self { tokens.issuer } else { nil } }
    package var keystone: Keystone? { if case .tokens(let tokens) = self { tokens.keystone } else { nil } }

    /// - Parameters:
    ///   - token: the request's `X-Auth-Token`.
    ///   - method: what an application credential may be restricted to, and `path` likewise.
    /// - Throws: `Fault.unauthorized`; 503 where Keystone or the accounts cannot be asked.
    package func authenticate(token: String?, method: String = "", path: String = "") async throws(Fault) -> Caller {
        switch self {
        case .everybody(let caller): return caller
        case .tokens(let tokens):
            guard let token else { throw .unauthorized }
            var caller = try await tokens.caller(token)
            caller.policy = tokens.policy
            if let rules = caller.accessRules, !rules.contains(where: { $0.allows(method: method, path: path) }) {
                throw .unauthorized
            }
            return caller
        }
    }
}

extension Authenticator.Tokens {
    fileprivate func caller(_ token: String) async throws(Fault) -> Caller {
        if administrator.matches(token) { return .administrator }
        if let caller = try staticToken(token) { return caller }
        if let keystone { return try await keystone.caller(token) }
        guard let issuer else { throw .unauthorized }
        let identity = try await issuer.identity(token)
        guard let project = identity.project else { throw .unauthorized }
        return Caller(
            userID: identity.user.id, userName: identity.user.name, projectID: project.id, roles: identity.roles)
    }

    private func staticToken(_ text: String) throws(Fault) -> Caller? {
        guard let accounts else { return nil }
        let tokens: [Accounts.StaticToken]
        do throws(IdentityError) { tokens = try accounts.current().tokens } catch {
            throw Fault(503, "ServiceUnavailable", "The accounts of this server cannot be used.")
        }
        if tokens.isEmpty { return nil }
        let hash = TokenHash(of: text)
        guard let token = tokens.first(where: { $0.hash == hash }) else { return nil }
        return Caller(
            userID: "token:\(token.name)", userName: token.name, projectID: token.projectID,
            roles: token.roles.reduce(into: []) { $0.formUnion(Caller.Role(rawValue: $1).implied) })
    }
}
