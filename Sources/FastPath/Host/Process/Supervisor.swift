// Keeps one dataplane running. Two children: one works, the other has loaded its BPF programs and stands by at the
// state directory's lock, which the kernel hands to it the moment the first one dies. So the supervisor is not on the
// way of a restart at all; it touches neither kernel objects nor frames, and has nothing to die of itself.
//
// Why a stand-by: starting the process and having libbpf read the kernel's type information takes 60 to 150 ms on a
// busy machine, of the 250 ms after which copies are to flow again.

import CShims
import Glibc
package import Logging

/// `heliostat-dataplane --supervise`.
package final class Supervisor {
    private let arguments: [String]
    private let lock: Descriptor
    private let logger: Logger
    private let signals: SignalDescriptor
    /// When each child was started.
    private var children: [pid_t: ContinuousClock.Instant] = [:]
    private var backOff = BackOff()
    /// When the next child is to be started, if one is missing.
    private var startAt: ContinuousClock.Instant = .now
    /// Set once it is to end: the exit status.
    private var status: Int32?

    /// - Parameter arguments: of the dataplane; they make it wait for the directory's lock.
    package init(stateDirectory: String, arguments: [String], logger: Logger) throws(HostError) {
        try StateDirectory.make(stateDirectory)
        lock = try StateDirectory.lock(
            stateDirectory + "/supervisor.lock", waiting: false, else: "another supervisor",
            "keeps a dataplane on \(stateDirectory); stop it first")
        self.arguments = arguments
        self.logger = logger
        Priority.hurry()
        signals = try SignalDescriptor([SIGTERM, SIGINT, SIGCHLD])
    }

    /// Runs until SIGTERM or SIGINT, or until a dataplane ends by itself.
    ///
    /// - Returns: the exit status.
    package func run() throws(HostError) -> Int32 {
        while true {
            if let status, children.isEmpty { return status }
            if status == nil, children.count < 2, startAt <= .now {
                children[try start()] = .now
                continue
            }
            guard let signal = try signals.next(before: status == nil && children.count < 2 ? startAt : nil) else {
                continue
            }
            if signal == SIGCHLD { reap() } else { end(0, by: signal) }
        }
    }

    /// How long to wait before the next start: not at all, unless they keep dying at once.
    package struct BackOff {
        private var quickDeaths = 0

        package init() {}

        package mutating func delay(afterLifeOf life: Duration) -> Duration {
            quickDeaths = life < .seconds(1) ? quickDeaths + 1 : 0
            if quickDeaths < 4 { return .zero }
            return .milliseconds(min(5000, 100 << min(quickDeaths - 4, 6)))
        }
    }

    private func reap() {
        var ended: Int32 = 0
        while true {
            let child = waitpid(-1, &ended, WNOHANG)
            guard child > 0, let started = children.removeValue(forKey: child) else { return }
            if status != nil { continue }
            let signal = ended & 0x7F
            if signal == 0 {
                end(ended >> 8 & 0xFF, by: SIGTERM)
                continue
            }
            let delay = backOff.delay(afterLifeOf: started.duration(to: .now))
            startAt = .now.advanced(by: delay)
            logger.error(
                "a dataplane (pid \(child)) died of signal \(signal); starting another\(delay == .zero ? "" : " in \(delay)")"
            )
        }
    }

    private func end(_ status: Int32, by signal: Int32) {
        self.status = self.status ?? status
        for child in children.keys { kill(child, signal) }
    }

    private func start() throws(HostError) -> pid_t {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var words = (["heliostat-dataplane"] + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var child: pid_t = 0
        let result = posix_spawn(&child, "/proc/self/exe", nil, &attributes, &words, environ)
        if result != 0 { throw .system("cannot start the dataplane", result) }
        return child
    }
}
