// Keeps one dataplane running: starts it, and starts it again at once when it dies of a signal. It touches neither
// kernel objects nor frames, so that it has nothing to die of itself.
import CShims
import Glibc
package import Logging

/// `heliostat-dataplane --supervise`.
package struct Supervisor {
    private let arguments: [String]
    private let lock: Descriptor
    private let logger: Logger

    /// - Parameter arguments: of the dataplane; it waits for the directory's lock, so that one that goes on without
    ///   its supervisor is taken over when it ends.
    package init(stateDirectory: String, arguments: [String], logger: Logger) throws(HostError) {
        try StateDirectory.make(stateDirectory)
        lock = try StateDirectory.lock(
            stateDirectory + "/supervisor.lock", waiting: false, else: "another supervisor",
            "keeps a dataplane on \(stateDirectory); stop it first")
        self.arguments = arguments
        self.logger = logger
    }

    /// - Returns: the exit status of the last dataplane.
    package func run() throws(HostError) -> Int32 {
        Priority.set(Priority.start)
        let signals = try SignalDescriptor([SIGTERM, SIGINT, SIGCHLD])
        var backOff = BackOff()
        while true {
            let started = ContinuousClock.now
            let child = try start()
            let ended = try wait(for: child, signals)
            if let status = ended.exit { return status }
            if ended.wasAsked { return 128 + ended.signal }
            let delay = backOff.delay(afterLifeOf: started.duration(to: .now))
            logger.error(
                "the dataplane (pid \(child)) died of signal \(ended.signal); starting it again\(delay == .zero ? "" : " in \(delay)")")
            if delay > .zero, try pause(delay, signals) { return 0 }
        }
    }

    /// How long to wait before the next start: not at all, unless it keeps dying at once.
    package struct BackOff {
        private var quickDeaths = 0

        package init() {}

        package mutating func delay(afterLifeOf life: Duration) -> Duration {
            quickDeaths = life < .seconds(1) ? quickDeaths + 1 : 0
            if quickDeaths < 4 { return .zero }
            return .milliseconds(min(5000, 100 << min(quickDeaths - 4, 6)))
        }
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

    private struct End {
        var exit: Int32?
        var signal: Int32 = 0
        var wasAsked = false
    }

    /// Waits for the child's end and passes on what asks for it.
    private func wait(for child: pid_t, _ signals: SignalDescriptor) throws(HostError) -> End {
        var wasAsked = false
        while true {
            let signal = try signals.next()
            if signal != SIGCHLD {
                wasAsked = true
                kill(child, signal)
                continue
            }
            var status: Int32 = 0
            guard waitpid(child, &status, WNOHANG) == child else { continue }
            let signalNumber = status & 0x7F
            return signalNumber == 0
                ? End(exit: status >> 8 & 0xFF) : End(signal: signalNumber, wasAsked: wasAsked)
        }
    }

    /// - Returns: whether somebody asked for the end meanwhile.
    private func pause(_ delay: Duration, _ signals: SignalDescriptor) throws(HostError) -> Bool {
        var waiting = pollfd(fd: signals.raw, events: Int16(POLLIN), revents: 0)
        let milliseconds = Int32(delay.components.seconds * 1000 + delay.components.attoseconds / 1_000_000_000_000_000)
        return poll(&waiting, 1, milliseconds) > 0 ? try signals.next() != SIGCHLD : false
    }
}
