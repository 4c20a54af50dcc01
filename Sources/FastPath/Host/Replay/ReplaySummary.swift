// The ledger of a replay in lines. Before it: Replay.swift. After it: standard error.

import MirrorProgram

extension Replay.Outcome {
    /// One line for the file, one for each tap and each destination.
    package func lines(_ input: String) -> [String] {
        ["\(input): \(frames) frames" + (isCutShort ? "; the file ends within one" : "")]
            + taps.map {
                "tap \($0.id): \($0.frames) copies, \($0.bytes) bytes\(Self.losses($0.truncated, $0.drops))"
            }
            + destinations.map {
                "destination \($0.id): \($0.offered) offered, \($0.frames) copies, \($0.bytes) bytes\(Self.losses($0.truncated, $0.drops))"
            }
    }

    private static func losses(_ truncated: UInt64, _ drops: [String: UInt64]) -> String {
        (truncated > 0 ? ", \(truncated) truncated" : "")
            + drops.filter { $0.value > 0 }.sorted { $0.key < $1.key }.map { ", dropped \($0.value) \($0.key)" }
            .joined()
    }
}
