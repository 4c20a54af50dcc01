// Random tokens and what is kept of them: a hash, so that neither memory nor a file gives a usable token away.
// Before: a token is wanted, or shown. After: Accounts, TokenIssuer.

import CLibCrypto
import Foundation

/// A secret of 32 random bytes, written as 43 characters of base64url (RFC 4648 section 5), of which the first is no
/// hyphen: commands would take the token for an option of theirs.
package struct SecretToken: Sendable {
    package let text: String

    package init() {
        var generator = SystemRandomNumberGenerator()
        var text = ""
        repeat {
            text = Self.base64URL((0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) })
        } while text.hasPrefix("-")
        self.text = text
    }

    package var hash: TokenHash { TokenHash(of: text) }

    /// Without padding.
    static func base64URL(_ bytes: some Sequence<UInt8>) -> String {
        String(
            Data(bytes).base64EncodedString().compactMap { character in
                switch character {
                case "+": "-"
                case "/": "_"
                case "=": nil
                default: character
                }
            })
    }
}

/// SHA-256 of a token: it has 256 random bits, so that nothing slower is needed.
package struct TokenHash: Hashable, Sendable, CustomStringConvertible {
    private let bytes: [UInt8]

    package init(of token: String) {
        let token = Array(token.utf8)
        bytes = Array(unsafeUninitializedCapacity: Int(SHA256_DIGEST_LENGTH)) { digest, count in
            SHA256(token, token.count, digest.baseAddress)
            count = Int(SHA256_DIGEST_LENGTH)
        }
    }

    /// Reads `sha256:` and 64 hexadecimal digits; nil for anything else.
    package init?(_ text: String) {
        guard text.hasPrefix("sha256:") else { return nil }
        let digits = Array(text.dropFirst(7))
        guard digits.count == 64, digits.allSatisfy({ $0.isASCII && $0.isHexDigit }) else { return nil }
        bytes = stride(from: 0, to: 64, by: 2).map { UInt8(String(digits[$0...($0 + 1)]), radix: 16)! }
    }

    package var description: String {
        "sha256:" + bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }
}
