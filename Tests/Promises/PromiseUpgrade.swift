// Promise: a running dataplane is replaced by another one under load (docs/operations.md, Upgrade): the new file is put in
// the place of the old one, the old process ends by SIGTERM, and the new one goes on with the last program by itself. No
// original is lost, and copies are missing once, for less than a second. That an `inline` wire stays a wire meanwhile is
// in PromiseInline, that the control process may be replaced in PromiseControlAway, and what becomes of the counters in
// Tests/Operations (test_statistics_survive_a_restart).

import Foundation
import Lab
import MirrorProgram
import Testing

extension Promises {
    @Suite struct PromiseUpgrade {
        /// From the last copy of the old one to the first of the new one, seconds.
        private static let limit = 1.0

        /// Replaces a program as install(1) does: the old file goes on existing as long as it runs.
        private static func install(_ file: String) throws {
            let new = try Requirements.executable("heliostat-dataplane")
            try? FileManager.default.removeItem(atPath: file)
            try FileManager.default.copyItem(atPath: new, toPath: file)
        }

        private static func program(of pid: Int32) throws -> String {
            try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/exe")
        }

        @Test(arguments: [false, true]) func underLoad(supervised: Bool) throws {
            let folder = try TemporaryDirectory()
            defer { folder.delete() }
            let file = "\(folder.path)/heliostat-dataplane"
            try Self.install(file)
            // In the place of the program that was built, whose path is $0.
            try Mirror.$wrapper.withValue(["sh", "-c", "exec \(file) \"$@\""]) {
                try Mirror.with(Hands.program(witness: .span), supervised: supervised) { mirror in
                    try Self.upgrade(mirror, file, supervised)
                }
            }
        }

        private static func upgrade(_ mirror: Mirror, _ file: String, _ supervised: Bool) throws {
            let lab = mirror.lab
            // The senders may move between CPUs, and each CPU has a backlog of its own.
            for port in [TappedPair.tappedPort, TappedPair.otherPort] { try lab.host.receiveOnOneCPU(port) }
            for end in [lab.a, lab.b] { try end.receiveOnOneCPU("eth0") }
            let (forth, back) = (try Mirror.stream(1), try Mirror.stream(2, fromB: true))
            let past = try FrameStream(id: 3, from: MAC(0x0200_0000_00FE), to: MAC(0x0200_0000_00FD), lengths: [128])
            let ends = [
                try FrameReceiver(in: lab.b, interface: "eth0", streams: [forth]),
                try FrameReceiver(in: lab.a, interface: "eth0", streams: [back]),
            ]
            let copies = try mirror.receiver(Mirror.monitor, [forth, back])
            let spanned = try mirror.receiver(Mirror.second, [past])
            let senders = [
                try FrameSender(forth, in: lab.a, interface: "eth0", rate: 10_000),
                try FrameSender(back, in: lab.b, interface: "eth0", rate: 5_000),
                try FrameSender(past, in: lab.feeder, interface: "eth0", rate: 5_000),
            ]
            let times = 3
            for time in 1...times {
                let counts = (copies.count, spanned.count)
                try #require(
                    copies.wait(seconds: 5) { $0.frames > counts.0 + 10_000 }
                        && spanned.wait(seconds: 5) { $0.frames > counts.1 + 1_000 },
                    "upgrade \(time): \(Hands.words(mirror))")
                let before = try mirror.status()
                try install(file)
                #expect(try program(of: before.pid).hasSuffix(" (deleted)"))
                #expect(mirror.dataplane.terminate())
                try mirror.startAgain(supervised: supervised)
                let after = try mirror.status()
                #expect(try program(of: after.pid) == file)
                #expect(after.epoch != before.epoch && after.generation == before.generation)
                try mirror.waitUntilReady()
                #expect(try mirror.status().ports.map(\.obtained) == before.ports.map(\.obtained))
            }
            copies.wait(seconds: 5) { $0.streams.allSatisfy { ($0.highestSequence ?? 0) > 20_000 } }
            let sent = try senders.map { try $0.stop() }
            for (end, sent) in zip(ends, sent) { try mirror.expectOriginals(end.settle(), sent) }
            for (check, sent) in zip(copies.settle().streams + spanned.settle().streams, sent) {
                judge(check, sent, times: times, supervised)
            }
            try mirror.ledger()
            for receiver in ends + [copies, spanned] { try receiver.stop() }
        }

