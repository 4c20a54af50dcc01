// Time as the lab uses it: the clock that the kernel stamps received frames with, and waiting for a state.

import Glibc

/// Nanoseconds since 1970-01-01 UTC (CLOCK_REALTIME): the clock of the kernel's receive timestamps.
public func nowNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// Asks for a state until it is there.
///
/// - Parameters:
///   - seconds: the deadline, from now.
///   - interval: seconds between two looks.
///   - condition: the state; looked at once more at the deadline.
/// - Returns: whether the state came in time.
@discardableResult
public func poll(seconds: Double, every interval: Double = 0.005, until condition: () throws -> Bool) rethrows -> Bool {
    let deadline = nowNanoseconds() + UInt64(seconds * 1e9)
    while true {
        if try condition() { return true }
        if nowNanoseconds() >= deadline { return false }
        usleep(UInt32(interval * 1e6))
    }
}
