// Promise: who looks on changes nothing. `heliostat watch` shows the copies of a tap byte for byte, with the ledger of
// everybody else as it would be without; one that stands still, or is killed, loses its own copies and delays nobody.

import Foundation
import Lab
import MirrorProgram
import Synchronization
import Testing

extension Promises {
    @Suite struct PromiseWatch {
        private static func watch(
            _ mirror: Mirror, _ arguments: [String], tap: String = Mirror.tap
        ) throws -> ChildProcess {
            let socket = "\(mirror.directory.path)/dataplane.sock"
            return try mirror.lab.host.start(
                [try Requirements.executable("heliostat"), "watch", tap, "--dataplane", socket] + arguments)
        }

        /// Starts one and waits until it is served.
        private static func watching(_ mirror: Mirror, _ arguments: [String]) throws -> ChildProcess {
            let child = try watch(mirror, arguments)
            let came = poll(seconds: 10, every: 0.01) { child.standardError.contains("watching") }
            try #require(came && child.exitStatus == nil, "\(child.standardError)")
            return child
        }

        /// Ends one as Ctrl-C does.
        private static func end(_ child: ChildProcess) throws -> (copies: UInt64, dropped: UInt64) {
            child.kill(SIGINT)
            let status = child.wait(seconds: 20)
            try #require(status == 0, "\(String(describing: status)): \(child.standardError)")
            let words = child.standardError.split(separator: "\n").last?.split(whereSeparator: { !$0.isNumber }) ?? []
            try #require(words.count == 2, "\(child.standardError)")
            return (UInt64(words[0])!, UInt64(words[1])!)
        }

        /// Frames of a pcap file with nanoseconds.
        private static func frames(_ path: String) throws -> [(time: UInt64, bytes: [UInt8])] {
            let file = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
            let word = { (at: Int) in (0..<4).reduce(UInt64(0)) { $0 | UInt64(file[at + $1]) << UInt64(8 * $1) } }
            try #require(file.count >= 24 && word(0) == 0xA1B2_3C4D)
            var frames: [(time: UInt64, bytes: [UInt8])] = []
            var at = 24
            while at + 16 <= file.count {
                let length = Int(word(at + 8))
                frames.append(
                    (time: word(at) * 1_000_000_000 + word(at + 4), bytes: Array(file[at + 16..<at + 16 + length])))
                at += 16 + length
            }
            return frames
        }

        @Test func showsWhatTheTapTakes() throws {
            var program = Mirror.program(.both, to: [Mirror.monitor, Mirror.second])
            program.taps[0].filter = .init(expression: "less 1000")
            let out = try Mirror.stream(1, lengths: [70, 71, 128, 999])
            let into = try Mirror.stream(2, fromB: true, content: .udp6, lengths: [100, 700])
            let long = try Mirror.stream(3, lengths: [1200])
            try Mirror.with(program) { mirror in
                let path = "\(mirror.directory.path)/watch.pcap"
                let watcher = try Self.watching(mirror, ["-w", path])
                let first = try Self.watching(mirror, ["-w", "\(mirror.directory.path)/first.pcapng", "-c", "100"])
                let receiver = try mirror.receiver(Mirror.monitor, [out, into])
                let began = UInt64(Date().timeIntervalSince1970 * 1e9)
                let senders = [
                    try FrameSender(out, in: mirror.lab.a, interface: "eth0", rate: 4_000, count: 8_000),
                    try FrameSender(into, in: mirror.lab.b, interface: "eth0", rate: 2_000, count: 4_000),
                    try FrameSender(long, in: mirror.lab.a, interface: "eth0", rate: 500, count: 1_000),
                ]
                let sent = try senders.map { try $0.wait() }
                receiver.wait(seconds: 5) { $0.frames >= 12_000 }
                let report = try receiver.stop()
                report.streams[0].expectWhole(sent[0], "monitor, OUT")
                report.streams[1].expectWhole(sent[1], "monitor, IN")
                // Nobody else's ledger and status know of it.
                let statistics = try mirror.ledger(offered: [Mirror.monitor: 12_000, Mirror.second: 12_000])
                #expect(statistics.destinations.count == 2 && statistics.taps.count == 1)
                #expect(statistics.taps[0].frames == 24_000, "copies of the tap, without the watchers'")
                #expect(try mirror.status().destinations.map(\.id) == [Mirror.monitor, Mirror.second])
                let kept = try String(contentsOfFile: "\(mirror.directory.path)/program.json", encoding: .utf8)
                #expect(!kept.contains("watch"))

                let end = try Self.end(watcher)
                #expect(end == (12_000, 0))
                #expect(first.wait(seconds: 5) == 0 && first.standardError.contains("100 copies, 0 dropped"))
                var checks = [StreamCheck(out), StreamCheck(into)]
                var last: UInt64 = 0
                var disorder = 0
                for frame in try Self.frames(path) {
                    let known = frame.bytes.withUnsafeBytes { bytes in
                        checks[0].take(bytes, at: frame.time) || checks[1].take(bytes, at: frame.time)
                    }
                    #expect(known, "a frame of neither stream")
                    if frame.time < last { disorder += 1 }
                    last = frame.time
                }
                checks[0].expectWhole(sent[0], "watched, OUT")
                checks[1].expectWhole(sent[1], "watched, IN")
                #expect(disorder == 0, "time goes forward")
                let now = UInt64(Date().timeIntervalSince1970 * 1e9)
                #expect(checks[0].firstArrival >= began && last <= now, "times are those of capture")
            }
        }

