// Promise: an uplink in trouble (no neighbour, down, too small) costs copies, each counted with its reason, and never
// an original.

import Lab
import MirrorProgram
import Synchronization
import Testing

extension Promises {
    @Suite struct PromiseUplink {
        /// Sends through the tapped pair and expects every original in time.
        private func originals(_ mirror: Mirror, _ id: UInt32) throws -> SendReport {
            let stream = try Mirror.stream(id)
            let receiver = try FrameReceiver(in: mirror.lab.b, interface: "eth0", streams: [stream])
            let sent = try FrameSender(stream, in: mirror.lab.a, interface: "eth0", rate: 10_000, count: 10_000).wait()
            receiver.wait(seconds: 5) { $0.frames >= sent.frames }
            try receiver.stop().streams[0].expectWhole(sent, "originals")
            return sent
        }

        /// The sender is as fast as it was before anything was tapped, but for what a busy machine does to it; one
        /// that waits for a copy would be slower by far.
        private func expectUnhurried(_ sent: SendReport, _ baseline: SendReport) {
            #expect(sent.rate > baseline.rate / 2, "\(Int(sent.rate)) frames/s, \(Int(baseline.rate)) untapped")
        }

        /// The same frames while the port is not tapped.
        private func untapped(_ mirror: Mirror) throws -> SendReport {
            try mirror.apply(MirrorProgram(generation: 2))
            defer { _ = try? mirror.apply(Mirror.program()) }
            return try originals(mirror, 9)
        }

        @Test func unresolvedNeighbour() throws {
            try Mirror.with(Mirror.program(), ready: false) { mirror in
                let baseline = try untapped(mirror)
                try mirror.lab.monitor.ip("link set \(TappedPair.underlay) arp off")
                try mirror.lab.host.ip("neighbour flush dev \(TappedPair.uplink)")
                let unreachable = try poll(seconds: 15, every: 0.05) {
                    try mirror.status().destinations.first?.state == .unreachable
                }
                #expect(unreachable, "\(mirror.destinationsInWords)")
                #expect(try mirror.status().taps.first?.state == .active)
                let before = try #require(try mirror.ledger().destinations.first)
                let sent = try originals(mirror, 1)
                expectUnhurried(sent, baseline)
                let after = try #require(
                    try mirror.ledger(offered: [Mirror.monitor: before.offered + sent.frames]).destinations.first)
                let reason = DropReason.neighbourUnresolved.name
                #expect((after.drops[reason] ?? 0) - (before.drops[reason] ?? 0) == sent.frames, "\(after.drops)")
                // And back again, by itself.
                try mirror.lab.monitor.ip("link set \(TappedPair.underlay) arp on")
                try mirror.waitUntilReady(seconds: 15)
            }
        }

