// How long the worker naps after a turn that did not find a budget's worth: as long as it takes the next one to find a
// batch, by what the last ones found. Before it: the turns of Worker.swift. After it: nanosleep(2), which adds the
// thread's timer slack, 50 µs.

/// The length of the next nap.
package struct Nap {
    @inline(__always) package static var shortest: Int { 50_000 }
    /// What is captured meanwhile has room in the rings at any rate that a CPU captures, and no copy is later by more.
    @inline(__always) package static var longest: Int { 200_000 }

    package private(set) var nanoseconds = Nap.shortest

    package init() {}

    /// With less than a quarter of what a turn may take the next nap may be longer, with more than three it has to be shorter.
    ///
    /// - Parameters:
    ///   - taken: records of the turn before it, at least one.
    ///   - budget: what it may take.
    ///   - mayWait: all of them were captured. Receive rings hold less, and what a driver finds no room for is lost.
    @inline(__always)
    package mutating func follow(_ taken: Int, _ budget: Int, mayWait: Bool) {
        if !mayWait {
            nanoseconds = Nap.shortest
        } else if taken < budget / 4 {
            nanoseconds = min(nanoseconds &* 2, Nap.longest)
        } else if taken > budget &- budget / 4 {
            nanoseconds = max(nanoseconds / 2, Nap.shortest)
        }
    }

    /// The next frame is the first one after a pause.
    @inline(__always)
    package mutating func begin() { nanoseconds = Nap.shortest }
}
