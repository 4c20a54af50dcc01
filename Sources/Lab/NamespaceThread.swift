// A thread of its own inside a network namespace: setns(2) changes the thread that calls it, so it must be
// neither one of Swift's pool nor one of Dispatch's. Started by Namespace.run, FrameSender and FrameReceiver.

import CShims
import Foundation
import Glibc
import Synchronization

/// A thread that enters a namespace, runs one closure and keeps its outcome.
final class NamespaceThread<Outcome: Sendable>: Sendable {
    private let outcome = Mutex<Result<Outcome, any Error>?>(nil)
    private let done = DispatchSemaphore(value: 0)

    init(in namespace: Namespace, _ body: @escaping @Sendable () throws -> Outcome) {
        let path = namespace.path
        let thread = Thread { [self] in
            let result = Result { try Self.enter(path, body) }
            outcome.withLock { $0 = result }
            done.signal()
        }
        thread.name = "lab"
        thread.start()
    }

    private static func enter(_ path: String, _ body: () throws -> Outcome) throws -> Outcome {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw LabError(errno: "cannot open namespace '\(path)'") }
        defer { close(file) }
        guard lab_enter_network_namespace(file) == 0 else { throw LabError(errno: "cannot enter namespace '\(path)'") }
        return try body()
    }

    /// Waits for the end of the thread; any number of callers may.
    func wait() throws -> Outcome {
        done.wait()
        done.signal()
        return try outcome.withLock { try $0!.get() }
    }
}
