// The main thread of the dataplane: one epoll set and a few timers. Before it: the kernel's descriptors. After it:
// the callbacks of the control socket, rtnetlink and the signals. Nothing here touches a frame.

import CShims
import Glibc

/// A single-threaded loop over descriptors and timers.
package final class EventLoop {
    /// A callback that runs once its deadline has passed.
    package final class Timer {
        fileprivate var deadline: ContinuousClock.Instant?
        fileprivate let fire: () -> Void

        fileprivate init(_ fire: @escaping () -> Void) { self.fire = fire }

        /// Sets the deadline; an earlier one that is still to come stays.
        package func schedule(in delay: Duration) {
            let wanted = ContinuousClock.now.advanced(by: delay)
            if deadline.map({ wanted < $0 }) ?? true { deadline = wanted }
        }
    }

    private struct Watch {
        let token: UInt32
        let callback: (_ events: UInt32) -> Void
    }

    private let epoll: Descriptor
    private var watches: [Int32: Watch] = [:]
    private var timers: [Timer] = []
    private var nextToken: UInt32 = 1
    private var running = false

    package init() throws(HostError) {
        epoll = try Descriptor("cannot make an epoll set") { epoll_create1(Int32(EPOLL_CLOEXEC)) }
    }

    /// Calls back whenever `descriptor` can be read, or with `writable` whenever it can be written.
    package func watch(
        _ descriptor: Int32, writable: Bool = false, _ callback: @escaping (_ events: UInt32) -> Void
    ) throws(HostError) {
        let known = watches[descriptor] != nil
        var event = epoll_event()
        event.events = writable ? EPOLLOUT.rawValue : EPOLLIN.rawValue
        event.data.u64 = UInt64(descriptor) << 32 | UInt64(nextToken)
        try check("cannot watch descriptor \(descriptor)") {
            epoll_ctl(epoll.raw, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, descriptor, &event)
        }
        watches[descriptor] = Watch(token: nextToken, callback: callback)
        nextToken &+= 1
    }

    /// Must come before the descriptor is closed.
    package func unwatch(_ descriptor: Int32) {
        guard watches.removeValue(forKey: descriptor) != nil else { return }
        _ = epoll_ctl(epoll.raw, EPOLL_CTL_DEL, descriptor, nil)
    }

    /// A timer that does nothing until it is scheduled; the loop keeps it.
    package func timer(_ fire: @escaping () -> Void) -> Timer {
        let timer = Timer(fire)
        timers.append(timer)
        return timer
    }

    /// Runs until `stop()`.
    package func run() throws(HostError) {
        running = true
        while running { try turn(atMost: .seconds(60)) }
    }

    package func stop() { running = false }

    /// Waits for one batch of events, no longer than `limit`, and serves it and the timers that are due.
    package func turn(atMost limit: Duration) throws(HostError) {
        var events = [epoll_event](repeating: epoll_event(), count: 64)
        let count = epoll_wait(epoll.raw, &events, Int32(events.count), milliseconds(atMost: limit))
        if count < 0, errno != EINTR { throw .system("cannot wait for events") }
        for event in events.prefix(max(0, Int(count))) {
            // A callback may have replaced or removed later watches of this batch: their tokens are gone.
            guard let watch = watches[Int32(event.data.u64 >> 32)],
                watch.token == UInt32(truncatingIfNeeded: event.data.u64)
            else { continue }
            watch.callback(event.events)
        }
        let now = ContinuousClock.now
        for timer in timers {
            guard let deadline = timer.deadline, deadline <= now else { continue }
            timer.deadline = nil
            timer.fire()
        }
    }

    private func milliseconds(atMost limit: Duration) -> Int32 {
        let now = ContinuousClock.now
        let wait = timers.compactMap(\.deadline).min().map { min(now.duration(to: $0), limit) } ?? limit
        if wait <= .zero { return 0 }
        let parts = wait.components
        return Int32(clamping: parts.seconds * 1000 + parts.attoseconds / 1_000_000_000_000_000 + 1)
    }
}
