// Capture files in every form through the worker, and back out.

import FastPathHost
import Foundation
import MirrorProgram
import Testing

@Suite struct ReplayTests {
    private static let frame: [UInt8] =
        [2, 0, 0, 0, 0, 0x0B, 2, 0, 0, 0, 0, 0x0A, 0x88, 0xB5] + (0..<50).map { UInt8($0) }
    private static let time: UInt64 = 1_700_000_000_123_456_000

    private static func number(_ value: UInt64, _ count: Int, _ big: Bool) -> [UInt8] {
        let little = (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
        return big ? little.reversed() : little
    }

    /// Numbers with their widths in bytes.
    private static func numbers(_ big: Bool, _ values: (UInt64, Int)...) -> [UInt8] {
        values.flatMap { number($0.0, $0.1, big) }
    }

    /// One frame as pcap.
    private static func pcap(nanoseconds: Bool, big: Bool, linkType: UInt64 = 1, cut: Int = 0) -> [UInt8] {
        let magic: UInt64 = nanoseconds ? 0xA1B2_3C4D : 0xA1B2_C3D4
        let head = numbers(big, (magic, 4), (2, 2), (4, 2), (0, 8), (65535, 4), (linkType, 4))
        let fraction = time % 1_000_000_000 / (nanoseconds ? 1 : 1000)
        let record = numbers(
            big, (time / 1_000_000_000, 4), (fraction, 4), (UInt64(frame.count - cut), 4), (UInt64(frame.count), 4))
        return Array([head, record, Array(frame.dropLast(cut))].joined())
    }

    private static func block(_ big: Bool, _ type: UInt64, _ body: [UInt8]) -> [UInt8] {
        let length = UInt64(body.count + 12)
        return Array([numbers(big, (type, 4), (length, 4)), body, number(length, 4, big)].joined())
    }

    /// One frame of the second of two interfaces as pcapng, with µs or ns.
    private static func pcapng(nanoseconds: Bool, big: Bool) -> [UInt8] {
        let stamp = nanoseconds ? time : time / 1000
        let resolution: [UInt8] = nanoseconds ? numbers(big, (9, 2), (1, 2)) + [9, 0, 0, 0] : []
        let ethernet: [[UInt8]] = [numbers(big, (1, 2), (0, 2), (0, 4)), resolution, number(0, 4, big)]
        let packet = numbers(
            big, (1, 4), (stamp >> 32, 4), (stamp & 0xFFFF_FFFF, 4), (UInt64(frame.count), 4),
            (UInt64(frame.count + 100), 4))
        let blocks: [[UInt8]] = [
            block(big, 0x0A0D_0D0A, numbers(big, (0x1A2B_3C4D, 4), (1, 2), (0, 2), (.max, 8))),
            block(big, 1, numbers(big, (113, 2), (0, 2), (0, 4))),
            block(big, 1, Array(ethernet.joined())),
            block(big, 5, numbers(big, (1, 4), (0, 8))),
            block(big, 6, packet + frame),
        ]
        return Array(blocks.joined())
    }

    private func frames(_ bytes: [UInt8]) throws -> [CapturedFrame] {
        try withTemporaryDirectory { path in
            try Data(bytes).write(to: URL(fileURLWithPath: path + "/in"))
            var file = try CaptureFile(path: path + "/in")
            var frames: [CapturedFrame] = []
            while let frame = try file.next() { frames.append(frame) }
            return frames
        }
    }

    @Test(arguments: [true, false], [true, false])
    func readsBothByteOrdersAndResolutions(nanoseconds: Bool, big: Bool) throws {
        let whole = CapturedFrame(time: Self.time, bytes: Self.frame, length: Self.frame.count)
        #expect(try frames(Self.pcap(nanoseconds: nanoseconds, big: big)) == [whole])
        var cut = whole
        cut.bytes.removeLast(4)
        #expect(try frames(Self.pcap(nanoseconds: nanoseconds, big: big, cut: 4)) == [cut])
        var longer = whole
        longer.length += 100
        #expect(try frames(Self.pcapng(nanoseconds: nanoseconds, big: big)) == [longer])
        let two = Self.pcapng(nanoseconds: nanoseconds, big: big) + Self.pcapng(nanoseconds: nanoseconds, big: !big)
        #expect(try frames(two) == [longer, longer])
    }

    @Test func refusesWhatIsNotEthernetOrNoCapture() {
        let refusal = { (bytes: [UInt8]) -> String in
            do {
                _ = try frames(bytes)
                return ""
            } catch { return "\(error)" }
        }
        #expect(
            refusal(Self.pcap(nanoseconds: true, big: false, linkType: 113)).contains(
                "has frames of link type 113; only Ethernet (1) is mirrored: capture on one interface, not on 'any'"))
        #expect(refusal([1, 2, 3, 4, 5]).contains("is neither pcap nor pcapng"))
        #expect(refusal([1, 2]).contains("is not a capture file: it has 2 bytes"))
    }

    @Test func everyBeginningOfAFileEndsWell() throws {
        for bytes in [Self.pcap(nanoseconds: true, big: true), Self.pcapng(nanoseconds: true, big: false)] {
            for count in 0..<bytes.count { _ = try? frames(Array(bytes.prefix(count))) }
        }
    }

