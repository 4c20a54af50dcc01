// Where the processes under test keep their state during a lab.

import Foundation
import Glibc
import Synchronization

/// A directory, open to be entered by other users, that does not outlive this process.
public final class TemporaryDirectory: Sendable {
    public let path: String
    private let undo: Int
    private static let counter = Atomic<Int>(0)

    public init() throws {
        let number = Self.counter.wrappingAdd(1, ordering: .relaxed).newValue
        let path = NSTemporaryDirectory() + "hs-lab-\(getpid())-\(number)"
        (_, undo) = try Teardown.register { () throws(LabError) in
            // What a process with the same number has left.
            try? FileManager.default.removeItem(atPath: path)
            guard mkdir(path, 0o755) == 0, chmod(path, 0o755) == 0 else {
                throw LabError(errno: "cannot make '\(path)'")
            }
            return ((), { try? FileManager.default.removeItem(atPath: path) })
        }
        self.path = path
    }

    /// Deletes the directory with all that is in it.
    public func delete() {
        try? FileManager.default.removeItem(atPath: path)
        Teardown.forget(undo)
    }
}
