// Where a text stops being JSON (RFC 8259): the decoder of Foundation says only that it does. Used for the error
// message of a program that a person has written, never to decode.

/// A pass over the grammar that stops at the first error.
package struct JSONSyntax {
    private let bytes: [UInt8]
    private var at = 0
    private static let deepest = 512

    private struct Stop: Error {}

    private init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// Line and column of the first byte that cannot be there, both from 1; nil for a text without error.
    package static func firstError(in text: some Collection<UInt8>) -> (line: Int, column: Int)? {
        var syntax = JSONSyntax(Array(text))
        do {
            try syntax.value(depth: 0)
            syntax.space()
            if syntax.at == syntax.bytes.count { return nil }
        } catch {}
        let before = syntax.bytes.prefix(syntax.at)
        let lineStart = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        return (before.count { $0 == UInt8(ascii: "\n") } + 1, syntax.at - lineStart + 1)
    }

    private mutating func value(depth: Int) throws(Stop) {
        space()
        guard depth < Self.deepest, at < bytes.count else { throw Stop() }
        switch bytes[at] {
        case UInt8(ascii: "{"):
            try list(to: "}") { (syntax) throws(Stop) in
                try syntax.string()
                syntax.space()
                try syntax.word(":")
                try syntax.value(depth: depth + 1)
            }
        case UInt8(ascii: "["): try list(to: "]") { (syntax) throws(Stop) in try syntax.value(depth: depth + 1) }
        case UInt8(ascii: "\""): try string()
        case UInt8(ascii: "t"): try word("true")
        case UInt8(ascii: "f"): try word("false")
        case UInt8(ascii: "n"): try word("null")
        default: try number()
        }
    }

    private mutating func list(
        to end: Character, _ element: (inout JSONSyntax) throws(Stop) -> Void
    ) throws(Stop) {
        at += 1
        space()
        if skip(end.asciiValue!) { return }
        while true {
            space()
            try element(&self)
            space()
            if skip(end.asciiValue!) { return }
            try word(",")
        }
    }

    private mutating func string() throws(Stop) {
        try word("\"")
        while at < bytes.count, bytes[at] >= 0x20 {
            if skip(UInt8(ascii: "\"")) { return }
            at += bytes[at] == UInt8(ascii: "\\") ? 2 : 1
        }
        at = min(at, bytes.count)
        throw Stop()
    }

    private mutating func number() throws(Stop) {
        let start = at
        while at < bytes.count, "+-.0123456789eE".utf8.contains(bytes[at]) { at += 1 }
        if Double(String(decoding: bytes[start..<at], as: UTF8.self)) == nil {
            at = start
            throw Stop()
        }
    }

    private mutating func word(_ word: String) throws(Stop) {
        for byte in word.utf8 where !skip(byte) { throw Stop() }
    }

    private mutating func skip(_ byte: UInt8) -> Bool {
        guard at < bytes.count, bytes[at] == byte else { return false }
        at += 1
        return true
    }

    private mutating func space() {
        while at < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[at]) { at += 1 }
    }
}
