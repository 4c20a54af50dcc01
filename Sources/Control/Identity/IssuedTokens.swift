// Tokens that the built-in endpoint has given out, for an hour each. Before: TokenIssuer. After: API/StoredTokens.swift,
// which keeps them.

package import ControlModel
import Foundation

/// What a token stands for.
package struct IssuedToken: Hashable, Sendable {
    package var userID: String
    /// Nil: the token is good for asking which projects there are, and no more.
    package var projectID: String?
    package var methods: [String]
    package var auditIDs: [String]
    /// Seconds since 1970.
    package var issuedAt: Double
    package var expiresAt: Double

    package init(
        userID: String, projectID: String?, methods: [String], auditIDs: [String], issuedAt: Double, expiresAt: Double
    ) {
        self.userID = userID
        self.projectID = projectID
        self.methods = methods
        self.auditIDs = auditIDs
        self.issuedAt = issuedAt
        self.expiresAt = expiresAt
    }
}

/// Where the tokens that are in use are kept, for every process that serves: by their hashes.
package protocol IssuedTokens: Sendable {
    /// Keeps a token; of more than `mostOfAUser`, the user's oldest goes.
    func add(_ token: IssuedToken, _ hash: TokenHash) async throws(Fault)
    func find(_ hash: TokenHash) async throws(Fault) -> IssuedToken?
    func revoke(_ hash: TokenHash) async throws(Fault)
}

extension IssuedTokens {
    /// Most tokens of one user at a time.
    package static var mostOfAUser: Int { 256 }
}

/// Times as Keystone writes them: `2026-11-26T02:00:00.000000Z`.
package enum Timestamp {
    package static func text(_ seconds: Double) -> String {
        var time = time_t(seconds)
        var parts = tm()
        gmtime_r(&time, &parts)
        var buffer = [CChar](repeating: 0, count: 32)
        let count = strftime(&buffer, buffer.count, "%Y-%m-%dT%H:%M:%S.000000Z", &parts)
        return String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Seconds since 1970; fractions are dropped. Nil for anything else than a time in UTC.
    package static func seconds(_ text: String) -> Double? {
        guard let found = text.prefixMatch(of: /(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d+)?Z/) else {
            return nil
        }
        var parts = tm()
        parts.tm_year = Int32(found.1)! - 1900
        parts.tm_mon = Int32(found.2)! - 1
        (parts.tm_mday, parts.tm_hour) = (Int32(found.3)!, Int32(found.4)!)
        (parts.tm_min, parts.tm_sec) = (Int32(found.5)!, Int32(found.6)!)
        return Double(timegm(&parts))
    }
}
