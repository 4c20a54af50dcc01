// What is kept of a password: scrypt (RFC 7914), with its cost beside it so that later ones may cost more.
// Before: `heliostat user add`. After: Accounts; PasswordCheck compares.

import CLibCrypto
import Foundation

/// `$scrypt$ln=15,r=8,p=3$SALT$KEY`, salt and key in base64 (PHC string format).
package struct PasswordHash: Hashable, Sendable, CustomStringConvertible {
    /// Binary logarithm of the rounds; with r = 8, 2^(10+ln) bytes of memory for a check.
    private let logarithm: Int
    private let blockSize: Int
    private let parallelism: Int
    private let salt: [UInt8]
    private let key: [UInt8]

    /// Hashes a password with a random salt: 32 MiB and some tenths of a second (OWASP's password storage figures).
    package init(of password: String) throws(IdentityError) {
        var generator = SystemRandomNumberGenerator()
        let salt = (0..<16).map { _ in UInt8.random(in: 0...255, using: &generator) }
        (logarithm, blockSize, parallelism, self.salt) = (15, 8, 3, salt)
        key = try Self.derive(password, salt, logarithm: 15, blockSize: 8, parallelism: 3)
    }

    /// Reads what `description` wrote; nil for anything else, and for a cost that would be an attack on this process.
    package init?(_ text: String) {
        let parts = text.split(separator: "$", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 5, parts[0].isEmpty, parts[1] == "scrypt",
            let cost = parts[2].wholeMatch(of: /ln=([0-9]{1,2}),r=([0-9]{1,2}),p=([0-9]{1,2})/),
            let logarithm = Int(cost.1), let blockSize = Int(cost.2), let parallelism = Int(cost.3),
            (10...18).contains(logarithm), (1...16).contains(blockSize), (1...8).contains(parallelism),
            let salt = Data(base64Encoded: parts[3]), (8...64).contains(salt.count),
            let key = Data(base64Encoded: parts[4]), key.count == 32
        else { return nil }
        (self.logarithm, self.blockSize, self.parallelism) = (logarithm, blockSize, parallelism)
        (self.salt, self.key) = (Array(salt), Array(key))
    }

    package var description: String {
        "$scrypt$ln=\(logarithm),r=\(blockSize),p=\(parallelism)"
            + "$\(Data(salt).base64EncodedString())$\(Data(key).base64EncodedString())"
    }

    /// Whether it is of this password; takes as long for a wrong one as for the right one.
    package func matches(_ password: String) -> Bool {
        guard
            let derived = try? Self.derive(
                password, salt, logarithm: logarithm, blockSize: blockSize, parallelism: parallelism)
        else { return false }
        return zip(derived, key).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }

    /// Of no password: what is compared where there is no such user, so that time does not tell.
    static let none = PasswordHash(
        "$scrypt$ln=15,r=8,p=3$AAAAAAAAAAAAAAAAAAAAAA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")!

    private static func derive(
        _ password: String, _ salt: [UInt8], logarithm: Int, blockSize: Int, parallelism: Int
    ) throws(IdentityError) -> [UInt8] {
        // The costs that `init` takes need 512 MiB at most.
        let most: UInt64 = 1 << 30
        let password = Array(password.utf8)
        var key = [UInt8](repeating: 0, count: 32)
        // Bytes are characters to it.
        let isDerived = password.withUnsafeBytes { password in
            EVP_PBE_scrypt(
                password.assumingMemoryBound(to: CChar.self).baseAddress, password.count, salt, salt.count,
                1 << UInt64(logarithm), UInt64(blockSize), UInt64(parallelism), most, &key, key.count)
        }
        if isDerived != 1 { throw IdentityError("scrypt failed: no memory for it; free some") }
        return key
    }
}
