// The state directory of the control process: who owns it, and that only one serves it.
// Before: ServeCommand. After: the store, the token and the sockets in it.

import ControlIdentity
import Foundation

/// Files below the state directory.
package struct ServeStateDirectory: Sendable {
    let path: String

    package init(path: String) { self.path = path }

    var store: String { path + "/heliostat.db" }
    var token: String { path + "/token" }
    var accounts: String { path + "/" + AccountsFile.name }
    var socket: String { path + "/api.sock" }
    var lock: String { path + "/lock" }
    var dataplane: String { path + "/dataplane" }
    var dataplaneSocket: String { dataplane + "/dataplane.sock" }
    var supervisorLock: String { dataplane + "/supervisor.lock" }
    var dataplaneLock: String { dataplane + "/lock" }
    var dataplaneLog: String { dataplane + "/log" }

    /// Makes the directory where it is missing.
    ///
    /// - Throws: `ServeError` if it cannot be made, read or written.
    func prepare() throws(ServeError) {
        var parent = ""
        for part in path.split(separator: "/") {
            parent += (parent.isEmpty && !path.hasPrefix("/") ? "" : "/") + part
            if mkdir(parent, 0o700) == 0 {
                // Those above it are for everybody to pass, whatever our umask is.
                if parent != path { chmod(parent, 0o755) }
            } else if errno != EEXIST {
                throw failure("cannot make the state directory \(path)")
            }
        }
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory), isDirectory.boolValue else {
            throw ServeError("the state directory \(path) is not a directory")
        }
        if access(path, R_OK | W_OK | X_OK) != 0 { throw failure("cannot use the state directory \(path)") }
        if socket.utf8.count > 107 || dataplaneSocket.utf8.count > 107 {
            throw ServeError(
                "the state directory \(path) is too long a path for the sockets in it; choose a shorter one")
        }
        if let there = FileOwnership(path: socket), there.kind != .socket {
            throw ServeError("\(socket) is not a socket, so the API cannot listen there; remove it")
        }
    }

    /// Makes the dataplane's part where it is missing, before others may write beside it. One that somebody else has
    /// made, or can write to, is refused: a root process writes there.
    ///
    /// - Parameter group: may reach the sockets in it.
    /// - Throws: `ServeError`.
    package func prepareDataplane(group: UInt32?) throws(ServeError) {
        if mkdir(dataplane, 0o700) != 0, errno != EEXIST { throw failure("cannot make \(dataplane)") }
        let descriptor = Foundation.open(dataplane, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        if descriptor < 0 {
            throw failure(
                "\(dataplane) must be a directory of the dataplane's own; look at what is there and remove it")
        }
        defer { close(descriptor) }
        guard let found = FileOwnership(descriptor: descriptor) else { throw failure("cannot look at \(dataplane)") }
        guard found.owner == geteuid(), found.mode & 0o022 == 0 else {
            throw ServeError(
                """
                \(dataplane) belongs to user id \(found.owner) with mode \(String(found.mode, radix: 8)), \
                but only user id \(geteuid()) may write there; look at what is in it and remove it
                """)
        }
        if let group, fchown(descriptor, uid_t.max, group) != 0 { throw failure("cannot give \(dataplane) its group") }
        if fchmod(descriptor, 0o750) != 0 { throw failure("cannot set the mode of \(dataplane)") }
    }

    /// As root: makes the state directory root's and sticky, so that nobody else can put anything in the place of what
    /// is root's in it.
    ///
    /// - Throws: `ServeError`.
    func own() throws(ServeError) {
        guard let found = FileOwnership(path: path + "/."), chown(path, 0, gid_t.max) == 0,
            chmod(path, found.mode & 0o777 | 0o1000) == 0
        else { throw failure("cannot make \(path) root's") }
    }

    /// Takes the lock for the life of this process.
    ///
    /// - Returns: the lock's descriptor, never closed.
    /// - Throws: `ServeError` naming the process that has it.
    func takeLock() throws(ServeError) -> Int32 {
        let file = Foundation.open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o640)
        if file < 0 { throw failure("cannot open \(lock)") }
        if flock(file, LOCK_EX | LOCK_NB) != 0 {
            if errno != EWOULDBLOCK { throw failure("cannot lock \(lock)") }
            var text = [UInt8](repeating: 0, count: 32)
            let count = read(file, &text, text.count)
            let pid = String(decoding: text.prefix(max(count, 0)).prefix { $0 != 0x0A }, as: UTF8.self)
            throw ServeError("another heliostat serve (pid \(pid)) runs on \(path)")
        }
        let line = Array("\(getpid())\n".utf8)
        guard ftruncate(file, 0) == 0, pwrite(file, line, line.count, 0) == line.count else {
            throw failure("cannot write \(lock)")
        }
        return file
    }

    /// Gives a root-owned state directory to `user`, except that nobody but root can replace the dataplane's part of
    /// it: the directory stays root's, is sticky, and is writable by the group.
    ///
    /// - Throws: `ServeError`.
    func hand(to user: ServeUser) throws(ServeError) {
        if chown(path, 0, user.group) != 0 || chmod(path, 0o1770) != 0 {
            throw failure("cannot hand \(path) to \(user.name)")
        }
        for file in [store, store + "-wal", store + "-shm", token, accounts, lock] {
            // Of the file itself, not of what a link points to.
            guard let attributes = try? FileManager.default.attributesOfItem(atPath: file) else { continue }
            let number = { (key: FileAttributeKey) in (attributes[key] as? NSNumber)?.intValue }
            // Only what an earlier start as root left: a plain file of root's with one name.
            guard attributes[.type] as? FileAttributeType == .typeRegular, number(.referenceCount) == 1,
                number(.ownerAccountID) == 0
            else { continue }
            if lchown(file, user.id, user.group) != 0 { throw failure("cannot hand \(file) to \(user.name)") }
        }
    }

    private func failure(_ what: String) -> ServeError { ServeError("\(what): \(String(cString: strerror(errno)))") }
}
