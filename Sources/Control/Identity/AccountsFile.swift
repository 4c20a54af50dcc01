// The accounts on disk: read anew whenever the file was replaced, refused when others could read or write it.
// Before: `accounts.json` of the state directory. After: Accounts.

import ControlModel
import Foundation
import Synchronization

/// One accounts' file.
package final class AccountsFile: Sendable {
    package static let name = "accounts.json"

    /// What tells one version of the file from another.
    private struct Stamp: Hashable {
        let inode: UInt64
        let size: Int64
        let seconds: Int
        let nanoseconds: Int

        init?(_ path: String) {
            var information = stat()
            if lstat(path, &information) != 0 { return nil }
            inode = UInt64(information.st_ino)
            size = Int64(information.st_size)
            seconds = information.st_mtim.tv_sec
            nanoseconds = information.st_mtim.tv_nsec
        }
    }

    package let path: String
    private let kept = Mutex<(stamp: Stamp?, accounts: Accounts)>((nil, Accounts()))

    /// - Parameter directory: the state directory.
    package init(directory: String) { path = directory + "/" + Self.name }

    /// What the file holds now; nothing where there is none.
    ///
    /// - Throws: `IdentityError` naming the file and what is wrong with it.
    package func current() throws(IdentityError) -> Accounts {
        let stamp = Stamp(path)
        if let accounts = kept.withLock({ $0.stamp == stamp ? $0.accounts : nil }) { return accounts }
        let accounts = try read()
        kept.withLock { $0 = (stamp, accounts) }
        return accounts
    }

    /// Changes the file; one change at a time on this machine, all of it or nothing.
    ///
    /// - Throws: `IdentityError`, also what `change` throws.
    package func update(_ change: (inout Accounts) throws(IdentityError) -> Void) throws(IdentityError) {
        let directory = (path as NSString).deletingLastPathComponent
        let lock = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard lock >= 0, flock(lock, LOCK_EX) == 0 else { throw failure("cannot lock \(directory)") }
        defer { close(lock) }
        var accounts = try read()
        try change(&accounts)
        try write(accounts, directory)
    }

    private func read() throws(IdentityError) -> Accounts {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        if file < 0 {
            if errno == ENOENT { return Accounts() }
            throw failure("cannot read the accounts \(path)")
        }
        defer { close(file) }
        guard let ownership = FileOwnership(descriptor: file), ownership.kind == .regular else {
            throw IdentityError("the accounts \(path) are not a regular file")
        }
        if ownership.mode & 0o077 != 0 {
            throw IdentityError("the accounts \(path) can be read or written by others; chmod 600 \(path)")
        }
        guard ownership.owner == geteuid() || ownership.owner == 0 || geteuid() == 0 else {
            throw IdentityError(
                "the accounts \(path) belong to user id \(ownership.owner), who is neither root nor who serves")
        }
        let handle = FileHandle(fileDescriptor: file, closeOnDealloc: false)
        guard let data = try? handle.readToEnd() ?? Data() else { throw failure("cannot read the accounts \(path)") }
        do throws(JSONError) { return try Accounts(try JSON(parsing: data)) } catch {
            throw IdentityError("the accounts \(path) cannot be used: \(error)")
        }
    }

    /// Whose the file was, it stays; a first one belongs to whom the administrator's token belongs to.
    private func write(_ accounts: Accounts, _ directory: String) throws(IdentityError) {
        let draft = path + ".new"
        unlink(draft)
        let file = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        if file < 0 { throw failure("cannot write \(draft)") }
        let bytes = Array(accounts.json.text.utf8) + [0x0A]
        if geteuid() == 0 {
            var information = stat()
            if lstat(path, &information) == 0 || lstat(directory + "/token", &information) == 0 {
                _ = fchown(file, information.st_uid, information.st_gid)
            }
        }
        guard Foundation.write(file, bytes, bytes.count) == bytes.count, fsync(file) == 0, close(file) == 0,
            rename(draft, path) == 0
        else { throw failure("cannot write \(path)") }
    }

    private func failure(_ what: String) -> IdentityError {
        IdentityError("\(what): \(String(cString: strerror(errno)))")
    }
}
