// Promise: several workers keep what one keeps: order, ledger, sequence numbers, once per destination, and what they
// hand to each other is neither lost nor counted twice. `HELIOSTAT_WORKERS=4 Tests/run promises` runs all others with four.

import Glibc
import Lab
import MirrorProgram
import Synchronization
import Testing

extension Promises {
    @Suite struct PromiseWorkers {
        private static let other = "other"

        /// What `a` sends goes to `first`, what `b` sends to `second`: a port and a tap each.
        private static func program(
            _ first: [MirrorProgram.Destination], _ second: [MirrorProgram.Destination], generation: UInt64 = 1
        ) -> MirrorProgram {
            var program = Mirror.program(.out, to: [])
            program.generation = generation
            program.ports.append(.init(id: other, interface: TappedPair.otherPort))
            program.destinations = first + second.filter { one in !first.contains { $0.id == one.id } }
            program.taps[0].destinations = first.map(\.id)
            program.taps.append(
                .init(id: other, port: other, direction: .out, destinations: second.map(\.id)))
            return program
        }

        private static func numbered(_ id: UInt32) -> MirrorProgram.Destination {
            .init(
                id: "numbered\(id)",
                target: .tunnel(
                    .init(
                        remote: .init(TappedPair.secondMonitorAddress)!, encapsulation: .gre, tunnelID: id,
                        isSequenced: true)))
        }

        private static func worker(of port: String, _ status: DataplaneStatus) -> Int? {
            status.workers.firstIndex { $0.ports.contains(port) }
        }

        /// Of `a` and of `b`.
        private static func streams() throws -> [FrameStream] {
            [try Mirror.stream(1, flows: 8), try Mirror.stream(2, fromB: true, flows: 8)]
        }

        /// Both at once, each moving between CPUs a hundred times a second.
        private static func send(
            _ streams: [FrameStream], _ mirror: Mirror, _ count: UInt64, rate: Double = 5_000
        ) throws -> [FrameSender] {
            let (a, b) = (mirror.lab.a, mirror.lab.b)
            let every = UInt64(rate / 100)
            return [
                try FrameSender(streams[0], in: a, interface: "eth0", rate: rate, count: count, moveEvery: every),
                try FrameSender(
                    streams[1], in: b, interface: "eth0", rate: rate, count: count, moveEvery: every * 7 / 5),
            ]
        }

        /// - Parameter way: queues of the uplink, beyond which workers hand their copies over, and its kind. As XDP frames many
        ///   at once are given to the kernel, so there many have to be handed over.
        @Test(arguments: [(queues: 1, kind: MirrorProgram.UplinkKind.auto), (2, .auto), (1, .live)])
        func everyCopyOnce(way: (queues: Int, kind: MirrorProgram.UplinkKind)) throws {
            let (queues, kind) = way
            let monitor = Mirror.destination(Mirror.monitor)
            try Mirror.with(Mirror.program(.out), dataplane: ["--workers", "4"]) { mirror in
                if queues > 1 {
                    try mirror.lab.host.command(
                        "ethtool", "-L", TappedPair.uplink, "tx", "\(queues)", "rx", "\(queues)")
                }
                var program = Self.program([monitor], [monitor], generation: 2)
                program.uplinks = [.init(interface: TappedPair.uplink, kind: kind)]
                try mirror.apply(program)
                if kind == .live { try mirror.takeXDPFrames() }
                try mirror.waitUntilReady()
                let status = try mirror.status()
                #expect(status.workers.count == 4)
                #expect(Self.worker(of: Mirror.port, status) != Self.worker(of: Self.other, status))
                #expect(status.uplinks.map(\.queues) == [queues], "\(status.uplinks)")
                let streams = try Self.streams()
                let copies = try mirror.receiver(Mirror.monitor, streams)
                let isLive = kind == .live
                let before = try mirror.droppedBehindUplink()
                let senders = try Self.send(streams, mirror, isLive ? 60_000 : 20_000, rate: isLive ? 60_000 : 5_000)
                let sent = try senders.map { try $0.wait() }
                let total = sent.reduce(0) { $0 + $1.frames }
                copies.wait(seconds: 20) { $0.frames >= total }
                let report = copies.settle()
                try copies.stop()
                #expect(report.missed == 0)
                let dropped = try mirror.droppedBehindUplink() - before
                for (check, sent) in zip(report.streams, sent) {
                    // Workers move between CPUs, and whoever empties a ring may be waiting for another one.
                    if isLive && dropped > 0 {
                        print("kind live: \(dropped) copies found no room on their way")
                        #expect(check.lost(of: sent) <= dropped)
                        #expect(check.duplicates == 0 && check.differing == 0)
                    } else {
                        #expect(isLive || check.reordered == 0)
                        #expect(
                            check.missing(of: sent).isEmpty && check.duplicates == 0 && check.differing == 0,
                            "missing \(check.missing(of: sent).prefix(5)), \(check.lost(of: sent)) of \(sent.frames)")
                    }
                }
                try mirror.ledger(offered: [Mirror.monitor: total])
                let frames = try mirror.status().uplinks.first?.xdpFrames
                #expect(isLive ? (frames ?? 0) > 0 : frames == nil, "\(frames ?? 0) XDP frames")
            }
        }

