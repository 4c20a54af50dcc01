// The dataplane's directory: one lock, so that one dataplane runs on it; the last program, so that a restart runs it
// again; the control socket's place. Before it: the command line. After it: Dataplane.swift.

import CShims
import Glibc

/// A state directory that this process has locked.
package final class StateDirectory {
    package let path: String
    private let lock: Descriptor

    package var socketPath: String { path + "/dataplane.sock" }
    private var programPath: String { path + "/program.json" }
    private var changesPath: String { path + "/device-changes.json" }
    private var sequencePath: String { path + "/sequence-numbers.json" }

    /// Makes the directory where it is missing (0750, group heliostat where there is one) and locks it.
    ///
    /// - Parameter waiting: wait for the lock: the run before has not quite ended, or goes on without its supervisor.
    package init(_ path: String, waiting: Bool = false) throws(HostError) {
        self.path = path
        try Self.make(path)
        lock = try Self.lock(
            path + "/lock", waiting: waiting, else: "another heliostat-dataplane", "runs on \(path); stop it first")
    }

    /// Takes `file` as a lock that the kernel lets go when this process ends, and writes our process id into it.
    ///
    /// - Throws: `holder (pid N) why` when somebody else has it.
    static func lock(
        _ file: String, waiting: Bool, else holder: String, _ why: String
    ) throws(HostError) -> Descriptor {
        let descriptor = try Descriptor("cannot open \(file)") {
            open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o640)
        }
        do throws(HostError) {
            try check("cannot lock \(file)") { flock(descriptor.raw, LOCK_EX | (waiting ? 0 : LOCK_NB)) }
        } catch  where error.code == EWOULDBLOCK {
            let pid = (try? readText(file))?.filter(\.isNumber) ?? ""
            throw HostError("\(holder)\(pid.isEmpty ? "" : " (pid \(pid))") \(why)", code: error.code)
        }
        let text = "\(getpid())\n"
        _ = ftruncate(descriptor.raw, 0)
        if pwrite(descriptor.raw, text, text.utf8.count, 0) < 0 { throw .system("cannot write \(file)") }
        return descriptor
    }

    /// The program of the last `save`, or nil.
    package func lastProgram() throws(HostError) -> [UInt8]? { try saved(programPath) }

    /// Forgets the last program, where there was none before one that is refused.
    package func removeProgram() { unlink(programPath) }

    /// Replaces the last program: a reader, also one after a crash of the machine, finds the old one or the new one.
    package func save(program: [UInt8]) throws(HostError) { try replace(programPath, program, isDurable: true) }

    /// Numbers of the last `save(sequenceNumbers:)`, or nil.
    package func lastSequenceNumbers() throws(HostError) -> [UInt8]? { try saved(sequencePath) }

    /// Replaces them; a crash of the machine may bring back those before, one of this process does not.
    package func save(sequenceNumbers: [UInt8]) throws(HostError) {
        try replace(sequencePath, sequenceNumbers, isDurable: false)
    }

    /// What the last `save(deviceChanges:)` wrote, or nil.
    package func lastDeviceChanges() throws(HostError) -> [UInt8]? { try saved(changesPath) }

    /// Replaces them; a crash of the machine undoes the changes themselves.
    package func save(deviceChanges: [UInt8]) throws(HostError) {
        try replace(changesPath, deviceChanges, isDurable: false)
    }

    private func saved(_ file: String) throws(HostError) -> [UInt8]? {
        do throws(HostError) {
            return try readBytes(file)
        } catch  where error.code == ENOENT {
            return nil
        }
    }

    private func replace(_ file: String, _ bytes: [UInt8], isDurable: Bool) throws(HostError) {
        let temporary = file + ".new"
        let new = try Descriptor("cannot write \(temporary)") {
            open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o640)
        }
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { write(new.raw, $0.baseAddress! + written, $0.count - written) }
            if count < 0, errno == EINTR { continue }
            if count < 0 { throw .system("cannot write \(temporary)") }
            written += count
        }
        if isDurable { try check("cannot write \(temporary)") { fsync(new.raw) } }
        try check("cannot replace \(file)") { rename(temporary, file) }
        if !isDurable { return }
        let directory = try Descriptor("cannot open \(path)") { open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        try check("cannot write \(path)") { fsync(directory.raw) }
    }

    static func make(_ path: String) throws(HostError) {
        var made = ""
        for part in path.split(separator: "/", omittingEmptySubsequences: false) {
            made += made.isEmpty && part.isEmpty ? "/" : (made.isEmpty || made.hasSuffix("/") ? "" : "/") + part
            if part.isEmpty || mkdir(made, 0o750) == 0 { continue }
            if errno != EEXIST { throw .system("cannot make the state directory \(made)") }
        }
        try secure(path)
        giveToGroup(path)
    }

    /// What is in the directory is trusted, and written to as root: it must be ours, and nobody else's to write.
    private static func secure(_ path: String) throws(HostError) {
        let directory = try Descriptor("the state directory \(path) is not a directory of its own") {
            open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
        }
        var information = stat()
        try check("cannot look at \(path)") { fstat(directory.raw, &information) }
        if information.st_uid != geteuid() || information.st_mode & 0o022 != 0 {
            throw HostError(
                "the state directory \(path) must belong to user \(geteuid()) and be writable by no other; mend it or name another"
            )
        }
    }

    /// Lets the group heliostat in, where it exists and we may.
    static func giveToGroup(_ path: String) {
        if let group = getgrnam("heliostat") { _ = chown(path, uid_t.max, group.pointee.gr_gid) }
    }
}
