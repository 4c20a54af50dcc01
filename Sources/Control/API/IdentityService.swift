// The built-in identity API, compatible with Keystone v3 as far as the clients of a network API need it: log in, look a
// token up, take it back, find projects. Before: Responder, for paths that IdentityRoute knows. After: Reply.

import ControlIdentity
import ControlModel
import HTTPTypes
import Hummingbird
import Logging

/// The identity API of one listener.
struct IdentityService: Sendable {
    let issuer: TokenIssuer
    /// Passwords may come over this connection: it is encrypted, or does not leave the machine.
    let takesPasswords: Bool
    let url: String
    let peer: Peer
    let audit: Audit

    func answer(_ route: IdentityRoute, _ request: Request, _ query: Query, body: [UInt8], id: String)
        async throws(Fault)
        -> Reply
    {
        switch (route, request.method) {
        case (.versions, .get): return Reply(status: .multipleChoices, body: IdentityDocuments.versions(url))
        case (.version, .get): return .ok(["version": IdentityDocuments.version(url)])
        case (.tokens, .post): return try await issue(body, id: id)
        case (.tokens, .get), (.tokens, .head):
            let (subject, _) = try await subject(request)
            return .ok(IdentityDocuments.token(subject, url: url))
        case (.tokens, .delete):
            let (subject, text) = try await subject(request)
            try await issuer.revoke(text)
            audit.login("revoked a token of", subject.user.name, peer, id)
            return .noContent
        case (.catalog, .get):
            let caller = try await caller(request)
            guard caller.project != nil else { throw Self.notFound }
            return .ok(["catalog": IdentityDocuments.catalog(url)])
        case (.ownProjects, .get):
            return .ok(
                IdentityDocuments.projects(
                    try await caller(request).projects, url: url, path: "/identity/v3/auth/projects"))
        case (.projects, .get):
            let names = query.values("name")
            let found = try visible(to: try await caller(request)).filter { names.isEmpty || names.contains($0.name) }
            return .ok(IdentityDocuments.projects(found, url: url, path: "/identity/v3/projects"))
        case (.project(let reference), .get):
            guard let found = try visible(to: try await caller(request)).first(where: { $0.id == reference }) else {
                throw Fault(404, "Not Found", "Could not find project: \(reference).")
            }
            return .ok(["project": IdentityDocuments.project(found, url: url)])
        default: throw Fault(405, "Method Not Allowed", "The method is not allowed for this resource.")
        }
    }

    private func issue(_ body: [UInt8], id: String) async throws(Fault) -> Reply {
        guard let json = try? JSON(parsing: body) else {
            throw Fault(400, "Bad Request", "The body is not JSON.")
        }
        let wanted = try TokenRequest(json)
        if case .password = wanted.proof, !takesPasswords {
            throw Fault(
                403, "Forbidden",
                "Passwords are not taken over an unencrypted connection from another machine; use TLS.")
        }
        do throws(Fault) {
            let (secret, identity) = try await issuer.issue(wanted, address: peer.address)
            audit.login("gave a token to", identity.user.name, peer, id)
            var reply = Reply(status: .created, body: IdentityDocuments.token(identity, url: url))
            reply.headers[.subjectToken] = secret.text
            reply.headers[.vary] = "X-Auth-Token"
            reply.headers[.cacheControl] = "no-store"
            return reply
        } catch {
            if case .password(_, let name, _) = wanted.proof {
                audit.login("refused (\(error.status)) a token to", name ?? "", peer, id)
            }
            throw error
        }
    }

    private func caller(_ request: Request) async throws(Fault) -> TokenIssuer.Identity {
        guard let token = request.headers[.authToken] else { throw .unauthorized }
        return try await issuer.identity(token)
    }

    /// The token that is asked about: one's own, or anybody's for an administrator.
    private func subject(_ request: Request) async throws(Fault) -> (identity: TokenIssuer.Identity, text: String) {
        let caller = try await caller(request)
        guard let text = request.headers[.subjectToken] else {
            throw Fault(400, "Bad Request", "X-Subject-Token is required.")
        }
        guard let subject = try? await issuer.identity(text),
            subject.user.id == caller.user.id || caller.roles.contains(.admin)
        else { throw Self.notFound }
        return (subject, text)
    }

    private func visible(to caller: TokenIssuer.Identity) throws(Fault) -> [Accounts.Project] {
        caller.roles.contains(.admin) ? try issuer.projects() : caller.projects
    }

    private static let notFound = Fault(404, "Not Found", "Could not find what was asked for.")
}

extension HTTPField.Name {
    static let subjectToken = HTTPField.Name("X-Subject-Token")!
}
