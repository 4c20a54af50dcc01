// The token that the first start writes to the state directory: who can read it is the administrator.
// Before: a file of mode 0600. After: Authenticator.

import Glibc

/// A secret of 32 random bytes, written as 43 characters of base64url (RFC 4648 section 5).
package struct AdministratorToken: Sendable {
    private let bytes: [UInt8]

    package init(_ text: String) { bytes = Array(text.utf8) }

    /// Reads the token of a state directory; makes one where there is none yet.
    ///
    /// - Throws: `IdentityError` if the file cannot be read or written, is empty, or is open to others.
    package init(file path: String) throws(IdentityError) {
        if let text = try Self.read(path) {
            self.init(text)
        } else {
            self.init(try Self.make(path))
        }
    }

    /// Whether `candidate` is the token, in a time that does not depend on where they differ.
    package func matches(_ candidate: String) -> Bool {
        let other = Array(candidate.utf8)
        var difference: UInt8 = other.count == bytes.count ? 0 : 1
        for index in bytes.indices { difference |= bytes[index] ^ (index < other.count ? other[index] : 0) }
        return difference == 0
    }

    private static func read(_ path: String) throws(IdentityError) -> String? {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        if file < 0 {
            if errno == ENOENT { return nil }
            throw IdentityError("cannot read the token \(path): \(String(cString: strerror(errno)))")
        }
        defer { close(file) }
        guard let ownership = FileOwnership(descriptor: file), ownership.kind == .regular else {
            throw IdentityError(
                "the token \(path) is not a regular file; remove it, and the next start writes a new one")
        }
        guard ownership.mode & 0o077 == 0 else {
            throw IdentityError(
                "the token \(path) can be read by others; remove it, and the next start writes a new one")
        }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = Glibc.read(file, &buffer, buffer.count)
        let text = buffer.prefix(max(count, 0)).filter { !Character(Unicode.Scalar($0)).isWhitespace }
        if text.count < 16 {
            throw IdentityError("the token \(path) is too short; remove it, and the next start writes a new one")
        }
        return String(decoding: text, as: UTF8.self)
    }

    private static func make(_ path: String) throws(IdentityError) -> String {
        let text = SecretToken().text
        let draft = path + ".new"
        unlink(draft)
        let file = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        let line = Array((text + "\n").utf8)
        guard file >= 0, write(file, line, line.count) == line.count, fsync(file) == 0, close(file) == 0,
            rename(draft, path) == 0
        else { throw IdentityError("cannot write the token \(path): \(String(cString: strerror(errno)))") }
        return text
    }
}

/// Why nobody can be authenticated.
package struct IdentityError: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}
