// The latest that is known of the dataplane: never stored, only shown.
// Before: the reconciler, which asks the dataplane. After: GET /v2.0/heliostat/status and /statistics, /metrics.

package import MirrorProgram
import Synchronization

/// What the dataplane last said, and when.
package struct Observation: Hashable, Sendable {
    package var isConnected: Bool
    /// Why it is not connected, or what it refused.
    package var reason: String?
    /// As of the last answer; nil before the first.
    package var status: DataplaneStatus?
    /// Its counters, with those of dataplanes that this process saw before it.
    package var statistics: DataplaneStatistics?
    /// Seconds since 1970-01-01 UTC at which `statistics` was received.
    package var statisticsTime: Double?

    package init(
        isConnected: Bool = false, reason: String? = "not asked yet", status: DataplaneStatus? = nil,
        statistics: DataplaneStatistics? = nil, statisticsTime: Double? = nil
    ) {
        self.isConnected = isConnected
        self.reason = reason
        self.status = status
        self.statistics = statistics
        self.statisticsTime = statisticsTime
    }
}

/// The place where the reconciler leaves its observation and the API finds it.
package final class Telemetry: Sendable {
    private let state = Mutex((observation: Observation(), earlier: EarlierEpochs()))
    let counters = ProcessCounters()
    /// Of the last statistics, once somebody has asked: thousands of taps are not added up for every answer.
    private let sums = Mutex<ObjectStatistics?>(nil)

    package init() {}

    package var observation: Observation { state.withLock { $0.observation } }

    /// What runs, or why it could not be asked. Counters of a dataplane that does not answer stay, with their time.
    package func record(isConnected: Bool, reason: String?, status: DataplaneStatus?) {
        state.withLock { state in
            state.observation.isConnected = isConnected
            state.observation.reason = reason
            state.observation.status = isConnected ? status ?? state.observation.status : nil
        }
    }

    package func record(_ statistics: DataplaneStatistics, time: Double) {
        state.withLock { state in
            if let last = state.observation.statistics, last.epoch != statistics.epoch {
                state.earlier.end(with: last)
            }
            state.observation.statistics = state.earlier.added(to: statistics)
            state.observation.statisticsTime = time
        }
        sums.withLock { $0 = nil }
    }

    /// The counters as of the last statistics.
    package var objectStatistics: ObjectStatistics {
        sums.withLock { sums in
            let latest = sums ?? ObjectStatistics(observation)
            sums = latest
            return latest
        }
    }
}