        /// 500 copies/s of 10,000 originals/s, then all of them, while the port stays tapped.
        @Test func cappedUplink() throws {
            var program = Mirror.program()
            program.uplinks = [.init(interface: TappedPair.uplink, limit: .init(framesPerSecond: 500))]
            try Mirror.with(program) { mirror in
                let status = try #require(try mirror.status().uplinks.first)
                #expect(status.interface == TappedPair.uplink && status.kinds == [.afXDP])
                #expect(status.zeroCopy == false && !status.dedicated && status.reason == nil)
                let sent = try originals(mirror, 1)
                let capped = try #require(try mirror.ledger(offered: [Mirror.monitor: sent.frames]).destinations.first)
                let seconds = Double(sent.frames) / sent.rate
                #expect(Double(capped.frames) < 500 * (seconds + 0.2) + 50 && capped.frames > 200, "\(capped)")
                #expect(capped.frames + (capped.drops[DropReason.uplinkLimited.name] ?? 0) == sent.frames, "\(capped)")
                program.uplinks = []
                program.generation = 2
                try mirror.apply(program)
                let more = try originals(mirror, 2)
                let all = try #require(
                    try mirror.ledger(offered: [Mirror.monitor: sent.frames + more.frames]).destinations.first)
                #expect(all.frames == capped.frames + more.frames)
            }
        }

        /// What cannot be had is an error that says so; copies are counted, and it is mended by the next program.
        @Test func kindThatCannotBeHad() throws {
            var program = Mirror.program()
            try Mirror.with(program) { mirror in
                program.uplinks = [.init(interface: TappedPair.uplink, kind: .udp, dedicated: true)]
                program.generation = 2
                try mirror.apply(program)
                let reason =
                    "uplink \(TappedPair.uplink): kind udp shares the interface's queueing discipline; "
                    + "leave `dedicated` out"
                let refused = try poll(seconds: 5, every: 0.02) {
                    let destination = try mirror.status().destinations.first
                    return destination?.state == .error && destination?.reason == reason
                }
                #expect(refused, "\(mirror.destinationsInWords)")
                let sent = try originals(mirror, 1)
                let ledger = try #require(try mirror.ledger(offered: [Mirror.monitor: sent.frames]).destinations.first)
                #expect(ledger.drops[DropReason.uplinkDown.name] == sent.frames, "\(ledger.drops)")
                program.uplinks = [.init(interface: TappedPair.uplink, dedicated: true)]
                program.generation = 3
                try mirror.apply(program)
                try mirror.waitUntilReady(seconds: 5)
                let uplink = try #require(try mirror.status().uplinks.first)
                #expect(uplink.dedicated && uplink.zeroCopy == false, "\(uplink)")
                #expect(uplink.reason?.hasPrefix("copy mode: ") == true, "\(uplink)")
                let copied = try originals(mirror, 2)
                try mirror.ledger(offered: [Mirror.monitor: sent.frames + copied.frames])
            }
        }

        /// Many copies at once go as XDP frames where the interface takes them, by AF_XDP where it does not, and it is told which:
        /// each copy arrives once, in order, but for those that the kernel says it has dropped behind the uplink.
        @Test func xdpFrames() throws {
            var program = Mirror.program()
            program.taps[0].engine = .user
            program.uplinks = [.init(interface: TappedPair.uplink, kind: .live)]
            try Mirror.with(program) { mirror in
                var count: UInt64 = 0
                let uplink = { try #require(try mirror.status().uplinks.first) }
                let copies = { (id: UInt32) in
                    let stream = try Mirror.stream(id, lengths: [90, 100, 594, 1514])
                    let receiver = try mirror.receiver(Mirror.monitor, [stream])
                    let before = try mirror.droppedBehindUplink()
                    let sent = try FrameSender(
                        stream, in: mirror.lab.a, interface: "eth0", rate: 200_000, count: 20_000
                    ).wait()
                    receiver.wait(seconds: 5) { $0.frames >= sent.frames }
                    let check = try receiver.stop().streams[0]
                    let dropped = try mirror.droppedBehindUplink() - before
                    if dropped == 0 {
                        check.expectWhole(sent, "copies \(id)")
                    } else {
                        // A busy machine may keep the CPU from the ring that it is to empty; the kernel tells how many that cost.
                        print("kind live: \(dropped) copies found no room behind the uplink")
                        #expect(check.lost(of: sent) <= dropped && dropped < sent.frames / 10)
                        #expect(check.duplicates == 0 && check.differing == 0)
                    }
                    count += sent.frames
                    try mirror.ledger(offered: [Mirror.monitor: count])
                }
                let takesNone = try uplink()
                #expect(takesNone.kinds == [.afXDP] && takesNone.xdpFrames == nil, "\(takesNone)")
                #expect(takesNone.reason?.hasPrefix("no XDP frames: its other end") == true, "\(takesNone)")
                try copies(1)
                try mirror.takeXDPFrames()
                try mirror.waitUntilReady()
                try copies(2)
                let takesThem = try uplink()
                #expect(takesThem.kinds == [.afXDP, .live] && takesThem.reason == nil, "\(takesThem)")
                #expect((takesThem.xdpFrames ?? 0) > 1_000 && takesThem.refused == 0, "\(takesThem)")
                print("kind live: \(takesThem.xdpFrames ?? 0) of 20000 copies as XDP frames")
                try mirror.lab.monitor.offloads(of: TappedPair.underlay, ["gro": false])
                let isBack = try poll(seconds: 5, every: 0.05) { try uplink().kinds == [.afXDP] }
                #expect(isBack)
                try mirror.waitUntilReady()
                try copies(3)
            }
        }

        /// Equal neighbours of one flow go as one super-frame of UDP, which the kernel takes apart: for an uplink without
        /// offloads before it leaves, else at the monitor's own vxlan device. Each copy arrives once, in order.
        @Test(arguments: [false, true]) func datagrams(offloads: Bool) throws {
            var program = Mirror.program()
            program.taps[0].engine = .user
            program.uplinks = [.init(interface: TappedPair.uplink, kind: .udp)]
            try Mirror.with(program) { mirror in
                try mirror.lab.host.offloads(
                    of: TappedPair.uplink, ["tso": offloads, "gso": offloads, "tx": offloads])
                let stream = try Mirror.stream(1)
                let before = try mirror.lab.host.counters(of: TappedPair.uplink)
                let receiver = try mirror.receiver(Mirror.monitor, [stream])
                let sent = try FrameSender(
                    stream, in: mirror.lab.a, interface: "eth0", rate: 100_000, count: 20_000
                ).wait()
                receiver.wait(seconds: 5) { $0.frames >= sent.frames }
                try receiver.stop().streams[0].expectWhole(sent, "copies")
                let status = try #require(try mirror.status().uplinks.first)
                #expect(status.kinds == [.udp] && status.refused == 0 && status.zeroCopy == nil && !status.dedicated)
                let packets = try mirror.lab.host.counters(of: TappedPair.uplink).sentFrames - before.sentFrames
                print("kind udp, offloads \(offloads): \(sent.frames) copies in \(packets) packets of the uplink")
                #expect(offloads ? packets < sent.frames / 2 : packets >= sent.frames)
            }
        }

        @Test func downedUplink() throws {
            try Mirror.with(Mirror.program()) { mirror in
                let baseline = try untapped(mirror)
                try mirror.lab.host.ip("link set \(TappedPair.uplink) down")
                let seen = try poll(seconds: 5, every: 0.02) {
                    try mirror.status().destinations.first?.state == .unreachable
                }
                #expect(seen, "\(mirror.destinationsInWords)")
                let sent = try originals(mirror, 1)
                expectUnhurried(sent, baseline)
                let ledger = try #require(try mirror.ledger(offered: [Mirror.monitor: sent.frames]).destinations.first)
                // A downed link takes its routes with it.
                let reasons = [DropReason.uplinkDown, .noRoute].map(\.name)
                #expect(reasons.reduce(0) { $0 + (ledger.drops[$1] ?? 0) } == sent.frames, "\(ledger.drops)")
                try mirror.lab.host.ip("link set \(TappedPair.uplink) up")
                try mirror.waitUntilReady()
                let stream = try Mirror.stream(2)
                let copies = try mirror.receiver(Mirror.monitor, [stream])
                let again = try FrameSender(stream, in: mirror.lab.a, interface: "eth0", rate: 5_000, count: 1_000)
                    .wait()
                copies.wait(seconds: 5) { $0.frames >= again.frames }
                try copies.stop().streams[0].expectWhole(again, "copies after the link came back")
            }
        }

        /// Too big for the path: cut to what fits, flagged and counted, never dropped without a word.
        @Test func truncation() throws {
            try Mirror.with(Mirror.program(), .init(mtu: 1500, uplinkMTU: 1500)) { mirror in
                // 20 of IP, 8 of UDP and 8 of VXLAN are inside the MTU of 1500.
                let most = 1500 - 36
                let stream = try Mirror.stream(1, lengths: [128, 1463, 1464, 1465, 1514])
                let prefixes = Prefixes(stream, most: most)
                let copies = try mirror.receiver(Mirror.monitor, []) { prefixes.take($0.bytes) }
                let sent = try FrameSender(stream, in: mirror.lab.a, interface: "eth0", rate: 5_000, count: 5_000)
                    .wait()
                copies.wait(seconds: 5) { $0.frames >= sent.frames }
                _ = copies.settle()
                try copies.stop()
                let statistics = try mirror.ledger(offered: [Mirror.monitor: sent.frames])
                let (right, wrong) = prefixes.counts
                #expect(right == Int(sent.frames))
                #expect(wrong == 0)
                #expect(statistics.destinations.first?.truncated == 2_000)
                #expect(statistics.taps.first?.truncated == 2_000)
            }
        }
    }
}

/// Counts frames that are the first bytes of a stream's frame, as many as fit.
private final class Prefixes: Sendable {
    private let stream: FrameStream
    private let most: Int
    private let state = Mutex<(right: Int, wrong: Int)>((0, 0))

    init(_ stream: FrameStream, most: Int) {
        self.stream = stream
        self.most = most
    }

    var counts: (right: Int, wrong: Int) { state.withLock { $0 } }

    func take(_ frame: UnsafeRawBufferPointer) {
        var whole = [UInt8](repeating: 0, count: 2048)
        var right = false
        if let (sequence, time) = stream.identify(frame) {
            let length = whole.withUnsafeMutableBytes { stream.write(sequence, time: time, to: $0) }
            right = frame.count == min(length, most) && whole.prefix(frame.count).elementsEqual(frame)
        }
        state.withLock { if right { $0.right += 1 } else { $0.wrong += 1 } }
    }
}
