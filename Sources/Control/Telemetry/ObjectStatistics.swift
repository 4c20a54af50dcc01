// The counters of one tap service, tap flow or tap mirror, out of the latest that the dataplane said.
// Before: Telemetry, which the reconciler fills. After: the attribute `statistics` of the API's answers.

package import ControlModel
import Foundation
import MirrorProgram

/// Counters by the object that they are of.
///
/// An object is carried out as the taps or destinations whose ids are its own, or its own and a part behind a `/`.
package struct ObjectStatistics: Sendable {
    private struct Counters {
        var frames: UInt64 = 0
        var bytes: UInt64 = 0
        var truncated: UInt64 = 0
        var drops: [String: UInt64] = [:]

        mutating func add(_ frames: UInt64, _ bytes: UInt64, _ truncated: UInt64, _ drops: [String: UInt64]) {
            self.frames += frames
            self.bytes += bytes
            self.truncated += truncated
            self.drops.merge(drops, uniquingKeysWith: +)
        }
    }

    private let observation: Observation
    /// By id of the object; of a destination that is spread, the members count and not the whole.
    private let counters: [String: Counters]

    init(_ observation: Observation) {
        self.observation = observation
        var wholes: [String: Counters] = [:]
        var parts: [String: Counters] = [:]
        func add(_ id: String, _ frames: UInt64, _ bytes: UInt64, _ truncated: UInt64, _ drops: [String: UInt64]) {
            if let slash = id.firstIndex(of: "/") {
                parts[String(id[..<slash]), default: Counters()].add(frames, bytes, truncated, drops)
            } else {
                wholes[id, default: Counters()].add(frames, bytes, truncated, drops)
            }
        }
        for tap in observation.statistics?.taps ?? [] {
            add(tap.id, tap.frames, tap.bytes, tap.truncated, tap.drops)
        }
        let mirrored = Set(parts.keys)
        // A mirror's taps and destinations have the same id before the `/`; its taps count.
        for destination in observation.statistics?.destinations ?? [] {
            let owner = destination.id.prefix { $0 != "/" }
            if mirrored.contains(String(owner)) { continue }
            add(destination.id, destination.frames, destination.bytes, destination.truncated, destination.drops)
        }
        counters = wholes.merging(parts) { _, parts in parts }
    }

    /// `{"frames", "bytes", "truncated", "drops": {reason: count}, "updated_at"}`, or null of what has no counters (yet).
    package func document(of id: String) -> JSON {
        guard let counters = counters[id], let time = observation.statisticsTime else { return .null }
        var drops = JSON.Object()
        for (reason, count) in counters.drops.sorted(by: { $0.key < $1.key }) {
            drops.append(reason, .integer(Int64(clamping: count)))
        }
        let updated = Date(timeIntervalSince1970: time).formatted(
            Date.ISO8601FormatStyle(includingFractionalSeconds: true))
        return [
            "frames": .integer(Int64(clamping: counters.frames)), "bytes": .integer(Int64(clamping: counters.bytes)),
            "truncated": .integer(Int64(clamping: counters.truncated)), "drops": .object(drops),
            "updated_at": .string(updated),
        ]
    }
}