        @Test func oneThatStandsStillDelaysNobody() throws {
            let stream = try Mirror.stream(1, lengths: [1400])
            try Mirror.with(Mirror.program(.out, to: [Mirror.monitor])) { mirror in
                let stopped = try Self.watching(mirror, ["-w", "/dev/null"])
                let killed = try Self.watching(mirror, ["-w", "/dev/null"])
                stopped.kill(SIGSTOP)
                let receiver = try mirror.receiver(Mirror.monitor, [stream])
                let sender = try FrameSender(stream, in: mirror.lab.a, interface: "eth0", rate: 10_000, count: 30_000)
                receiver.wait(seconds: 5) { $0.frames > 10_000 }
                killed.kill()
                let sent = try sender.wait()
                receiver.wait(seconds: 5) { $0.frames >= sent.frames }
                try receiver.stop().streams[0].expectWhole(sent, "monitor, beside a watcher that stands still")
                let statistics = try mirror.ledger(offered: [Mirror.monitor: sent.frames])
                #expect(statistics.destinations[0].drops.values.allSatisfy { $0 == 0 })
                stopped.kill(SIGCONT)
                let end = try Self.end(stopped)
                #expect(end.copies + end.dropped == sent.frames && end.dropped > 0, "\(end)")
                #expect(end.copies * 1400 < 8 << 20, "what waits for it is bounded: \(end)")
                print(
                    "a watcher stopped for \(sent.frames) copies: \(end.copies) shown, \(end.dropped) lost to it alone")
            }
        }

        @Test func thereIsRoomAgainWhenOneIsKilled() throws {
            try Mirror.with(Mirror.program(.out, to: [Mirror.monitor])) { mirror in
                let stranger = try Self.watch(mirror, ["-w", "/dev/null"], tap: "nobody")
                #expect(stranger.wait(seconds: 5) == 1)
                #expect(
                    stranger.standardError.contains("runs no tap 'nobody'; 'heliostat explain nobody' says why"),
                    "\(stranger.standardError)")
                var watchers = try (0..<4).map { _ in try Self.watching(mirror, ["-w", "/dev/null"]) }
                let fifth = try Self.watch(mirror, ["-w", "/dev/null"])
                #expect(fifth.wait(seconds: 5) == 1)
                #expect(fifth.standardError.contains("4 watches are there already"), "\(fifth.standardError)")
                watchers.removeLast().kill()
                let isServed = try poll(seconds: 5, every: 0.1) {
                    let next = try Self.watch(mirror, ["-w", "/dev/null"])
                    let came = poll(seconds: 5, every: 0.01) {
                        next.exitStatus != nil || next.standardError.contains("watching")
                    }
                    guard came, next.exitStatus == nil else { return false }
                    watchers.append(next)
                    return true
                }
                #expect(isServed)

                // A program without the tap ends its watches, and says so.
                var program = Mirror.program(.out, to: [Mirror.monitor])
                program.taps[0].id = "another"
                try mirror.apply(program)
                for watcher in watchers {
                    #expect(watcher.wait(seconds: 5) == 1)
                    #expect(watcher.standardError.contains("does not run the tap any more"), "\(watcher.standardError)")
                }
            }
        }

        /// Sampled, cut and limited: what is watched is what the monitor gets, frame for frame.
        @Test func itIsTheSameSample() throws {
            var program = Mirror.program(.out, to: [Mirror.monitor])
            program.taps[0].sampling = .init(oneIn: 7)
            program.taps[0].snaplen = 200
            program.taps[0].rateLimit = .init(framesPerSecond: 300)
            let stream = try Mirror.stream(1, lengths: [100, 300, 1400])
            try Mirror.with(program) { mirror in
                let path = "\(mirror.directory.path)/watch.pcap"
                // It begins within the sampler's count, which it must not move.
                let some = try FrameSender(stream, in: mirror.lab.a, interface: "eth0", rate: 1_000, count: 10).wait()
                let before = try mirror.ledger(offered: [Mirror.monitor: 1]).destinations[0]
                let watcher = try Self.watching(mirror, ["-w", path])
                let seen = Mutex<[[UInt8]]>([])
                let receiver = try mirror.receiver(Mirror.monitor, []) { frame in
                    let bytes = Array(frame.bytes)
                    seen.withLock { $0.append(bytes) }
                }
                let more = try Mirror.stream(2, lengths: [100, 300, 1400])
                let sent = try FrameSender(more, in: mirror.lab.a, interface: "eth0", rate: 5_000, count: 10_000).wait()
                let after = try mirror.ledger(offered: [Mirror.monitor: (some.frames + sent.frames) / 7])
                    .destinations[0]
                receiver.wait(seconds: 5) { $0.frames >= after.frames - before.frames }
                try receiver.stop()
                let end = try Self.end(watcher)
                #expect(end == (after.frames - before.frames, 0))
                #expect(after.drops[DropReason.rateLimited.name]! > 0, "the limit was reached")
                let frames = try Self.frames(path).map(\.bytes)
                #expect(frames.count > 100 && frames == seen.withLock { $0 }, "\(frames.count)")
                #expect(frames.contains { $0.count == 200 })
            }
        }

