// Promise: an uplink that is persistently over its budget is given up for a while, as a whole, and taken up again by
// itself; originals do not notice, and every copy that is shed is counted.

import Lab
import MirrorProgram
import Testing

extension Promises {
    @Suite struct PromiseFuse {
        /// A cap of 500 copies/s, and 10,000 originals/s.
        private static var program: MirrorProgram {
            var program = Mirror.program()
            program.uplinks = [
                .init(
                    interface: TappedPair.uplink, limit: .init(framesPerSecond: 500),
                    fuse: .init(after: 300, pause: 600))
            ]
            return program
        }

        private static func lines(_ mirror: Mirror, _ words: String) -> Int {
            mirror.dataplane.process.standardError.split(separator: "\n").count { $0.contains(words) }
        }

        @Test func shedsAndComesBack() throws {
            try Mirror.with(Self.program) { mirror in
                let fuse = { try mirror.status().uplinks.first?.fuse }
                #expect(try fuse() == FuseStatus(state: .whole, blown: 0))
                let stream = try Mirror.stream(1)
                let originals = try FrameReceiver(in: mirror.lab.b, interface: "eth0", streams: [stream])
                let sender = try FrameSender(stream, in: mirror.lab.a, interface: "eth0", rate: 10_000, count: 50_000)
                let blown = try poll(seconds: 5, every: 0.02) { try fuse()?.state == .blown }
                #expect(blown, "\(String(describing: try? fuse()))")
                #expect(try mirror.status().destinations[0].reason?.contains("has blown") == true)
                #expect(try mirror.status().taps[0].state == .active)
                let sent = try sender.wait()
                originals.wait(seconds: 5) { $0.frames >= sent.frames }
                try mirror.expectOriginals(try originals.stop(), sent)
                let shed = try mirror.ledger(offered: [Mirror.monitor: sent.frames])
                let drops = shed.destinations[0].drops
                // Each pause is twice as long as the one before: most of the time nothing was tried.
                let blows = try #require(try fuse()).blown
                #expect((drops[DropReason.fused.name] ?? 0) > sent.frames / 2, "\(drops)")
                #expect((1...5).contains(blows), "\(blows)")
                // However often it is tried: once in the fuse's words, once in the destination's.
                #expect(Self.lines(mirror, "has blown: ") == 2)
                // Below the cap all goes well again.
                let second = try Mirror.stream(2)
                let copies = try mirror.receiver(Mirror.monitor, [second])
                let slow = try FrameSender(second, in: mirror.lab.a, interface: "eth0", rate: 100)
                let whole = try poll(seconds: 30, every: 0.05) { try fuse()?.state == .whole }
                #expect(whole, "\(String(describing: try? fuse()))")
                let before = copies.count
                #expect(copies.wait(seconds: 5) { $0.frames > before + 100 }, "no copies though the fuse is whole")
                let more = try slow.stop()
                try copies.stop()
                try mirror.ledger(offered: [Mirror.monitor: sent.frames + more.frames])
                #expect(try fuse()?.blown == blows)
                #expect(Self.lines(mirror, "is whole again") == 1)
                print(
                    "figure: blown \(blows) times in 5 s of overload, \(drops[DropReason.fused.name] ?? 0) copies shed")
            }
        }
    }
}
