// What must be undone however the lab ends: at its normal end, at exit, and on SIGINT, SIGTERM and SIGHUP.
// Namespaces, processes and temporary directories register here when they are made.

import Dispatch
import Foundation
import Glibc
import Synchronization

/// The undo list of this process, last made first undone.
enum Teardown {
    private struct State {
        var next = 0
        var actions: [(id: Int, action: @Sendable () -> Void)] = []
        var sources: [any DispatchSourceSignal] = []
        /// The thread that undoes everything, once one does.
        var undoing: pthread_t?
    }

    private static let state = Mutex(State())
    private static let running = NSLock()

    /// A signal has come.
    static let isInterrupted = Atomic<Bool>(false)

    /// Makes something and registers how it is undone, in one step for the thread that undoes everything; once that
    /// thread is at work nobody else makes anything any more: the caller then waits for the end of the process.
    ///
    /// - Parameter make: makes it and says how it is undone; must not use the lab otherwise.
    /// - Returns: what was made, and an id for `forget`.
    static func register<Made: Sendable>(
        _ make: () throws(LabError) -> (Made, @Sendable () -> Void)
    ) throws(LabError) -> (Made, Int) {
        while true {
            let result: Result<(Made, Int), LabError>? = state.withLock { state in
                if state.sources.isEmpty { state.sources = watchSignals() }
                if let undoing = state.undoing, pthread_equal(undoing, pthread_self()) == 0 { return nil }
                do throws(LabError) {
                    let (made, undo) = try make()
                    state.next += 1
                    state.actions.append((state.next, undo))
                    return .success((made, state.next))
                } catch {
                    return .failure(error)
                }
            }
            if let result { return try result.get() }
            pause()
        }
    }

    /// The object was undone in the ordinary way.
    static func forget(_ id: Int) {
        state.withLock { $0.actions.removeAll { $0.id == id } }
    }

    /// Undoes everything that is registered; whoever asks while another thread does so waits for it.
    static func all() {
        running.lock()
        defer { running.unlock() }
        state.withLock { $0.undoing = pthread_self() }
        while let last = state.withLock({ $0.actions.popLast() }) { last.action() }
    }

    private static func watchSignals() -> [any DispatchSourceSignal] {
        atexit { Teardown.all() }
        let queue = DispatchQueue(label: "lab.teardown")
        return [SIGINT, SIGTERM, SIGHUP].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
            source.setEventHandler {
                isInterrupted.store(true, ordering: .relaxed)
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

/// The end of this process by a signal.
public enum Interruption {
    /// A signal has come and everything of the lab is being taken away: errors from now on are its echo.
    public static var isUnderWay: Bool { Teardown.isInterrupted.load(ordering: .relaxed) }
}
