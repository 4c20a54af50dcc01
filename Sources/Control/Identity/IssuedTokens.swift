// Tokens that the built-in endpoint has given out: hashes in memory, for an hour each. A restart forgets them, and
// clients log in again. Before: TokenIssuer. After: Authenticator.

import Foundation
import Synchronization

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
}

/// All tokens that are in use.
final class IssuedTokens: Sendable {
    /// More of one user's push out their oldest.
    static let mostOfAUser = 256
    private let kept = Mutex<[TokenHash: IssuedToken]>([:])

    func add(_ token: IssuedToken, now: Double) -> SecretToken {
        let secret = SecretToken()
        kept.withLock { kept in
            let own = kept.filter { $0.value.userID == token.userID }
            for (hash, other) in own where other.expiresAt <= now { kept[hash] = nil }
            if own.count >= Self.mostOfAUser {
                let oldest = own.min { $0.value.issuedAt < $1.value.issuedAt }
                if let oldest { kept[oldest.key] = nil }
            }
            kept[secret.hash] = token
        }
        return secret
    }

    func find(_ hash: TokenHash, now: Double) -> IssuedToken? {
        kept.withLock { kept in
            guard let token = kept[hash] else { return nil }
            if token.expiresAt > now { return token }
            kept[hash] = nil
            return nil
        }
    }

    func revoke(_ hash: TokenHash) { kept.withLock { $0[hash] = nil } }
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