        /// One hole an upgrade, and nothing besides.
        private static func judge(_ check: StreamCheck, _ sent: SendReport, times: Int, _ supervised: Bool) {
            #expect(check.differing == 0 && check.duplicates == 0 && check.reordered == 0)
            let missing = check.missing(of: sent)
            let holes = missing.indices.filter { $0 == 0 || missing[$0] != missing[$0 - 1] + 1 }.count
            #expect(holes == times, "\(holes) holes in stream \(check.stream.id)")
            let pauses = check.silences.map { $0.upperBound - $0.lowerBound }.sorted().suffix(times)
            print(
                "figure: upgrade\(supervised ? " under a supervisor" : ""), stream \(check.stream.id): copies back after",
                pauses.map { String($0 / 1_000_000) }.joined(separator: ", "), "ms")
            #expect(pauses.allSatisfy { Double($0) / 1e9 <= limit }, "\(pauses)")
        }

        /// By hand, both processes: `heliostat serve` starts the dataplane, and the next one the next.
        @Test func bothProcesses() throws {
            try TappedPair.with { lab in
                let directory = try TemporaryDirectory()
                defer { directory.delete() }
                let state = "\(directory.path)/state"
                let arguments = ["--host", "lab", "--tunnel-address", TappedPair.hostAddress]
                var serve = try ServeProcess(in: lab.host, stateDirectory: state, arguments)
                defer { serve.process.terminate() }
                try serve.command(["port", "create", "web", "--interface", TappedPair.tappedPort])
                try serve.command(["service", "create", "ids", "--to", TappedPair.monitorAddress, "--vni", "5001"])
                try serve.command([
                    "flow", "create", "both", "--port", "web", "--service", "ids", "--direction", "both",
                ])
                let isActive = {
                    let shown = try serve.command(["flow", "show", "both", "--json"])
                    let object = try JSONSerialization.jsonObject(with: Data(shown.utf8)) as? [String: Any]
                    return (object?["tap_flow"] as? [String: Any] ?? object)?["status"] as? String == "ACTIVE"
                }
                #expect(try poll(seconds: 10, every: 0.1, until: isActive))
                let stream = try Mirror.stream(1)
                let originals = try FrameReceiver(in: lab.b, interface: "eth0", streams: [stream])
                let copies = try FrameReceiver(in: lab.monitor, interface: TappedPair.vxlan, streams: [stream])
                let sender = try FrameSender(stream, in: lab.a, interface: "eth0", rate: 10_000)
                try #require(copies.wait(seconds: 5) { $0.frames > 5_000 })
                // docs/operations.md, Upgrade.
                serve.process.terminate()
                let lock = "\(state)/dataplane/supervisor.lock"
                try lab.host.command("sh", "-c", "kill $(cat \(lock)) && flock \(lock) true")
                serve = try ServeProcess(in: lab.host, stateDirectory: state, arguments)
                #expect(try poll(seconds: 10, every: 0.1, until: isActive))
                let count = copies.count
                #expect(copies.wait(seconds: 5) { $0.frames > count + 5_000 })
                let sent = try sender.stop()
                originals.settle().streams[0].expectWhole(sent, "originals")
                let check = copies.settle().streams[0]
                #expect(check.differing == 0 && check.duplicates == 0 && check.reordered == 0)
                let pause = check.silences.map { $0.upperBound - $0.lowerBound }.max() ?? 0
                print("figure: both processes replaced: copies back after \(pause / 1_000_000) ms")
                #expect(Double(pause) / 1e9 <= Self.limit)
                try originals.stop()
                try copies.stop()
            }
        }
    }
}
