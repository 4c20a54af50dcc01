// Promise: what happens to an uplink while copies leave through it (removed and added, MTU lowered and raised, neighbour
// gone and back) is followed live: copies resume within a second, each that is missing has its reason, and originals
// pass untouched throughout.

import Lab
import MirrorProgram
import Testing

extension Promises {
    @Suite struct PromiseUplinkChanges {
        /// From the moment that the way is whole again to the first whole copy, seconds: the kernel asks for a neighbour
        /// once a second, and a little more between two rounds (neigh/IF/retrans_time_ms).
        private static let limit = 1.1

        /// Under 5,000 frames/s: takes the way away, waits until copies stay out, puts it right, and sees when they are back.
        private func under(
            load change: String, _ options: TappedPair.Options = .init(), break broken: (TappedPair) throws -> Void,
            mend: (TappedPair) throws -> Void, isBroken: (DataplaneStatistics) -> Bool
        ) throws {
            try Mirror.with(Mirror.program(), options) { mirror in
                let stream = try Mirror.stream(1, lengths: [1000])
                let originals = try FrameReceiver(in: mirror.lab.b, interface: "eth0", streams: [stream])
                let copies = try mirror.receiver(Mirror.monitor, [stream])
                let sender = try FrameSender(stream, in: mirror.lab.a, interface: "eth0", rate: 5_000)
                try #require(copies.wait(seconds: 5) { $0.frames > 1_000 })
                try broken(mirror.lab)
                let seen = try poll(seconds: 15, every: 0.02) { isBroken(try mirror.statistics()) }
                #expect(seen, "\(change): \(mirror.destinationsInWords)")
                try mend(mirror.lab)
                let mended = nowNanoseconds()
                let whole = copies.report.streams[0]
                let back = copies.wait(seconds: 10) {
                    $0.streams[0].frames - $0.streams[0].differing > whole.frames - whole.differing
                }
                let pause = Double(nowNanoseconds() - mended) / 1e9
                #expect(back && pause <= Self.limit, "\(change): copies back after \(pause) s")
                let count = copies.count
                #expect(copies.wait(seconds: 5) { $0.frames > count + 5_000 })
                let sent = try sender.stop()
                try mirror.expectOriginals(originals.settle(), sent)
                let statistics = try mirror.ledger(offered: [Mirror.monitor: sent.frames])
                let drops = statistics.destinations[0].drops.filter { $0.value > 0 }
                print("figure: \(change): copies back \(Int(pause * 1000)) ms after it; drops \(drops)")
                try originals.stop()
                let report = try copies.stop().streams[0]
                #expect(report.duplicates == 0 && report.reordered == 0)
            }
        }

        private static func drops(_ statistics: DataplaneStatistics, _ reasons: DropReason...) -> UInt64 {
            reasons.reduce(0) { $0 + (statistics.destinations.first?.drops[$1.name] ?? 0) }
        }

        @Test func removedAndAdded() throws {
            try under(
                load: "uplink removed and added",
                break: { try $0.host.ip("link delete \(TappedPair.uplink)") }, mend: { try $0.addUplinkAgain() },
                isBroken: { Self.drops($0, .uplinkDown, .noRoute) > 1_000 })
        }

        @Test func mtuLoweredAndRaised() throws {
            try under(
                load: "MTU lowered and raised",
                break: { try $0.host.ip("link set \(TappedPair.uplink) mtu 600") },
                mend: { try $0.host.ip("link set \(TappedPair.uplink) mtu 1600") },
                isBroken: { ($0.destinations.first?.truncated ?? 0) > 1_000 })
        }

        @Test func neighbourGoneAndBack() throws {
            try under(
                load: "neighbour gone and back",
                break: { lab in
                    try lab.monitor.ip("link set \(TappedPair.underlay) arp off")
                    try lab.host.ip("neighbour flush dev \(TappedPair.uplink)")
                }, mend: { try $0.monitor.ip("link set \(TappedPair.underlay) arp on") },
                isBroken: { Self.drops($0, .neighbourUnresolved) > 1_000 })
        }

        @Test func routeGoneAndBack() throws {
            try under(
                load: "address gone and back",
                break: { try $0.host.ip("address delete \(TappedPair.hostAddress)/24 dev \(TappedPair.uplink)") },
                mend: { try $0.host.ip("address add \(TappedPair.hostAddress)/24 dev \(TappedPair.uplink)") },
                isBroken: { Self.drops($0, .noRoute) > 1_000 })
        }
    }
}
