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

        /// The kernel has taken the tag out of a frame before a filter sees it (skb->vlan_tci): filters and VLAN lists see
        /// it all the same, and it is back in the copy. Both ways: a veth's receiver takes it out, and a bridge leaves it out.
        @Test(arguments: [MirrorProgram.Direction.out, .in], [MirrorProgram.CaptureMode.tap, .xdp])
        func tagsThatTheKernelTookOut(direction: MirrorProgram.Direction, capture: MirrorProgram.CaptureMode) throws {
            typealias Tag = FrameStream.Tag
            var program = Self.program(1, ["vlan 100 and tcp port 9", nil])
            for index in program.taps.indices { program.taps[index].direction = direction }
            program.taps[1].vlanFilter = .init("7,99-100")
            program.ports[0].capture = capture
            try Mirror.with(program) { mirror in
                let isOut = direction == .out
                func stream(_ id: UInt32, _ content: FrameStream.Content, _ tags: [Tag]) throws -> FrameStream {
                    try Mirror.stream(id, fromB: !isOut, content: content, tags: tags, lengths: [100, 600, 1514])
                }
                // Which of the two taps wants it: the outermost tag counts.
                let cases: [(stream: FrameStream, wanted: [Bool])] = [
                    (try stream(1, .tcp4, [Tag(vlan: 100, priority: 5)]), [true, true]),
                    (try stream(2, .udp4, [Tag(vlan: 100)]), [false, true]),
                    (try stream(3, .tcp4, [Tag(vlan: 101)]), [false, false]),
                    (try stream(4, .tcp4, []), [false, false]),
                    (try stream(5, .tcp4, [Tag(type: 0x88A8, vlan: 7), Tag(vlan: 100)]), [false, true]),
                    (try stream(6, .tcp4, [Tag(vlan: 100), Tag(vlan: 101)]), [false, true]),
                    (try stream(7, .raw(0x88B5), [Tag(vlan: 99)]), [false, true]),
                ]
                let receivers = try [Mirror.monitor, Mirror.second].map { try mirror.receiver($0, cases.map(\.stream)) }
                let sent = try cases.map {
                    try FrameSender(
                        $0.stream, in: isOut ? mirror.lab.a : mirror.lab.b, interface: "eth0", rate: 5_000, count: 900
                    ).wait()
                }
                let offered = [0, 1].map { tap in
                    zip(cases, sent).reduce(0) { $0 + ($1.0.wanted[tap] ? $1.1.frames : 0) }
                }
                for (receiver, count) in zip(receivers, offered) { receiver.wait(seconds: 5) { $0.frames >= count } }
                try mirror.ledger(offered: [Mirror.monitor: offered[0], Mirror.second: offered[1]])
                for (tap, receiver) in receivers.enumerated() {
                    _ = receiver.settle()
                    for (check, (wanted, sent)) in zip(try receiver.stop().streams, zip(cases.map(\.wanted), sent)) {
                        if wanted[tap] {
                            check.expectWhole(sent, "tap \(tap), stream \(check.stream.id)")
                        } else {
                            #expect(check.frames == 0, "tap \(tap), stream \(check.stream.id) is not wanted")
                        }
                    }
                }
            }
        }
    }
}
