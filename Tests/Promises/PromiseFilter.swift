// Promise: a tap gets the frames that it asks for, and no others: VLAN filter and packet filter decide in the kernel and
// on the frame as it leaves, sampling, snap length and rate limit do what they say, and a change of the program while
// frames flow loses none and lets none through that neither program wants.

import Lab
import MirrorProgram
import Testing

extension Promises {
    @Suite struct PromiseFilter {
        private static func program(_ generation: UInt64, _ filters: [String?]) -> MirrorProgram {
            var program = Mirror.program(.out, to: [Mirror.monitor, Mirror.second])
            program.generation = generation
            program.taps = filters.enumerated().map { index, filter in
                .init(
                    id: "tap\(index)", port: Mirror.port, direction: .out,
                    destinations: [[Mirror.monitor, Mirror.second][index]],
                    filter: filter.map { .init(expression: $0) })
            }
            return program
        }

        @Test func theFilterDecidesWhileProgramsChange() throws {
            // Streams differ in their lengths: what a filter takes can be told from what it does not.
            let (short, long) = (try Mirror.stream(1, lengths: [100]), try Mirror.stream(2, lengths: [600]))
            try Mirror.with(Self.program(1, ["len > 300", "len < 300"])) { mirror in
                let monitor = try mirror.receiver(Mirror.monitor, [short, long])
                let second = try mirror.receiver(Mirror.second, [short, long])
                let one = try FrameSender(short, in: mirror.lab.a, interface: "eth0", rate: 4_000, count: 12_000)
                let other = try FrameSender(long, in: mirror.lab.a, interface: "eth0", rate: 4_000, count: 12_000)
                // The same verdicts by other filters: another program each time.
                for generation in 2...20 {
                    let even = generation % 2 == 0
                    try mirror.apply(
                        Self.program(
                            UInt64(generation), even ? ["greater 301", "less 299"] : ["len > 300", "len < 300"]))
                }
                let (shorts, longs) = (try one.wait(), try other.wait())
                monitor.wait(seconds: 5) { $0.frames >= 12_000 }
                second.wait(seconds: 5) { $0.frames >= 12_000 }
                try mirror.ledger(offered: [Mirror.monitor: 12_000, Mirror.second: 12_000])
                let (first, rest) = (try monitor.stop(), try second.stop())
                first.streams[1].expectWhole(longs, "monitor, long")
                rest.streams[0].expectWhole(shorts, "second, short")
                #expect(first.streams[0].frames == 0 && rest.streams[1].frames == 0, "no foreign copy")
            }
        }

        @Test func actionsDoWhatTheySay() throws {
            var program = Self.program(1, [nil, nil])
            program.taps[0].sampling = .init(oneIn: 10)
            program.taps[0].snaplen = 60
            program.taps[1].rateLimit = .init(framesPerSecond: 200)
            try Mirror.with(program) { mirror in
                let stream = try Mirror.stream(1, lengths: [500])
                let sent = try FrameSender(stream, in: mirror.lab.a, interface: "eth0", rate: 5_000, count: 10_000)
                    .wait()
                let statistics = try mirror.ledger(offered: [Mirror.monitor: 1_000, Mirror.second: 10_000])
                let taps = Dictionary(uniqueKeysWithValues: statistics.taps.map { ($0.id, $0) })
                let sampled = try #require(taps["tap0"])
                let limited = try #require(taps["tap1"])
                #expect(sampled.frames == sent.frames / 10 && sampled.bytes == sampled.frames * 60)
                #expect(sampled.truncated == sampled.frames)
                // Two seconds of 200, and a burst of 20; the sender may have been slower than it was asked to be.
                #expect((350...700).contains(limited.frames), "\(limited.frames)")
                #expect(limited.frames + limited.drops.values.reduce(0, +) == sent.frames)
            }
        }

        /// Super-frames of a real TCP: every segment is judged, not the super-frame.
        @Test func segmentsAreJudgedOneByOne() throws {
            try Mirror.with(Self.program(1, ["greater 1515", "tcp[tcpflags] & tcp-syn != 0"])) { mirror in
                let (a, b) = (mirror.lab.a, mirror.lab.b)
                for namespace in [a, b] { try namespace.offloads(of: "eth0", ["tso": true, "gso": true, "tx": true]) }
                let bytes = 4_000_000
                #expect(
                    try TCPTransfer.run(from: a, to: b, address: TappedPair.addressOfB, bytes: bytes, rate: 16e6)
                        == bytes)
                let statistics = try mirror.ledger()
                let taps = Dictionary(uniqueKeysWithValues: statistics.taps.map { ($0.id, $0) })
                #expect(taps["tap0"]?.frames == 0, "no segment is longer than the wire takes")
                #expect(taps["tap1"]?.frames == 1, "one SYN")
            }
        }
    }
}
