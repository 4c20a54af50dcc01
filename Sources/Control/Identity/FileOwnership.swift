// Whose a file is and who else may write to it, asked of the file itself and not of what a link points to.
// Before: a path, or better a descriptor, that somebody else may have planted. After: AdministratorToken, and the state
// directory of `heliostat serve`.

import Glibc

/// Kind, owner and mode of a file as they were found.
package struct FileOwnership: Hashable, Sendable {
    package enum Kind: Hashable, Sendable { case regular, directory, socket, other }

    package let kind: Kind
    /// User id.
    package let owner: UInt32
    /// Permission bits with set-id and sticky bits, 0 ... 0o7777.
    package let mode: UInt32

    /// Of the file at `path`; nil where there is none, or it cannot be asked, with `errno`.
    package init?(path: String) {
        var information = stat()
        if lstat(path, &information) != 0 { return nil }
        self.init(information)
    }

    /// Of an open file; nil where it cannot be asked, with `errno`.
    package init?(descriptor: Int32) {
        var information = stat()
        if fstat(descriptor, &information) != 0 { return nil }
        self.init(information)
    }

    private init(_ information: stat) {
        kind =
            switch information.st_mode & S_IFMT {
            case S_IFREG: .regular
            case S_IFDIR: .directory
            case S_IFSOCK: .socket
            default: .other
            }
        owner = information.st_uid
        mode = information.st_mode & 0o7777
    }
}
