// The longest time without an original, as the promises of `inline` state it. Before it: StreamCheck's pauses.

import Foundation
import Lab

/// Milliseconds of the longest pause at the receiver, and of the longest interruption: a pause less what the sender was
/// late itself.
struct Gap: CustomStringConvertible {
    private(set) var pause = 0.0
    private(set) var interruption = 0.0

    /// - Parameter rate: frames a second that the sender was to send.
    init(longestOf check: StreamCheck, rate: Double = 10_000) {
        for pause in check.pauses {
            self.pause = max(self.pause, Double(pause.arrivals.upperBound - pause.arrivals.lowerBound) / 1e6)
            interruption = max(interruption, Double(pause.interruption(rate: rate)) / 1e6)
        }
    }

    var description: String {
        "longest gap \(Self.text(interruption)) ms (\(Self.text(pause)) ms with the sender's own pauses)"
    }

    private static func text(_ value: Double) -> String { String(format: "%.1f", value) }
}
