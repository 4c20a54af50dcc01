// Pure: the fuse of one uplink. Before it: what the workers and the kernel have counted since the last look. After it:
// UplinkFuses.swift gives the uplink's destinations the fate `fused`, or takes it from them.
//
// It blows when most copies have failed in every look for a while. After a pause copies flow again, on trial: it blows again
// soon, for twice as long, or is whole when all has gone well for longer than the pause was. Log and status speak of it as
// blown until then, so that a trial is not a change.

package import MirrorProgram

/// Whether copies flow through an uplink.
package struct UplinkFuse: Equatable {
    package enum State: Equatable {
        case whole
        /// Copies are shed, until then.
        case blown(until: UInt64)
        /// Copies flow, and nothing has failed since then.
        case onTrial(goodSince: UInt64)
    }

    /// What has happened since the last look.
    package struct Look {
        /// Copies that were handed to the uplink, and those that it had no room for or that were above its cap.
        package var handed, failed: UInt64
        /// Frames that the kernel dropped on the workers' CPUs because it did not come round to them.
        package var starved: UInt64

        package init(handed: UInt64, failed: UInt64, starved: UInt64 = 0) {
            self.handed = handed
            self.failed = failed
            self.starved = starved
        }

        var isBad: Bool { starved > 0 || failed > 0 && failed >= handed }

        /// In the words of a reason.
        var words: String {
            starved > 0
                ? "the kernel drops frames on the workers' CPUs (softnet_stat)"
                : "\(failed) of \(handed + failed) copies found no room in it or were above its cap"
        }
    }

    package let rule: MirrorProgram.Fuse
    package private(set) var state = State.whole
    /// How often it has blown.
    package private(set) var count: UInt64 = 0
    /// What it was that it blew of when it was whole.
    package private(set) var reason: String?
    private var badSince: UInt64?
    /// ns.
    private var pause: UInt64

    /// The longest pause is so many times the first one.
    private static let longest: UInt64 = 8

    package init(_ rule: MirrorProgram.Fuse) {
        self.rule = rule
        pause = UInt64(rule.pause) * 1_000_000
    }

    /// Whether copies are shed.
    package var sheds: Bool { if case .blown = state { true } else { false } }

    /// Whether it is on trial or sheds.
    package var isBlown: Bool { state != .whole }

    /// Takes a look in.
    ///
    /// - Parameter now: ns of a clock that only goes forward.
    package mutating func take(_ look: Look, at now: UInt64) {
        if case .blown(let until) = state {
            if now >= until {
                state = .onTrial(goodSince: now)
                badSince = nil
            }
            return
        }
        if !look.isBad {
            badSince = nil
            if case .onTrial(let since) = state, now - since > pause {
                state = .whole
                pause = UInt64(rule.pause) * 1_000_000
            }
            return
        }
        let since = badSince ?? now
        badSince = since
        let patience = UInt64(rule.after) * 1_000_000
        switch state {
        case .whole:
            if now - since >= patience { blow(look, at: now) }
        case .onTrial:
            state = .onTrial(goodSince: now)
            if now - since >= patience / 4 {
                pause = min(pause * 2, UInt64(rule.pause) * 1_000_000 * Self.longest)
                blow(look, at: now)
            }
        case .blown: break
        }
    }

    private mutating func blow(_ look: Look, at now: UInt64) {
        if state == .whole { reason = look.words }
        state = .blown(until: now + pause)
        count += 1
        badSince = nil
    }

    /// Frames that each CPU has dropped because its backlog was full: /proc/net/softnet_stat, one line of hexadecimal numbers
    /// a CPU, of which the second is that count and the thirteenth, since Linux 5.10, the CPU.
    package static func starved(_ text: String) -> [Int: UInt64] {
        var drops: [Int: UInt64] = [:]
        for (line, row) in text.split(separator: "\n").enumerated() {
            let numbers = row.split(separator: " ").map { UInt64($0, radix: 16) ?? 0 }
            if numbers.count > 1 { drops[numbers.count > 12 ? Int(numbers[12]) : line] = numbers[1] }
        }
        return drops
    }
}
