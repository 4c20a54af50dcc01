// Signals as something to read: they are blocked in every thread that is made afterwards, and arrive in the main loop.

import CShims
import Glibc

/// A signalfd over a set of signals.
package final class SignalDescriptor {
    private let descriptor: Descriptor
    package var raw: Int32 { descriptor.raw }

    /// Call it before the first thread is made.
    package init(_ signals: [Int32]) throws(HostError) {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in signals { sigaddset(&set, signal) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
        descriptor = try Descriptor("cannot follow signals") { signalfd(-1, &set, Int32(SFD_CLOEXEC)) }
    }

    /// Waits for the next signal; nil when none came before the deadline.
    package func next(before deadline: ContinuousClock.Instant? = nil) throws(HostError) -> Int32? {
        var waiting = pollfd(fd: descriptor.raw, events: Int16(POLLIN), revents: 0)
        let left = deadline.map { max(.zero, ContinuousClock.now.duration(to: $0)).components }
        let milliseconds = left.map { Int32($0.seconds * 1000 + $0.attoseconds / 1_000_000_000_000_000 + 1) } ?? -1
        let ready = poll(&waiting, 1, milliseconds)
        if ready < 0, errno != EINTR { throw .system("cannot wait for signals") }
        if ready <= 0 { return nil }
        var info = signalfd_siginfo()
        let size = MemoryLayout<signalfd_siginfo>.size
        if read(descriptor.raw, &info, size) != size { throw .system("cannot read signals") }
        return Int32(info.ssi_signo)
    }
}