        /// Nothing of it is kept: a dataplane that is killed comes back without, and its onlookers are told.
        @Test func itEndsWithTheDataplane() throws {
            try Mirror.with(Mirror.program(.out, to: [Mirror.monitor]), supervised: true) { mirror in
                let watchers = try (0..<4).map { _ in try Self.watching(mirror, ["-w", "/dev/null"]) }
                kill(try mirror.status().pid, SIGKILL)
                for watcher in watchers {
                    #expect(watcher.wait(seconds: 5) == 1)
                    #expect(watcher.standardError.contains("0 copies until the dataplane ended"))
                }
                try mirror.waitUntilReady()
                for again in try (0..<4).map({ _ in try Self.watching(mirror, ["-w", "/dev/null"]) }) {
                    #expect(try Self.end(again) == (0, 0))
                }
                try mirror.ledger()
            }
        }

        /// By the names that an operator knows, as tcpdump shows it.
        @Test func aTapIsKnownByItsName() throws {
            try Served.with { lab, serve, directory in
                try serve.command(["port", "create", "web", "--interface", TappedPair.tappedPort])
                try serve.command(["service", "create", "ids", "--to", TappedPair.monitorAddress, "--vni", "5001"])
                try serve.command([
                    "flow", "create", "web-out", "--port", "web", "--service", "ids", "--direction", "out",
                ])
                try serve.command([
                    "mirror", "create", "far", "--port", "web", "--to", TappedPair.monitorAddress, "--type", "gre",
                    "--in", "101", "--out", "102",
                ])
                let watch = { (arguments: [String]) in
                    try lab.host.start(
                        [try Requirements.executable("heliostat"), "watch"] + arguments,
                        environment: ["HELIOSTAT_STATE_DIR": serve.stateDirectory])
                }
                let (a, b) = (try Mirror.stream(1), try Mirror.stream(2, fromB: true))
                let flow = try watch(["web-out", "-c", "20"])
                let mirror = try watch(["far", "-c", "50", "-w", "\(directory.path)/far.pcapng"])
                let areServed = poll(seconds: 10) {
                    [flow, mirror].allSatisfy { $0.standardError.contains("watching") }
                }
                try #require(areServed, "\(flow.standardError)\(mirror.standardError)")
                let senders = [
                    try FrameSender(a, in: lab.a, interface: "eth0", rate: 500, count: 500),
                    try FrameSender(b, in: lab.b, interface: "eth0", rate: 500, count: 500),
                ]
                for sender in senders { try sender.wait() }
                #expect(flow.wait(seconds: 10) == 0 && mirror.wait(seconds: 10) == 0)
                #expect(flow.standardError.contains("20 copies, 0 dropped"), "\(flow.standardError)")
                let lines = flow.standardOutput.split(separator: "\n")
                #expect(lines.count == 20 && lines.allSatisfy { $0.contains(" IP ") }, "\(flow.standardOutput)")
                // Both directions of the mirror, each flagged: 1 inbound, 2 outbound.
                let file = [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(directory.path)/far.pcapng")))
                #expect(mirror.standardError.contains("50 copies, 0 dropped"), "\(mirror.standardError)")
                for flags in [1, 2] as [UInt8] {
                    #expect(file.contains([2, 0, 4, 0, flags, 0, 0, 0]), "epb_flags \(flags)")
                }

                let nobody = try watch(["nobody"])
                #expect(nobody.wait(seconds: 10) == 1)
                #expect(
                    nobody.standardError.contains("no tap flow and no tap mirror 'nobody'"), "\(nobody.standardError)")
                try serve.command(["port", "create", "elsewhere"])
                try serve.command(["flow", "create", "idle", "--port", "elsewhere", "--service", "ids", "--no-wait"])
                let idle = try watch(["idle"])
                #expect(idle.wait(seconds: 10) == 1)
                #expect(idle.standardError.contains("'heliostat explain idle' says why"), "\(idle.standardError)")
            }
        }
    }
}
