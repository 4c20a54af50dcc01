// Counters become rates between two readings that are of the same epoch.

package import ControlModel
import Foundation

/// Frames and bytes per second of each tap flow, from the last two readings.
package struct Rates: Sendable {
    package struct Rate: Hashable, Sendable {
        package let frames: Double
        package let bytes: Double

        package init(frames: Double, bytes: Double) { (self.frames, self.bytes) = (frames, bytes) }
    }

    private struct Reading {
        let epoch: JSON
        let time: Date
        let flows: [String: (frames: UInt64, bytes: UInt64)]
    }

    private var last: Reading?
    private var rates: [String: Rate] = [:]

    package init() {}

    /// The rate of the tap flow with this id; nil before there are two readings.
    package subscript(id: String) -> Rate? { rates[id] }

    /// Takes a reading in. One with the time of the last (the control process polls on its own) changes nothing.
    package mutating func take(_ statistics: JSON) {
        guard let time = statistics["updated_at"].string.flatMap(Self.date) else { return }
        var flows: [String: (frames: UInt64, bytes: UInt64)] = [:]
        for flow in statistics["tap_flows"].items {
            guard let id = flow["id"].string, let frames = flow["frames"].count, let bytes = flow["bytes"].count else {
                continue
            }
            flows[id] = (frames, bytes)
        }
        let reading = Reading(epoch: statistics["epoch"], time: time, flows: flows)
        guard let before = last, before.epoch == reading.epoch else {
            (last, rates) = (reading, [:])
            return
        }
        let seconds = time.timeIntervalSince(before.time)
        guard seconds > 0 else { return }
        rates = [:]
        for (id, now) in flows {
            guard let then = before.flows[id], now.frames >= then.frames, now.bytes >= then.bytes else { continue }
            rates[id] = Rate(
                frames: Double(now.frames - then.frames) / seconds, bytes: Double(now.bytes - then.bytes) / seconds)
        }
        last = reading
    }

    /// ISO 8601, with or without a fraction of a second.
    private static func date(_ text: String) -> Date? {
        (try? Date(text, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true)))
            ?? (try? Date(text, strategy: Date.ISO8601FormatStyle()))
    }
}
