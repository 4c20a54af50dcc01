// When a place that somebody else wants too is taken back: at once, and later and later where it is taken again, so that
// two who both insist do not fight for ever. Pure. Before it: CaptureHook.swift and DeviceChanges.swift find the place
// taken. After it: they act, or tell.

/// How long somebody else is borne with.
package struct Patience {
    /// Longest time between two acts.
    package static let longest = Duration.seconds(64)

    private var last: ContinuousClock.Instant?
    private var delay = Duration.zero

    package init() {}

    /// Whether to act now; asked only while the place is taken.
    ///
    /// - Returns: true the first time, and again after 2, 4, 8, … 64 seconds; whoever has kept quiet for twice the longest
    ///   of these is forgiven.
    package mutating func isOver(at now: ContinuousClock.Instant = .now) -> Bool {
        if let last {
            let quiet = last.duration(to: now)
            if quiet < delay { return false }
            if quiet > Self.longest * 2 { delay = .zero }
        }
        last = now
        delay = delay == .zero ? .seconds(2) : min(delay * 2, Self.longest)
        return true
    }
}