        /// Numbers between two addresses come from one worker: two ports that share them are its, also when a program under
        /// traffic makes them share, and no copy is late for that.
        @Test func sharedNumbersMoveAPort() throws {
            let monitor = Mirror.destination(Mirror.monitor)
            let before = Self.program([monitor], [monitor])
            try Mirror.with(before, dataplane: ["--workers", "4"]) { mirror in
                let first = try mirror.status()
                #expect(Self.worker(of: Mirror.port, first) != Self.worker(of: Self.other, first))
                let numbers = Numbers()
                let numbered = try FrameReceiver(in: mirror.lab.secondMonitor, interface: TappedPair.underlay) {
                    numbers.take($0.bytes)
                }
                let streams = try Self.streams()
                let copies = try mirror.receiver(Mirror.monitor, streams)
                let senders = try Self.send(streams, mirror, 40_000)
                copies.wait(seconds: 10) { $0.frames > 10_000 }
                try mirror.apply(
                    Self.program([monitor, Self.numbered(7)], [monitor, Self.numbered(8)], generation: 2))
                let sent = try senders.map { try $0.wait() }
                let total = sent.reduce(0) { $0 + $1.frames }
                copies.wait(seconds: 20) { $0.frames >= total }
                let after = try mirror.status()
                #expect(Self.worker(of: Mirror.port, after) == Self.worker(of: Self.other, after))
                let report = try copies.stop()
                #expect(report.missed == 0)
                for (check, sent) in zip(report.streams, sent) { check.expectWhole(sent, "stream \(check.stream.id)") }
                let ledger = try mirror.ledger(offered: [Mirror.monitor: total])
                try numbered.stop()
                let counted = ledger.destinations.filter { $0.id != Mirror.monitor }.reduce(0) { $0 + $1.frames }
                #expect(counted > 10_000)
                #expect(
                    numbers.count == counted && numbers.gaps == 0,
                    "\(numbers.count) of \(counted), \(numbers.gaps) gaps")
            }
        }

        /// The supervisor hurries, and what it starts would inherit that.
        @Test(arguments: [false, true]) func aNiceValueStays(supervised: Bool) throws {
            try Mirror.$wrapper.withValue(["nice", "-n", "7"]) {
                try Mirror.with(Mirror.program(.out), supervised: supervised) { mirror in
                    let workers = try mirror.status().workers
                    #expect(workers.map(\.scheduling) == ["nice 7"])
                }
            }
        }

        /// A killed dataplane of four workers loses no original, and copies of both ports come back.
        @Test func killed() throws {
            let monitor = Mirror.destination(Mirror.monitor)
            let program = Self.program([monitor], [monitor])
            try Mirror.with(program, dataplane: ["--workers", "4"], supervised: true) { mirror in
                let streams = try Self.streams()
                let originals = [
                    try FrameReceiver(in: mirror.lab.b, interface: "eth0", streams: [streams[0]]),
                    try FrameReceiver(in: mirror.lab.a, interface: "eth0", streams: [streams[1]]),
                ]
                let copies = try mirror.receiver(Mirror.monitor, streams)
                let senders = try Self.send(streams, mirror, 60_000)
                for life in 1...3 {
                    let seen = copies.count
                    try #require(copies.wait(seconds: 10) { $0.frames > seen + 12_000 }, "no copies in life \(life)")
                    let pid = try mirror.status().pid
                    try #require(kill(pid, SIGKILL) == 0)
                    let back = poll(seconds: 5, every: 0.01) { (try? mirror.status().pid).map { $0 != pid } ?? false }
                    try #require(back, "no dataplane after kill \(life)")
                }
                let sent = try senders.map { try $0.wait() }
                for (receiver, sent) in zip(originals, sent) {
                    receiver.wait(seconds: 5) { $0.frames >= sent.frames }
                    try mirror.expectOriginals(try receiver.stop(), sent)
                }
                for check in copies.settle().streams {
                    #expect(check.duplicates == 0 && check.differing == 0)
                    #expect(check.frames > 30_000)
                }
                try copies.stop()
            }
        }
    }
}

/// Sequence numbers of GRE packets (RFC 2890), over IPv4, with a key.
private final class Numbers: Sendable {
    private let state = Mutex<(next: UInt32?, count: UInt64, gaps: Int)>((nil, 0, 0))

    func take(_ frame: UnsafeRawBufferPointer) {
        let bytes = Array(frame.prefix(46))
        guard bytes.count == 46, bytes[12] == 8, bytes[13] == 0, bytes[23] == 47, bytes[34] & 0x30 == 0x30 else {
            return
        }
        let number = bytes[42..<46].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        state.withLock { state in
            if let next = state.next, next != number { state.gaps += 1 }
            state.next = number &+ 1
            state.count += 1
        }
    }

    var count: UInt64 { state.withLock { $0.count } }
    var gaps: Int { state.withLock { $0.gaps } }
}
