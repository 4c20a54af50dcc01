// The built-in identity service's tokens as rows of the store: every process on it knows them, and a restart does too.
// Before: TokenIssuer. After: the store.

package import ControlIdentity
package import ControlModel
package import ControlStore
import Foundation

/// Tokens by their hashes.
package struct StoredTokens: IssuedTokens {
    private static let kind = "token"
    private let store: any Store

    package init(_ store: any Store) { self.store = store }

    package func add(_ token: IssuedToken, _ hash: TokenHash) async throws(Fault) {
        try await unlessUnavailable {
            let now = Date().timeIntervalSince1970
            let all = try await store.list([Self.kind]).rows.map { ($0.key, IssuedToken($0.value)) }
            let expired = all.filter { ($0.1?.expiresAt ?? 0) <= now }
            let own = all.filter { $0.1?.userID == token.userID && ($0.1?.expiresAt ?? 0) > now }
            let oldest = own.min { ($0.1?.issuedAt ?? 0) < ($1.1?.issuedAt ?? 0) }
            var commit = Commit()
            for (key, _) in expired { commit.delete(key) }
            if own.count >= Self.mostOfAUser, let oldest { commit.delete(oldest.0) }
            commit.put(Key(Self.kind, hash.description), token.json.bytes)
            _ = try await store.commit(commit)
        }
    }

    package func find(_ hash: TokenHash) async throws(Fault) -> IssuedToken? {
        try await unlessUnavailable {
            try await store.get(Key(Self.kind, hash.description)).flatMap { IssuedToken($0.value) }
        }
    }

    package func revoke(_ hash: TokenHash) async throws(Fault) {
        try await unlessUnavailable {
            var commit = Commit()
            commit.delete(Key(Self.kind, hash.description))
            _ = try await store.commit(commit)
        }
    }

    private func unlessUnavailable<Result>(_ body: () async throws -> Result) async throws(Fault) -> Result {
        do { return try await body() } catch { throw .storeUnavailable("\(error)") }
    }
}

extension IssuedToken {
    fileprivate init?(_ row: [UInt8]) {
        guard let values = (try? JSON(parsing: row))?.object, let user = values["user"]?.string,
            let issued = values["issued_at_us"]?.integer, let expires = values["expires_at_us"]?.integer
        else { return nil }
        self.init(
            userID: user, projectID: values["project"]?.string,
            methods: values["methods"]?.array?.compactMap(\.string) ?? [],
            auditIDs: values["audit_ids"]?.array?.compactMap(\.string) ?? [], issuedAt: Double(issued) / 1e6,
            expiresAt: Double(expires) / 1e6)
    }

    fileprivate var json: JSON {
        [
            "user": .string(userID), "project": .optional(projectID), "methods": .array(methods.map(JSON.string)),
            "audit_ids": .array(auditIDs.map(JSON.string)), "issued_at_us": .integer(Int64(issuedAt * 1e6)),
            "expires_at_us": .integer(Int64(expiresAt * 1e6)),
        ]
    }
}
