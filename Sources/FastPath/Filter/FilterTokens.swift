// The words and signs of a filter expression with their places, cut as libpcap's scanner cuts them (scanner.l): only to
// say where an error is, and to find names before libpcap would look them up. After it: FilterCompiler.swift.

/// One word or sign.
struct FilterToken {
    var text: String
    /// In characters from 1.
    var column: Int
    /// Bytes of the expression up to and including this token.
    var end: Int

    /// `\tcp`: a name, even where the word is a keyword.
    var isEscaped: Bool { text.hasPrefix("\\") }

    /// What may be a keyword, a number or a name, but no address with colons.
    var isWord: Bool {
        guard let first = text.utf8.first else { return false }
        return first.isAlphanumeric && !text.utf8.contains(UInt8(ascii: ":"))
    }

    /// A decimal number or digits joined by dots, or a hexadecimal number.
    var isNumeric: Bool {
        text.utf8.allSatisfy { (48...57).contains($0) || $0 == 46 }
            || (text.hasPrefix("0x") && text.utf8.count > 2 && text.dropFirst(2).allSatisfy(\.isHexDigit))
    }

    static func split(_ expression: String) -> [FilterToken] {
        let bytes = Array(expression.utf8)
        var tokens: [FilterToken] = []
        var at = 0
        var depth = 0
        while at < bytes.count {
            if isSpace(bytes[at]) {
                at += 1
                continue
            }
            let end = at + length(bytes[at...], inBrackets: depth > 0)
            if bytes[at] == UInt8(ascii: "[") { depth += 1 }
            if bytes[at] == UInt8(ascii: "]") { depth -= 1 }
            tokens.append(
                FilterToken(
                    text: String(decoding: bytes[at..<end], as: UTF8.self),
                    column: String(decoding: bytes[..<at], as: UTF8.self).count + 1, end: end))
            at = end
        }
        return tokens
    }

    private static let pairs: Set<[UInt8]> = Set(
        ["<=", ">=", "!=", "==", "<<", ">>", "&&", "||"].map { Array($0.utf8) })

    /// Bytes of the token at the beginning of `rest`.
    private static func length(_ rest: ArraySlice<UInt8>, inBrackets: Bool) -> Int {
        let first = rest[rest.startIndex]
        if first == UInt8(ascii: "\\") {
            return 1 + rest.dropFirst().prefix { !isSpace($0) && !"!()".utf8.contains($0) }.count
        }
        // Outside brackets a colon is part of an address, inside it stands between offset and size.
        if first.isAlphanumeric || (first == UInt8(ascii: ":") && !inBrackets) || first == UInt8(ascii: "$") {
            let word = rest.dropFirst().prefix {
                $0.isAlphanumeric || "._-".utf8.contains($0) || ($0 == UInt8(ascii: ":") && !inBrackets)
            }
            let trailing = word.reversed().prefix { "_-".utf8.contains($0) }.count
            return 1 + word.count - trailing
        }
        if first >= 0x80 { return rest.prefix { $0 >= 0x80 }.count }
        return pairs.contains(Array(rest.prefix(2))) ? 2 : 1
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
}

extension UInt8 {
    fileprivate var isAlphanumeric: Bool {
        (48...57).contains(self) || (65...90).contains(self) || (97...122).contains(self)
    }
}
