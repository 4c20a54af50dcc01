// Sequence numbers over the end of a process: never lower than what was sent, whatever the end was.

import FastPath
import FastPathHost
import Logging
import MirrorProgram
import Testing

@Suite struct SequenceNumbersTests {
    static let here = IPAddress("192.0.2.1")!, there = IPAddress("192.0.2.9")!, other = IPAddress("2001:db8::9")!

    private func numbers(_ directory: StateDirectory) -> SequenceNumbers {
        SequenceNumbers(directory, Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    @Test func aPairHasOneWord() throws {
        try withTemporaryDirectory { path in
            let numbers = try numbers(StateDirectory(path + "/state"))
            let word = numbers.word(source: Self.here, remote: Self.there)
            word.set(7)
            #expect(numbers.word(source: Self.here, remote: Self.there).next == 7)
            #expect(numbers.word(source: Self.here, remote: Self.other).next == 0)
            numbers.retain(remotes: [Self.other])
            #expect(numbers.word(source: Self.here, remote: Self.there).next == 0)
        }
    }

    @Test(arguments: [0, 5, 1_500_000, 4_294_967_290]) func afterACrashNothingIsSentTwice(sent: UInt32) throws {
        try withTemporaryDirectory { path in
            let state = try StateDirectory(path + "/state")
            let before = numbers(state)
            let word = before.word(source: Self.here, remote: Self.there)
            word.set(sent)
            before.keepAhead()
            word.set(sent &+ SequenceNumbers.reserve / 2)  // sent since the last look
            let after = numbers(state).word(source: Self.here, remote: Self.there)
            #expect(after.next &- word.next < SequenceNumbers.reserve)
        }
    }

    @Test func anOrderlyEndLeavesNoGap() throws {
        try withTemporaryDirectory { path in
            let state = try StateDirectory(path + "/state")
            let before = numbers(state)
            before.word(source: Self.here, remote: Self.there).set(12345)
            before.settle()
            let next = numbers(state)
            // Another pair first: what is not used yet is kept.
            #expect(next.word(source: Self.here, remote: Self.other).next == 0)
            #expect(numbers(state).word(source: Self.here, remote: Self.there).next == 12345)
        }
    }

    @Test func garbageBeginsAtZero() throws {
        try withTemporaryDirectory { path in
            let state = try StateDirectory(path + "/state")
            try state.save(sequenceNumbers: Array("{".utf8))
            #expect(numbers(state).word(source: Self.here, remote: Self.there).next == 0)
        }
    }
}
