// Guessing passwords gets slower: per user from one address, per address, and more patiently per user from anywhere.
// Before: a failed login. After: TokenIssuer refuses until a while has passed.

import Synchronization

/// Failed logins that are remembered.
final class AttemptBackOff: Sendable {
    private enum Key: Hashable {
        case pair(user: String, address: String)
        case address(String)
        case user(String)

        /// Failures that cost nothing, and the longest wait in seconds. A user can be locked out from afar only for
        /// moments.
        var limits: (free: Int, longest: Double) {
            switch self {
            case .pair: (4, 300)
            case .address: (20, 300)
            case .user: (50, 10)
            }
        }
    }

    private struct Failures {
        var count: Int
        var until: ContinuousClock.Instant
        var last: ContinuousClock.Instant
    }

    /// Above this the oldest are forgotten, so that many addresses cost no memory.
    private static let most = 10_000
    private static let forgottenAfter = Duration.seconds(900)
    private let kept = Mutex<[Key: Failures]>([:])

    private static func keys(_ user: String, _ address: String) -> [Key] {
        [.pair(user: user, address: address), .address(address), .user(user)]
    }

    /// Seconds until the next attempt is looked at; nil: now.
    func wait(user: String, address: String, now: ContinuousClock.Instant = .now) -> Int? {
        kept.withLock { kept in
            let until = Self.keys(user, address).compactMap { kept[$0]?.until }.max()
            guard let until, until > now else { return nil }
            return max(1, Int(until.duration(to: now).components.seconds.magnitude))
        }
    }

    func failed(user: String, address: String, now: ContinuousClock.Instant = .now) {
        kept.withLock { kept in
            for key in Self.keys(user, address) {
                var failures = kept[key] ?? Failures(count: 0, until: now, last: now)
                if failures.last.advanced(by: Self.forgottenAfter) < now { failures.count = 0 }
                failures.count += 1
                failures.last = now
                let over = failures.count - key.limits.free
                if over > 0 {
                    let seconds = min(Double(1 << min(over - 1, 20)), key.limits.longest)
                    failures.until = now.advanced(by: .seconds(seconds))
                }
                kept[key] = failures
            }
            if kept.count > Self.most {
                let oldest = kept.sorted { $0.value.last < $1.value.last }.prefix(Self.most / 10)
                for (key, _) in oldest { kept[key] = nil }
            }
        }
    }

    /// The right password: what this user did wrong from this address is forgotten.
    func succeeded(user: String, address: String) {
        kept.withLock { $0[.pair(user: user, address: address)] = nil }
    }
}
