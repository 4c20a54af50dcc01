// Where passwords are compared: a thread of its own, one at a time, so that logins cost the API neither its threads nor
// the machine's memory. Before: TokenIssuer. After: yes or no.

import ControlModel
import Dispatch
import Synchronization

/// A queue for scrypt that is short on purpose.
final class PasswordCheck: Sendable {
    /// More than these wait too long to be worth it.
    static let longestQueue = 16

    private let queue = DispatchQueue(label: "heliostat.scrypt", qos: .utility)
    private let waiting = Mutex(0)

    /// - Throws: `Fault` 503 while too many wait.
    func matches(_ password: String, _ hash: PasswordHash) async throws(Fault) -> Bool {
        let isAdmitted = waiting.withLock { waiting in
            if waiting == Self.longestQueue { return false }
            waiting += 1
            return true
        }
        if !isAdmitted { throw Fault(503, "Service Unavailable", "Too many logins at once; try again in a moment.") }
        return await withCheckedContinuation { continuation in
            queue.async {
                let result = hash.matches(password)
                self.waiting.withLock { $0 -= 1 }
                continuation.resume(returning: result)
            }
        }
    }
}
