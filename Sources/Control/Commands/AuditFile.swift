// The audit in a file of its own: one JSON object a line, appended. Before: ControlAPI's Audit. After: the file, which
// log rotation may move away before it sends SIGHUP.

import ControlIdentity
import ControlModel
import Foundation
import Logging
import Synchronization

/// An open file that only grows.
final class AuditFile: Sendable {
    private let path: String
    private let descriptor: Mutex<Int32>

    init(_ path: String) throws(IdentityError) {
        self.path = path
        descriptor = Mutex(try Self.open(path))
    }

    deinit { _ = descriptor.withLock { close($0) } }

    func reopen() throws(IdentityError) {
        let new = try Self.open(path)
        descriptor.withLock { descriptor in
            close(descriptor)
            descriptor = new
        }
    }

    /// In one write, so that lines do not mix.
    func append(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        descriptor.withLock { _ = write($0, bytes, bytes.count) }
    }

    private static func open(_ path: String) throws(IdentityError) -> Int32 {
        let file = Foundation.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o640)
        if file < 0 { throw IdentityError("cannot open the audit \(path): \(String(cString: strerror(errno)))") }
        return file
    }
}

/// Writes what swift-log hands it.
struct AuditLogHandler: LogHandler {
    let file: AuditFile
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info

    init(file: AuditFile) { self.file = file }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var line: JSON.Object = [
            "time": .string(Timestamp.text(Date().timeIntervalSince1970)), "event": .string("\(event.message)"),
        ]
        for (name, value) in (event.metadata ?? [:]).sorted(by: { $0.key < $1.key }) {
            line.append(name, .string("\(value)"))
        }
        file.append(JSON.object(line).text)
    }
}
