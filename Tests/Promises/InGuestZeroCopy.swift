// Real drivers with zero-copy, which this machine's kernel has not: `span` and `inline` on virtio_net and igb, several
// queues each, in the guest machine (Tests/run, group `drivers`). Its CPU is emulated: figures are stated, not asserted.

import Foundation
import Glibc
import Lab
import MirrorProgram
import Testing

@Suite(.serialized, .inGuest, .timeLimit(.minutes(6))) struct InGuestZeroCopy {
    /// Two wired pairs of NICs of one driver.
    struct Driver: CustomTestStringConvertible {
        var name: String
        var cables: [Cable]
        var queues: Int
        /// Without copies the kernel could not carry by itself.
        var inlineCopies = false
        /// Frames a second, each way, that the emulated CPU takes.
        var rate: Double

        var testDescription: String { name }

        /// As Tests/run orders them of the guest machine.
        static let all = [
            Driver(name: "virtio_net", pairs: [0, 1], queues: 4, rate: 2_000, inlineCopies: true),
            Driver(name: "igb", pairs: [2, 3], queues: 2, rate: 2_000),
        ]

        private init(name: String, pairs: [Int], queues: Int, rate: Double, inlineCopies: Bool = false) {
            self.name = name
            cables = pairs.map { Cable(near: "p\($0)b", far: "p\($0)a") }
            self.queues = queues
            self.rate = rate
            self.inlineCopies = inlineCopies
        }
    }

    private static func program(
        _ port: MirrorProgram.Port, _ direction: MirrorProgram.Direction, _ generation: UInt64
    ) -> MirrorProgram {
        MirrorProgram(
            generation: generation, ports: [port], destinations: [Mirror.destination(Mirror.monitor)],
            taps: [.init(id: Mirror.tap, port: Mirror.port, direction: direction, destinations: [Mirror.monitor])])
    }

    /// A lab on the driver's NICs with as many queues as it has, and nothing of the dataplane left behind.
    private static func with(_ driver: Driver, _ body: (Mirror, (MirrorProgram) throws -> Void) throws -> Void) throws {
        var options = TappedPair.Options()
        options.isWire = true
        options.cables = driver.cables
        try Mirror.with(MirrorProgram(generation: 1), options, ready: false) { mirror in
            let lab = mirror.lab
            let ends = [
                (lab.host, TappedPair.tappedPort), (lab.host, TappedPair.otherPort), (lab.a, "eth0"), (lab.b, "eth0"),
            ]
            for (namespace, name) in ends {
                try namespace.command("ethtool", "-L", name, "combined", "\(driver.queues)")
                if driver.name == "virtio_net" { try Self.free(namespace, name) }
            }
            try awaitCarriers(ends)
            try body(mirror) { program in
                // XDP that comes or goes takes the link of some NICs down, and a second or two of whoever asks for it.
                try mirror.apply(program, seconds: 30)
                try mirror.waitUntilReady(seconds: 60)
                try awaitCarriers(ends)
            }
            try mirror.apply(MirrorProgram(generation: 99))
            #expect(try !lab.host.command("bpftool", "net", "show").contains("driver"))
        }
    }

    /// QEMU stops reading a queue of the tap behind a NIC when a frame comes before the driver has given room to the queue
    /// that RSS chooses, until the driver has news of the tap's own: for ever, where that one gets no frame. A new ring is such news.
    private static func free(_ namespace: Namespace, _ name: String) throws {
        for size in ["512", "1024"] { try namespace.command("ethtool", "-G", name, "rx", size) }
    }

    private static func awaitCarriers(_ ends: [(Namespace, String)]) throws {
        for (namespace, name) in ends {
            let came = poll(seconds: 20, every: 0.1) {
                (try? namespace.command("ip", "link", "show", name).contains("LOWER_UP")) ?? false
            }
            try #require(came, "\(name) has no carrier")
        }
    }

    /// Frames that each queue of a port has received, as its driver counts.
    private static func received(_ namespace: Namespace, _ name: String, _ driver: Driver) throws -> [UInt64] {
        let lines = try namespace.command("ethtool", "-S", name).split(separator: "\n")
        return (0..<driver.queues).map { queue in
            let names = ["rx\(queue)_xdp_packets:", "rx_queue_\(queue)_packets:"]
            let line = lines.map { $0.split(separator: " ") }.first { $0.count == 2 && names.contains(String($0[0])) }
            return line.flatMap { UInt64($0[1]) } ?? 0
        }
    }

    /// Streams between different addresses, so that RSS finds different queues.
    private static func streams(from first: UInt32, fromB: Bool = false) throws -> [FrameStream] {
        let lengths = [100, 101, 128, 511, 1000, 1514]
        let plain = try (0..<10).map {
            try Mirror.stream(first + $0, fromB: fromB, content: $0 % 3 == 2 ? .udp6 : .udp4, lengths: lengths)
        }
        return try plain + [
            Mirror.stream(first + 10, fromB: fromB, content: .tcp4, lengths: lengths),
            Mirror.stream(first + 11, fromB: fromB, tags: [.init(vlan: 100, priority: 5)], lengths: lengths + [1518]),
            Mirror.stream(first + 12, fromB: fromB, content: .raw(0x88B5), lengths: [60, 64, 1514]),
        ]
    }

    /// Sends until something arrives.
    private static func open(
        _ mirror: Mirror, _ receiver: FrameReceiver, from namespace: Namespace, _ stream: FrameStream
    ) throws {
        let sender = try FrameSender(stream, in: namespace, interface: "eth0", rate: 100)
        defer { _ = try? sender.stop() }
        let passes = receiver.wait(seconds: 30) { $0.frames > 20 }
        try #require(passes, "nothing passes: \(whereFramesAre(mirror))")
    }

    /// What every interface on the way and the dataplane have counted, for a test that waits in vain.
    private static func whereFramesAre(_ mirror: Mirror) -> String {
        let lab = mirror.lab
        let ends = [
            (lab.a, "eth0"), (lab.host, TappedPair.tappedPort), (lab.host, TappedPair.otherPort), (lab.b, "eth0"),
        ]
        let counters = ends.map { namespace, name in
            let lines = (try? namespace.command("ethtool", "-S", name)) ?? ""
            let moved = lines.split(separator: "\n").dropFirst().filter { !$0.hasSuffix(": 0") }
            return "\(namespace.name) \(name): " + moved.map { $0.drop { $0 == " " } }.joined(separator: ", ")
        }
        let inline = (try? mirror.statistics().inline).map { "\($0)" } ?? "?"
        return (counters + [inline]).joined(separator: "\n")
    }

    /// Both modes, one after the other, on the same NICs.
    @Test(arguments: Driver.all) func spanAndInline(_ driver: Driver) throws {
        let span = MirrorProgram.Port(id: Mirror.port, interface: TappedPair.tappedPort, capture: .span)
        let inline = MirrorProgram.Port(
            id: Mirror.port, interface: TappedPair.tappedPort, capture: .inline, pair: TappedPair.otherPort,
            side: .peer)
        try Self.with(driver) { mirror, run in
            try run(Self.program(span, .in, 2))
            try spanReceives(mirror, driver)
            try run(Self.program(inline, .both, 3))
            try inlineCarries(mirror, driver)
        }
    }

    // MARK: span

    private func spanReceives(_ mirror: Mirror, _ driver: Driver) throws {
        let status = try mirror.status().ports[0]
        #expect(status.obtained == .span && status.hook == "xdp-native", "\(status)")
        #expect(status.zeroCopy == true && status.queues == driver.queues, "\(status)")
        let (first, streams) = (try Mirror.stream(90), try Self.streams(from: 1))
        // The kernel's own vxlan device takes the copies out of their tunnel.
        let copies = try mirror.receiver(Mirror.monitor, [first] + streams)
        try Self.open(mirror, copies, from: mirror.lab.a, first)
        let before = try Self.received(mirror.lab.host, TappedPair.tappedPort, driver)
        let sent = try streams.map {
            try FrameSender($0, in: mirror.lab.a, interface: "eth0", rate: 2_000, count: 600, moveEvery: .max)
                .wait()
        }
        let total = sent.reduce(0) { $0 + $1.frames }
        copies.wait(seconds: 20) { $0.frames >= total + $0.streams[0].frames }
        _ = copies.settle()
        let report = try copies.stop()
        #expect(report.missed == 0)
        for (check, sent) in zip(report.streams.dropFirst(), sent) {
            check.expectWhole(sent, "\(driver.name), stream \(check.stream.id)")
        }
        let ledger = try mirror.ledger().destinations[0]
        #expect(ledger.frames == report.frames, "\(ledger)")
        let after = try Self.received(mirror.lab.host, TappedPair.tappedPort, driver)
        let byQueue = zip(after, before).map { $0 - $1 }
        #expect(byQueue.filter { $0 > 0 }.count > 1, "RSS has spread them: \(byQueue)")
        print(
            "figure: span on \(driver.name), zero-copy: \(report.frames) copies of \(ledger.offered), byte for byte;",
            "by queue \(byQueue)")
    }

    // MARK: inline

    private func inlineCarries(_ mirror: Mirror, _ driver: Driver) throws {
        let status = try mirror.status().ports[0]
        #expect(status.obtained == .inline && status.hook == "xdp-native", "\(status)")
        #expect(status.zeroCopy == !driver.inlineCopies && status.queues == driver.queues * 2, "\(status)")
        #expect(status.reason?.contains("copy mode") ?? false == driver.inlineCopies, "\(status)")
        try originalsAndCopies(mirror, driver)
        for number in [SIGSTOP, SIGKILL] { try interrupt(mirror, driver, number) }
        // Only a program without the port cuts the wire.
        let stream = try Mirror.stream(91)
        let receiver = try FrameReceiver(in: mirror.lab.b, interface: "eth0", streams: [stream])
        let sender = try FrameSender(stream, in: mirror.lab.a, interface: "eth0", rate: 500)
        try #require(receiver.wait(seconds: 20) { $0.frames > 200 }, "\(Self.whereFramesAre(mirror))")
        try mirror.apply(MirrorProgram(generation: 98))
        let cut = receiver.settle(quiet: 0.5).frames
        let count = try sender.stop().frames
        #expect(try receiver.stop().frames == cut && cut < count)
    }

    private func originalsAndCopies(_ mirror: Mirror, _ driver: Driver) throws {
        let (a, b) = (mirror.lab.a, mirror.lab.b)
        let (first, back) = (try Mirror.stream(90), try Mirror.stream(91, fromB: true))
        let (outward, inward) = (try Self.streams(from: 1), try Self.streams(from: 21, fromB: true))
        let atB = try FrameReceiver(in: b, interface: "eth0", streams: [first] + outward)
        let atA = try FrameReceiver(in: a, interface: "eth0", streams: [back] + inward)
        try Self.open(mirror, atB, from: a, first)
        try Self.open(mirror, atA, from: b, back)
        let copies = try mirror.receiver(Mirror.monitor, outward + inward)
        let before = try mirror.statistics().inline[0]
        let sent = try zip(outward, inward).map { outward, inward in
            let senders = [(outward, a), (inward, b)].map { stream, namespace in
                Result {
                    try FrameSender(stream, in: namespace, interface: "eth0", rate: 1_000, count: 300, moveEvery: .max)
                }
            }
            return try senders.map { try $0.get().wait() }
        }
        let total = sent.joined().reduce(0) { $0 + $1.frames }
        _ = copies.settle()
        let originals = [try atB.stop(), try atA.stop()]
        // On an emulated CPU the worker is late at times: the kernel carries then, without copies, and what waited is let go.
        let after = try mirror.statistics().inline[0]
        let carried = after.bypassed - before.bypassed
        let dropped = after.drops.values.reduce(0, +) - before.drops.values.reduce(0, +)
        for (way, report) in originals.enumerated() {
            for (check, sent) in zip(report.streams.dropFirst(), sent) {
                #expect(check.differing == 0 && check.duplicates == 0, "\(check.firstDifference ?? "")")
                #expect(carried > 0 || check.lost(of: sent[way]) <= dropped && check.reordered == 0)
            }
        }
        let arrived = originals.reduce(0) { $0 + $1.streams.dropFirst().reduce(0) { $0 + $1.frames } }
        // What leads from one virtio_net to another may drop too.
        #expect(arrived + dropped > total / 2, "\(arrived) of \(total) arrived: \(after)")
        let report = try copies.stop()
        for check in report.streams {
            #expect(check.differing == 0 && check.duplicates == 0, "\(check.firstDifference ?? "")")
        }
        #expect(report.frames > 0 && report.frames + carried + dropped >= total, "\(report.frames), \(after)")
        let ledger = try mirror.ledger().destinations[0]
        let queues = try [TappedPair.tappedPort, TappedPair.otherPort].map {
            try Self.received(mirror.lab.host, $0, driver)
        }
        #expect(queues.allSatisfy { $0.filter { $0 > 0 }.count > 1 }, "RSS has spread them: \(queues)")
        print(
            "figure: inline on \(driver.name), \(mode(driver)): \(arrived) of \(total) originals, \(report.frames) copies,",
            "byte for byte; \(carried) carried by the kernel, \(dropped) dropped; by queue \(queues)")
        #expect(ledger.offered == ledger.frames + ledger.drops.values.reduce(0, +))
    }

    private func mode(_ driver: Driver) -> String { driver.inlineCopies ? "copy mode" : "zero-copy" }

    /// Originals go on while nobody is there, and copies come back.
    private func interrupt(_ mirror: Mirror, _ driver: Driver, _ number: Int32) throws {
        let streams = [try Mirror.stream(50, lengths: [128]), try Mirror.stream(51, fromB: true, lengths: [128])]
        let (a, b) = (mirror.lab.a, mirror.lab.b)
        let receivers = [
            try FrameReceiver(in: b, interface: "eth0", streams: [streams[0]]),
            try FrameReceiver(in: a, interface: "eth0", streams: [streams[1]]),
        ]
        let copies = try mirror.receiver(Mirror.monitor, streams)
        let senders = [
            try FrameSender(streams[0], in: a, interface: "eth0", rate: driver.rate),
            try FrameSender(streams[1], in: b, interface: "eth0", rate: driver.rate),
        ]
        try #require(copies.wait(seconds: 20) { $0.frames > 2_000 }, "\(Self.whereFramesAre(mirror))")
        let times = number == SIGKILL ? 1 : 3
        for _ in 0..<times {
            let pid = try mirror.status().pid
            try #require(kill(pid, number) == 0)
            let counts = receivers.map(\.count)
            usleep(1_000_000)
            for (receiver, count) in zip(receivers, counts) {
                #expect(
                    receiver.wait(seconds: 5) { $0.frames > count + 500 },
                    "the kernel does not carry: \(Self.whereFramesAre(mirror))")
            }
            if number == SIGKILL {
                #expect(try mirror.lab.host.command("bpftool", "net", "show").contains(TappedPair.otherPort))
                try mirror.startAgain(seconds: 60)
                try mirror.waitUntilReady(seconds: 60)
            } else {
                kill(pid, SIGCONT)
            }
            let count = copies.count
            try #require(
                copies.wait(seconds: 20) { $0.frames > count + 2_000 },
                "no copies any more: \(Self.whereFramesAre(mirror))")
        }
        let port = try mirror.status().ports[0]
        #expect(port.zeroCopy == !driver.inlineCopies && port.queues == driver.queues * 2, "\(port)")
        let sent = try senders.map { try $0.stop() }
        for (index, receiver) in receivers.enumerated() {
            let check = receiver.settle().streams[0]
            let name = "\(number == SIGKILL ? "kill -9" : "SIGSTOP") \(index == 0 ? "a to b" : "b to a")"
            let seconds = Double(sent[index].ended - sent[index].began) / 1e9
            print(
                "figure: inline on \(driver.name), \(mode(driver)), \(name), \(times) times:",
                "\(Gap(longestOf: check, rate: driver.rate)), \(check.lost(of: sent[index])) of \(sent[index].frames)",
                "lost, \(check.reordered) out of order, \(Int(Double(sent[index].frames) / seconds)) frames/s sent")
            #expect(check.differing == 0 && check.duplicates == 0, "\(check.firstDifference ?? "")")
            // How many are lost is the emulated CPU's: a worker that is late lets go of what has waited.
            #expect(check.frames > 2_000)
            try receiver.stop()
        }
        try mirror.ledger()
        try copies.stop()
    }
}
