// Text to JSON values: strict (RFC 8259), linear in the input, bounded in depth, and never a trap whatever it reads.
// Before: bytes of a request body or of a stored row. After: JSON.swift.

/// Why a text is not JSON, and at which byte.
package struct JSONError: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String

    package init(description: String) { self.description = description }
}

extension JSON {
    /// Deepest nesting of arrays and objects that is read.
    package static let largestDepth = 64

    /// Parses one value with nothing but white space around it.
    ///
    /// - Throws: `JSONError` for anything that is not UTF-8 JSON, or is nested deeper than `largestDepth`.
    package init(parsing bytes: some Sequence<UInt8>) throws(JSONError) {
        var parser = Parser(bytes: Array(bytes))
        self = try parser.document()
    }
}

private struct Parser {
    let bytes: [UInt8]
    var at = 0

    private var next: UInt8? { at < bytes.count ? bytes[at] : nil }

    private func failure(_ what: String) -> JSONError { JSONError(description: "\(what) at byte \(at)") }

    mutating func document() throws(JSONError) -> JSON {
        let result = try value(depth: 0)
        skipSpace()
        if at < bytes.count { throw failure("text after the value") }
        return result
    }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { at += 1 }
    }

    private mutating func value(depth: Int) throws(JSONError) -> JSON {
        skipSpace()
        guard let byte = next else { throw failure("the text ends") }
        switch byte {
        case UInt8(ascii: "{"): return try object(depth: depth + 1)
        case UInt8(ascii: "["): return try array(depth: depth + 1)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "-"), 0x30...0x39: return try number()
        default: throw failure("an unexpected character")
        }
    }

    private mutating func word(_ text: StaticString, _ meaning: JSON) throws(JSONError) -> JSON {
        for offset in 0..<text.utf8CodeUnitCount {
            guard next == text.utf8Start[offset] else { throw failure("an unexpected character") }
            at += 1
        }
        return meaning
    }

    private mutating func object(depth: Int) throws(JSONError) -> JSON {
        if depth > JSON.largestDepth { throw failure("nesting deeper than \(JSON.largestDepth)") }
        at += 1
        var members: [JSON.Object.Member] = []
        var indices: [String: Int] = [:]
        skipSpace()
        if next == UInt8(ascii: "}") {
            at += 1
            return .object(JSON.Object())
        }
        while true {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw failure("a member without a name") }
            let name = try string()
            skipSpace()
            guard next == UInt8(ascii: ":") else { throw failure("a member without ':'") }
            at += 1
            let member = JSON.Object.Member(name: name, value: try value(depth: depth))
            if let index = indices[name] {
                members[index] = member
            } else {
                indices[name] = members.count
                members.append(member)
            }
            if try endOfList(UInt8(ascii: "}")) { return .object(JSON.Object(distinct: members)) }
        }
    }

    private mutating func array(depth: Int) throws(JSONError) -> JSON {
        if depth > JSON.largestDepth { throw failure("nesting deeper than \(JSON.largestDepth)") }
        at += 1
        var values: [JSON] = []
        skipSpace()
        if next == UInt8(ascii: "]") {
            at += 1
            return .array([])
        }
        while true {
            values.append(try value(depth: depth))
            if try endOfList(UInt8(ascii: "]")) { return .array(values) }
        }
    }

    private mutating func endOfList(_ end: UInt8) throws(JSONError) -> Bool {
        skipSpace()
        guard let byte = next, byte == end || byte == UInt8(ascii: ",") else { throw failure("a list without ','") }
        at += 1
        return byte == end
    }

    private mutating func number() throws(JSONError) -> JSON {
        let start = at
        if next == UInt8(ascii: "-") { at += 1 }
        let first = at
        try digits()
        if bytes[first] == UInt8(ascii: "0"), at - first > 1 { throw failure("a number with a leading zero") }
        var whole = true
        if next == UInt8(ascii: ".") {
            whole = false
            at += 1
            try digits()
        }
        if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
            whole = false
            at += 1
            if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { at += 1 }
            try digits()
        }
        let text = String(decoding: bytes[start..<at], as: UTF8.self)
        if whole, let integer = Int64(text) { return .integer(integer) }
        guard let double = Double(text), double.isFinite else { throw failure("a number out of range") }
        return .number(double)
    }

    private mutating func digits() throws(JSONError) {
        let start = at
        while let byte = next, (0x30...0x39).contains(byte) { at += 1 }
        if at == start { throw failure("a number without digits") }
    }

    private mutating func string() throws(JSONError) -> String {
        at += 1
        var text: [UInt8] = []
        while let byte = next {
            at += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let string = String(validating: text, as: UTF8.self) else {
                    throw failure("bytes that are not UTF-8")
                }
                return string
            case UInt8(ascii: "\\"): try escape(into: &text)
            case 0..<0x20: throw failure("a control character in a string")
            default: text.append(byte)
            }
        }
        throw failure("a string without end")
    }

    private mutating func escape(into text: inout [UInt8]) throws(JSONError) {
        guard let byte = next else { throw failure("the text ends") }
        at += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"): text.append(contentsOf: String(try scalar()).utf8)
        default: throw failure("an unknown escape")
        }
    }

    /// After `\u`: one scalar, of two escapes where the first is a high surrogate (RFC 8259 section 7).
    private mutating func scalar() throws(JSONError) -> Character {
        var code = UInt32(try hexadecimal())
        if (0xD800..<0xDC00).contains(code), at + 1 < bytes.count, bytes[at] == UInt8(ascii: "\\"),
            bytes[at + 1] == UInt8(ascii: "u")
        {
            at += 2
            let low = UInt32(try hexadecimal())
            guard (0xDC00..<0xE000).contains(low) else { throw failure("half a surrogate pair") }
            code = 0x1_0000 + (code - 0xD800) << 10 + (low - 0xDC00)
        }
        guard let scalar = Unicode.Scalar(code) else { throw failure("half a surrogate pair") }
        return Character(scalar)
    }

    private mutating func hexadecimal() throws(JSONError) -> UInt16 {
        var value: UInt16 = 0
        for _ in 0..<4 {
            guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw failure("an escape without four hexadecimal digits")
            }
            value = value << 4 | UInt16(digit)
            at += 1
        }
        return value
    }
}

extension JSON.Object {
    fileprivate init(distinct members: [Member]) {
        self.init()
        for member in members { append(member.name, member.value) }
    }
}
