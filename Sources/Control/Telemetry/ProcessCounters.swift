// What this control process did since its start: requests answered, commits written. Before: the API's responder and
// the store's transactions. After: GET /metrics.

import Synchronization

/// Counters of one process.
final class ProcessCounters: Sendable {
    struct Request: Hashable {
        let method: String
        let status: Int
    }

    struct Values: Sendable {
        var requests: [Request: UInt64] = [:]
        var durations = Histogram()
        var inFlight = 0
        var refused: UInt64 = 0
        var commits = Histogram()
        var committed: UInt64 = 0
        var conflicts: UInt64 = 0
        var failed: UInt64 = 0
        var desiredGeneration: UInt64?
    }

    private let state = Mutex(Values())

    var values: Values { state.withLock { $0 } }

    func update<Result: Sendable>(_ body: (inout sending Values) -> sending Result) -> Result {
        state.withLock { body(&$0) }
    }
}

extension Telemetry {
    /// Methods that are counted by name; a client can make up any other.
    private static let methods: Set<String> = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]

    /// A request arrived.
    ///
    /// - Returns: false where so many are being answered that this one is refused.
    package func beginRequest(limit: Int) -> Bool {
        counters.update { values in
            if values.inFlight >= limit {
                values.refused += 1
                return false
            }
            values.inFlight += 1
            return true
        }
    }

    package func endRequest(method: String, status: Int, seconds: Double) {
        let method = Self.methods.contains(method) ? method : "other"
        counters.update { values in
            values.inFlight -= 1
            values.requests[ProcessCounters.Request(method: method, status: status), default: 0] += 1
            values.durations.record(seconds)
        }
    }

    /// One transaction of the store was written, or not.
    package func recordCommit(seconds: Double, committed: Int, conflicts: Int, failed: Int) {
        counters.update { values in
            values.commits.record(seconds)
            values.committed += UInt64(committed)
            values.conflicts += UInt64(conflicts)
            values.failed += UInt64(failed)
        }
    }

    /// The generation that the dataplane is to run.
    package func record(desiredGeneration: UInt64) {
        counters.update { $0.desiredGeneration = desiredGeneration }
    }
}
