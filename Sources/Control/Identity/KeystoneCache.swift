// What Keystone said, for a while: so that each request need not ask, and so that a moment's outage is not noticed.
// Before: Keystone. After: Caller.

import ControlModel

/// Answers by the hash of the token.
struct KeystoneCache {
    enum Answer: Hashable, Sendable {
        case accepted(Caller, expiresAt: Double)
        case refused

        /// The `token` of an answer to GET /v3/auth/tokens. One that is not scoped to a project is as good as none.
        ///
        /// - Throws: `IdentityError` if the body is none that Keystone writes.
        init(_ body: JSON) throws(IdentityError) {
            guard let token = body.object?["token"]?.object, let user = token["user"]?.object,
                let expiry = token["expires_at"]?.string.flatMap(Timestamp.seconds)
            else { throw IdentityError("its answer about a token has no 'token' with a user and an expiry") }
            guard let project = token["project"]?.object?["id"]?.string else {
                self = .refused
                return
            }
            let roles = (token["roles"]?.array ?? []).compactMap { $0.object?["name"]?.string }
            let rules = token["application_credential"]?.object?["access_rules"]?.array
            self = .accepted(
                Caller(
                    userID: user["id"]?.string ?? "", userName: user["name"]?.string ?? "", projectID: project,
                    roles: Set(roles.map(Caller.Role.init(rawValue:))), accessRules: rules?.compactMap(AccessRule.init)),
                expiresAt: expiry)
        }

        func caller() throws(Fault) -> Caller {
            guard case .accepted(let caller, _) = self else { throw .unauthorized }
            return caller
        }
    }

    private struct Entry {
        let answer: Answer
        let until: Double
    }

    /// Of either kind; refusals push out refusals only, so that guessed tokens cost nobody their place.
    private static let most = 10_000
    private let timeToLive: Double
    private var accepted: [TokenHash: Entry] = [:]
    private var refused: [TokenHash: Entry] = [:]

    init(timeToLive: Double) { self.timeToLive = timeToLive }

    func find(_ hash: TokenHash, now: Double) -> Answer? {
        guard let entry = accepted[hash] ?? refused[hash], entry.until > now else { return nil }
        return entry.answer
    }

    mutating func add(_ hash: TokenHash, _ answer: Answer, now: Double) {
        switch answer {
        case .accepted(_, let expiry):
            refused[hash] = nil
            Self.put(&accepted, hash, Entry(answer: answer, until: min(now + timeToLive, expiry)), now)
        case .refused:
            accepted[hash] = nil
            Self.put(&refused, hash, Entry(answer: answer, until: now + timeToLive), now)
        }
    }

    private static func put(_ table: inout [TokenHash: Entry], _ hash: TokenHash, _ entry: Entry, _ now: Double) {
        if table.count >= most {
            table = table.filter { $0.value.until > now }
            if table.count >= most {
                for (old, _) in table.sorted(by: { $0.value.until < $1.value.until }).prefix(most / 10) {
                    table[old] = nil
                }
            }
        }
        table[hash] = entry
    }
}
