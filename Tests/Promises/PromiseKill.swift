// Promise: kill -9 of the dataplane under load loses no original, and copies resume within 250 ms.

import Glibc
import Lab
import MirrorProgram
import Testing

extension Promises {
    @Suite struct PromiseKill {
        /// Time from the kill to the first copy of the next life, seconds.
        private static let limit = 0.250

        @Test func tenTimesUnderLoad() throws {
            try Mirror.with(Mirror.program(), supervised: true) { mirror in
                let stream = try Mirror.stream(1, lengths: [128])
                let originals = try FrameReceiver(in: mirror.lab.b, interface: "eth0", streams: [stream])
                let copies = try mirror.receiver(Mirror.monitor, [stream])
                let sender = try FrameSender(stream, in: mirror.lab.a, interface: "eth0", rate: 20_000)
                copies.wait(seconds: 5) { $0.frames > 2_000 }
                var kills: [UInt64] = []
                for life in 1...10 {
                    let pid = try mirror.status().pid
                    kills.append(nowNanoseconds())
                    try #require(kill(pid, SIGKILL) == 0)
                    let back = poll(seconds: 5, every: 0.01) { (try? mirror.status().pid).map { $0 != pid } ?? false }
                    try #require(
                        back, "no dataplane after kill \(life): \(mirror.dataplane.process.standardError.suffix(2000))")
                    let count = copies.count
                    // More than a second of life: the supervisor holds back a dataplane that keeps dying at once.
                    try #require(
                        copies.wait(seconds: 10) { $0.frames > count + 25_000 }, "no copies after kill \(life)")
                }
                let sent = try sender.stop()
                try mirror.expectOriginals(originals.settle(), sent)
                let check = copies.settle().streams[0]
                #expect(check.differing == 0, "\(check.firstDifference ?? "")")
                #expect(check.duplicates == 0)
                let pauses = kills.map { Self.pause(after: $0, check.silences) }
                print("copies resumed after \(pauses.map { String(Int($0 * 1000)) }.joined(separator: ", ")) ms")
                #expect(pauses.allSatisfy { $0 <= Self.limit }, "\(pauses)")
                #expect(sent.frames > 250_000)
                try originals.stop()
                try copies.stop()
            }
        }

        /// End of the longest silence that began about the time of the kill, seconds after it.
        private static func pause(after kill: UInt64, _ silences: [Range<UInt64>]) -> Double {
            let near = silences.filter { $0.upperBound > kill && $0.lowerBound < kill + 100_000_000 }
            let end = near.max { $0.upperBound - $0.lowerBound < $1.upperBound - $1.lowerBound }?.upperBound ?? kill
            return Double(end - kill) / 1e9
        }
    }
}
