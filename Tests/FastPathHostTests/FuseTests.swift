// When a fuse blows and when it is whole again, by the clock that it is told.

import FastPathHost
import MirrorProgram
import Testing

@Suite struct FuseTests {
    private static let bad = UplinkFuse.Look(handed: 10, failed: 90)
    private static let good = UplinkFuse.Look(handed: 90, failed: 10)

    /// Looks every 100 ms, until `end` ms.
    private static func run(
        _ fuse: inout UplinkFuse, from: Int, to end: Int, _ look: (Int) -> UplinkFuse.Look
    ) {
        for time in stride(from: from, to: end, by: 100) { fuse.take(look(time), at: UInt64(time) * 1_000_000) }
    }

    private func fuse() -> UplinkFuse { UplinkFuse(.init(after: 1_000, pause: 5_000)) }

    @Test func onlyLastingTroubleBlowsIt() {
        var fuse = fuse()
        Self.run(&fuse, from: 0, to: 60_000) { $0 % 1_000 == 500 ? Self.good : Self.bad }
        #expect(fuse.state == .whole && fuse.count == 0)
        Self.run(&fuse, from: 60_000, to: 60_100) { _ in Self.good }
        Self.run(&fuse, from: 60_100, to: 61_100) { _ in Self.bad }
        #expect(fuse.state == .whole)
        Self.run(&fuse, from: 61_100, to: 61_200) { _ in Self.bad }
        #expect(fuse.sheds && fuse.count == 1)
        #expect(fuse.reason == "90 of 100 copies found no room in it or were above its cap")
    }

    @Test func whatIsLittleOrNothingDoesNot() {
        var fuse = fuse()
        Self.run(&fuse, from: 0, to: 60_000) { _ in .init(handed: 100, failed: 99) }
        Self.run(&fuse, from: 60_000, to: 120_000) { _ in .init(handed: 0, failed: 0) }
        #expect(fuse.state == .whole)
    }

    @Test func starvedOriginalsDo() {
        var fuse = fuse()
        Self.run(&fuse, from: 0, to: 1_100) { _ in .init(handed: 100, failed: 0, starved: 1) }
        #expect(fuse.sheds && fuse.reason?.contains("softnet_stat") == true)
    }

    @Test func itComesBackAfterMoreThanAPause() {
        var fuse = fuse()
        Self.run(&fuse, from: 0, to: 1_100) { _ in Self.bad }
        #expect(fuse.state == .blown(until: 6_000_000_000))
        Self.run(&fuse, from: 1_100, to: 6_000) { _ in Self.bad }
        #expect(fuse.sheds)
        Self.run(&fuse, from: 6_000, to: 11_100) { _ in Self.good }
        #expect(!fuse.sheds && fuse.isBlown)
        Self.run(&fuse, from: 11_100, to: 11_200) { _ in Self.good }
        #expect(fuse.state == .whole)
        // As patient as at first.
        Self.run(&fuse, from: 20_000, to: 21_000) { _ in Self.bad }
        #expect(fuse.state == .whole)
    }

    @Test func pausesGrowWhileItStaysBad() {
        var fuse = fuse()
        Self.run(&fuse, from: 0, to: 600_000) { _ in Self.bad }
        // 5, 10, 20, then 40 s each time, and a quarter of the patience between two.
        #expect((16...18).contains(fuse.count), "\(fuse.count)")
    }

    @Test func softnetStat() {
        let text = """
            0000a1b2 00000003 00000001 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000
            0000a1b2 000000ff 00000001 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000002

            """
        #expect(UplinkFuse.starved(text) == [0: 3, 2: 255])
        #expect(UplinkFuse.starved("1 2 3\n4 5 6\n") == [0: 2, 1: 5])
    }
}
