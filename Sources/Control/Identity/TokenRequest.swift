// The body of POST /v3/auth/tokens (Keystone Identity API v3, "Authentication and token management").
// Before: the API's identity routes. After: TokenIssuer.

package import ControlModel

/// Who wants a token, how they prove it, and for which project.
package struct TokenRequest: Hashable, Sendable {
    package enum Proof: Hashable, Sendable {
        case password(userID: String?, userName: String?, String)
        case token(String)
    }

    package enum Scope: Hashable, Sendable {
        /// Not said: the user's only project, if it is the only one.
        case unsaid
        case unscoped
        case project(id: String?, name: String?)
    }

    package let proof: Proof
    package let scope: Scope

    /// - Throws: `Fault` 400 for a body that is not such a request, 401 for one that nobody can fulfil here.
    package init(_ body: JSON) throws(Fault) {
        guard let auth = body.object?["auth"]?.object, let identity = auth["identity"]?.object else {
            throw Self.bad("'auth' with 'identity' is required.")
        }
        switch identity["methods"]?.array?.compactMap(\.string) {
        case ["password"]?: proof = try Self.password(identity["password"]?.object)
        case ["token"]?:
            guard let id = identity["token"]?.object?["id"]?.string else { throw Self.bad("'token.id' is required.") }
            proof = .token(id)
        case nil, []?: throw Self.bad("'auth.identity.methods' is required.")
        default: throw .unauthorized
        }
        scope = try Self.scope(auth["scope"])
    }

    private static func password(_ value: JSON.Object?) throws(Fault) -> Proof {
        guard let user = value?["user"]?.object, let password = user["password"]?.string else {
            throw bad("'password.user' with a password is required.")
        }
        if let id = user["id"]?.string { return .password(userID: id, userName: nil, password) }
        guard let name = user["name"]?.string else { throw bad("'password.user' needs an id or a name.") }
        try knowDomain(user["domain"])
        return .password(userID: nil, userName: name, password)
    }

    private static func scope(_ value: JSON?) throws(Fault) -> Scope {
        guard let value, value != .null else { return .unsaid }
        if value == "unscoped" { return .unscoped }
        guard let scope = value.object else { throw bad("'auth.scope' is not an object.") }
        if scope["unscoped"] != nil { return .unscoped }
        // Domains and the system are Keystone's, and nobody has a role in them here.
        guard let project = scope["project"]?.object else { throw .unauthorized }
        if let id = project["id"]?.string { return .project(id: id, name: nil) }
        guard let name = project["name"]?.string else { throw bad("'scope.project' needs an id or a name.") }
        try knowDomain(project["domain"])
        return .project(id: nil, name: name)
    }

    /// There is one domain.
    private static func knowDomain(_ value: JSON?) throws(Fault) {
        guard let domain = value?.object else { throw bad("a name needs a 'domain' with it.") }
        let isOurs = domain["id"]?.string == "default" || domain["name"]?.string?.lowercased() == "default"
        if !isOurs { throw .unauthorized }
    }

    private static func bad(_ message: String) -> Fault { Fault(400, "Bad Request", message) }
}
