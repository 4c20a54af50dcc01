// The JSON values of the control process: what goes in comes out, and nothing that is sent can hurt.

import ControlModel
import Testing

@Suite struct JSONTests {
    private func parse(_ text: String) throws -> JSON { try JSON(parsing: text.utf8) }

    @Test func keepsOrderAndTypes() throws {
        let text = #"{"b": 1, "a": "1", "c": [null, true, -2.5], "d": {}, "e": []}"#
        #expect(try parse(text).text == text)
    }

    @Test func lastOfEqualNamesCounts() throws {
        #expect(try parse(#"{"a": 1, "b": 2, "a": 3}"#) == ["a": 3, "b": 2])
    }

    @Test func readsEscapes() throws {
        #expect(try parse(#""\u00fc \ud83d\ude00 \"\\\/\b\f\n\r\t""#) == "\u{fc} \u{1F600} \"\\/\u{8}\u{c}\n\r\t")
        #expect(JSON.string("a\"\\\n\u{1}\u{fc}").text == #""a\"\\\n\u0001ü""#)
    }

    @Test(arguments: [
        "", " ", "{", "}", "{bad", #"{"a"}"#, #"{"a":}"#, #"{"a":1,}"#, "[1,]", "01", "-", "1.", ".5", "1e", "+1",
        "tru",
        "nullx", "\"", "\"\u{1}\"", #""\x""#, #""\ud800""#, #""\ud800\u0041""#, "1e999", "NaN", "[1] 2", "'a'",
    ])
    func refuses(_ text: String) {
        #expect(throws: JSONError.self) { try parse(text) }
    }

    @Test func refusesWhatIsNotUTF8() {
        #expect(throws: JSONError.self) { try JSON(parsing: [0x22, 0xFF, 0xFE, 0x22] as [UInt8]) }
    }

    @Test func boundsDepth() throws {
        #expect(throws: JSONError.self) { try parse(String(repeating: "[", count: 1_000_000)) }
        #expect(throws: JSONError.self) { try parse(String(repeating: #"{"a":"#, count: 1000)) }
        let deepest =
            String(repeating: "[", count: JSON.largestDepth) + String(repeating: "]", count: JSON.largestDepth)
        #expect(try parse(deepest).text == deepest)
    }

    @Test func numbersOutOfRangeAreNotIntegers() throws {
        #expect(try parse("9223372036854775807") == .integer(.max))
        #expect(try parse("9223372036854775808").integer == nil)
    }

    @Test func speaksPython() throws {
        #expect(try parse(#"[null, true, "x", 1, {"a": [2]}]"#).pythonText == "[None, True, 'x', 1, {'a': [2]}]")
        #expect(JSON.null.pythonText == "None")
        #expect(JSON.string("x").pythonText == "x")
    }
}
