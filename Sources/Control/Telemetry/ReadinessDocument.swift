// Whether this process does what it is for: the store answers, and the dataplane runs what is desired.
// Before: Telemetry. After: GET /readyz.

package import ControlModel
import MirrorProgram

extension Telemetry {
    /// - Parameters:
    ///   - storeTrouble: why the store cannot be read; nil when it can.
    ///   - reconciles: false for a process that only serves the API: the dataplane is not its concern.
    /// - Returns: the body, and whether the process is ready.
    package func readinessDocument(storeTrouble: String?, reconciles: Bool) -> (body: JSON, isReady: Bool) {
        let (observation, desired) = (observation, counters.values.desiredGeneration)
        let applied = observation.isConnected ? observation.status?.generation : nil
        var reasons: [String] = []
        if let storeTrouble { reasons.append("store: \(storeTrouble)") }
        if reconciles {
            if !observation.isConnected {
                reasons.append("dataplane: \(observation.reason ?? "not connected")")
            } else if let reason = observation.reason {
                reasons.append("dataplane: \(reason)")
            } else if desired == nil || desired != applied {
                reasons.append("dataplane: it does not run the desired program yet")
            }
        }
        let number = { (value: UInt64?) in value.map { JSON.integer(Int64(clamping: $0)) } ?? .null }
        let body: JSON = [
            "ready": .bool(reasons.isEmpty), "desired_generation": number(desired),
            "applied_generation": number(applied), "reconciles": .bool(reconciles),
            "reasons": .array(reasons.map(JSON.string)),
        ]
        return (body, reasons.isEmpty)
    }
}
