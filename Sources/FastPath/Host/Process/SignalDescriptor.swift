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

    /// The next signal; waits for one.
    package func next() throws(HostError) -> Int32 {
        var info = signalfd_siginfo()
        let size = MemoryLayout<signalfd_siginfo>.size
        while read(descriptor.raw, &info, size) != size {
            if errno != EINTR { throw .system("cannot read signals") }
        }
        return Int32(info.ssi_signo)
    }
}