    private func replay(
        _ program: String, _ input: [UInt8], ending: String = "pcap",
        _ change: (inout Replay.Surroundings) -> Void = { _ in }
    ) throws -> (frames: [CapturedFrame], outcome: Replay.Outcome) {
        try withTemporaryDirectory { path in
            try Data(input).write(to: URL(fileURLWithPath: path + "/in"))
            var surroundings = Replay.Surroundings()
            change(&surroundings)
            let replay = try Replay(try MirrorProgram(text: program.utf8), surroundings)
            let outcome = try replay.run(path + "/in", to: path + "/out." + ending)
            var file = try CaptureFile(path: path + "/out." + ending)
            var frames: [CapturedFrame] = []
            while let frame = try file.next() { frames.append(frame) }
            return (frames, outcome)
        }
    }

    private static let program = """
        {"ports": [{"id": "p", "interface": "eth0", "mac": "02:00:00:00:00:0a"}],
         "destinations": [{"id": "v", "remote": "198.51.100.9", "tunnel_id": 7}, {"id": "i", "interface": "eth1"}],
         "taps": [{"id": "t", "port": "p", "direction": "DIRECTION", "destinations": ["v", "i"] EXTRA}]}
        """

    private func text(_ direction: String = "BOTH", _ extra: String = "") -> String {
        Self.program.replacingOccurrences(of: "DIRECTION", with: direction).replacingOccurrences(
            of: "EXTRA", with: extra)
    }

    @Test(arguments: ["pcap", "pcapng"])
    func copiesLeaveAsTheDataplaneSendsThem(ending: String) throws {
        let input = Self.pcap(nanoseconds: true, big: false)
        let (frames, outcome) = try replay(text(), input, ending: ending)
        #expect(frames.map(\.time) == [Self.time, Self.time])
        #expect(frames.map(\.bytes.count).sorted() == [Self.frame.count, Self.frame.count + 50])
        let tunnelled = try #require(frames.first { $0.bytes.count > Self.frame.count })
        // Ethernet, then IPv4 from 192.0.2.1 to 198.51.100.9, UDP to 4789, VNI 7.
        #expect(Array(tunnelled.bytes[26..<34]) == [192, 0, 2, 1, 198, 51, 100, 9])
        #expect(Array(tunnelled.bytes[36..<38]) == [0x12, 0xB5])
        #expect(Array(tunnelled.bytes[42..<50]) == [8, 0, 0, 0, 0, 0, 7, 0])
        #expect(Array(tunnelled.bytes[50...]) == Self.frame)
        #expect(outcome.taps.map(\.frames) == [2] && outcome.destinations.map(\.offered) == [1, 1])
    }

    @Test func directionFiltersAndLimitsDecide() throws {
        let input = Self.pcap(nanoseconds: true, big: false)
        #expect(try replay(text("OUT"), input).frames.count == 2, "from the port's own address")
        #expect(try replay(text("IN"), input).frames.isEmpty)
        #expect(try replay(text("IN"), input) { $0.direction = .in }.frames.count == 2)
        #expect(try replay(text("BOTH", #", "filter": "ether proto 0x88b5""#), input).frames.count == 2)
        #expect(try replay(text("BOTH", #", "filter": "ip""#), input).frames.isEmpty)
        #expect(try replay(text("BOTH", #", "snaplen": 20"#), input).frames.map(\.bytes.count).sorted() == [20, 70])
        // Packet time, not ours: of four frames in one instant at 10 a second one passes, a second later another.
        let frame = Array(input[24...])
        var later = frame
        later[0] &+= 1
        let limited = text("BOTH", #", "rate_limit": {"frames_per_second": 10}"#)
        let (frames, outcome) = try replay(limited, input + frame + frame + later)
        #expect(frames.count == 4)
        #expect(outcome.destinations.map { $0.drops["rate_limited"] } == [2, 2])
    }

    @Test func ofSeveralPortsOneIsNamed() throws {
        let program = """
            {"ports": [{"id": "p", "interface": "eth0"}, {"id": "q", "interface": "eth1"}],
             "destinations": [{"id": "v", "remote": "198.51.100.9", "tunnel_id": 7}],
             "taps": [{"id": "t", "port": "p", "destinations": ["v"]}]}
            """
        let input = Self.pcap(nanoseconds: false, big: false)
        #expect {
            try replay(program, input)
        } throws: {
            "\($0)" == "the program has several ports; say with --port which one the frames are of: p, q"
        }
        #expect(try replay(program, input) { $0.port = "p" }.frames.count == 1)
        #expect {
            try replay(program, input) { $0.port = "q" }
        } throws: { "\($0)" == "no tap selects frames of port 'q'; add one to the program" }
    }

    @Test func everyEncapsulationOfBothVersionsAndASpread() throws {
        let destinations = ["vxlan", "gre", "erspan2", "erspan3", "geneve"].flatMap { kind in
            ["198.51.100.9", "2001:db8::9"].map { (id: "\(kind)-\($0)", kind: kind, remote: $0) }
        }
        let program = """
            {"ports": [{"id": "p", "interface": "eth0"}],
             "destinations": [\(destinations.map { #"{"id": "\#($0.id)", "remote": "\#($0.remote)", "encapsulation": "\#($0.kind)", "tunnel_id": 5}"# }.joined(separator: ", ")),
               {"id": "s", "spread": ["vxlan-198.51.100.9", "gre-2001:db8::9"]}],
             "taps": [{"id": "all", "port": "p", "destinations": [\(destinations.map { "\"\($0.id)\"" }.joined(separator: ", "))]},
               {"id": "one", "port": "p", "destinations": ["s"]}]}
            """
        let (frames, outcome) = try replay(program, Self.pcap(nanoseconds: false, big: true), ending: "pcapng")
        #expect(frames.count == 10, "a member that another tap serves gets one copy")
        #expect(frames.allSatisfy { $0.bytes.suffix(Self.frame.count).elementsEqual(Self.frame) })
        #expect(outcome.taps.map(\.frames) == [10, 1])
    }
}
