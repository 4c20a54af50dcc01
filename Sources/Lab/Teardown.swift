// What must be undone however the lab ends: at its normal end, at exit, and on SIGINT, SIGTERM and SIGHUP.
// Namespaces, processes and temporary directories register here when they are made.
import Dispatch
import Glibc
import Synchronization

/// The undo list of this process, last made first undone.
enum Teardown {
    private struct State {
        var next = 0
        var actions: [(id: Int, action: @Sendable () -> Void)] = []
        var sources: [any DispatchSourceSignal] = []
    }

    private static let state = Mutex(State())

    /// Registers an action; the first one also installs the signal handlers.
    ///
    /// - Returns: an id for `forget`.
    static func register(_ action: @escaping @Sendable () -> Void) -> Int {
        state.withLock { state in
            if state.sources.isEmpty { state.sources = watchSignals() }
            state.next += 1
            state.actions.append((state.next, action))
            return state.next
        }
    }

    /// The object was undone in the ordinary way.
    static func forget(_ id: Int) {
        state.withLock { $0.actions.removeAll { $0.id == id } }
    }

    /// Undoes everything that is registered.
    static func all() {
        while let last = state.withLock({ $0.actions.popLast() }) { last.action() }
    }

    private static func watchSignals() -> [any DispatchSourceSignal] {
        atexit { Teardown.all() }
        let queue = DispatchQueue(label: "lab.teardown")
        return [SIGINT, SIGTERM, SIGHUP].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
            source.setEventHandler {
                all()
                // Ends as anybody expects of a process that was sent this signal.
                signal(number, SIG_DFL)
                kill(getpid(), number)
            }
            source.resume()
            return source
        }
    }
}
