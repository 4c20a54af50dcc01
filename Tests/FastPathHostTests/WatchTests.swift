// What a watch is made of: which ones a program can carry, what is taken off a copy, and the pcapng that an onlooker gets.

import FastPath
import FastPathHost
import MirrorProgram
import Testing

@Suite("Watches")
struct WatchTests {
    private static func program(destinations: Int = 1) -> MirrorProgram {
        let ids = (0..<destinations).map { "d\($0)" }
        return MirrorProgram(
            ports: [.init(id: "p", interface: "eth1"), .init(id: "q", interface: "eth2")],
            destinations: ids.enumerated().map { index, id in
                .init(
                    id: id, target: .tunnel(.init(remote: .init("192.0.2.9")!, tunnelID: UInt32(index))))
            },
            taps: [
                .init(id: "full", port: "p", direction: .both, destinations: ids),
                .init(id: "t", port: "q", direction: .in, destinations: ["d0"]),
            ])
    }

    @Test("a watch names taps that run, and there are four at most")
    func bounds() {
        var overlay = WatchOverlay(Self.program())
        #expect(overlay.add([]) == "a watch names the taps that it is of, at least one")
        #expect(overlay.add(["x"]) == "the dataplane runs no tap 'x'; 'heliostat explain x' says why")
        for _ in 0..<4 { #expect(overlay.add(["t", "full"]) == nil) }
        #expect(
            overlay.add(["t"]) == "4 watches are there already, as many as can be; end one of them first")
    }

    @Test("a port with 64 destinations has no room for a watch")
    func room() {
        var overlay = WatchOverlay(Self.program(destinations: 63))
        #expect(overlay.add(["full"]) == nil)
        #expect(
            overlay.add(["t", "full"])
                == "port 'p' has 64 destinations and watches, as many as can be; end a watch, or delete a destination")
        #expect(overlay.add(["t"]) == nil, "what was refused has taken no place")
    }

    @Test("members of a spread take places, the spread itself does not")
    func spreads() {
        var program = Self.program(destinations: 63)
        program.destinations.append(.init(id: "s", target: .spread(["d0", "d1"])))
        program.taps[0].destinations = (2..<63).map { "d\($0)" } + ["s"]
        var overlay = WatchOverlay(program)
        #expect(overlay.add(["full"]) == nil)
        #expect(overlay.add(["full"]) != nil)
    }

    @Test("time and direction of a copy come from its outer header, which is taken off")
    func frames() throws {
        let header = Watch.header.length
        #expect(Watch.frame([UInt8](repeating: 0, count: header - 1)) == nil)
        var packet = [UInt8](repeating: 0, count: header) + Array(1...20)
        let time = try #require(Watch.header.place(of: .timestamp))
        let direction = try #require(Watch.header.place(of: .direction))
        packet.replaceSubrange(time..<time + 8, with: [0, 0, 0, 1, 0, 0, 0, 2])
        packet[direction + 3] = 2
        #expect(Watch.frame(packet) == .init(time: 1 << 32 | 2, isOut: true, bytes: Array(1...20)))
        packet[direction + 3] = 1
        #expect(Watch.frame(packet)?.isOut == false)
    }

    @Test("blocks of pcapng, byte by byte (draft-ietf-opsawg-pcapng)")
    func blocks() {
        var blocks = CaptureBlocks()
        blocks.frame([1, 2, 3, 4, 5], interface: 0, time: 0x1_0000_0002, isOut: true)
        #expect(
            blocks.bytes == [
                6, 0, 0, 0, 52, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 5, 0, 0, 0,
                1, 2, 3, 4, 5, 0, 0, 0, 2, 0, 4, 0, 2, 0, 0, 0, 0, 0, 0, 0, 52, 0, 0, 0,
            ])
        blocks = CaptureBlocks()
        blocks.statistics(received: 7, dropped: 3, time: 9, comment: "why")
        #expect(
            blocks.bytes == [
                5, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 0, 3, 0, 0x77, 0x68, 0x79, 0,
                4, 0, 8, 0, 7, 0, 0, 0, 0, 0, 0, 0, 5, 0, 8, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 60, 0, 0, 0,
            ])
    }
}
