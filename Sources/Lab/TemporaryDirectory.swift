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
        try? FileManager.default.removeItem(atPath: path)
        try FileManager.default.createDirectory(
            atPath: path, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o755])
        self.path = path
        undo = Teardown.register { try? FileManager.default.removeItem(atPath: path) }
    }

    /// Deletes the directory with all that is in it.
    public func delete() {
        try? FileManager.default.removeItem(atPath: path)
        Teardown.forget(undo)
    }
}
