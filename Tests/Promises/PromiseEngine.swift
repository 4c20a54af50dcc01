// Promise: whoever carries a tap, kernel or worker, the same copies arrive, counted alike; and what the kernel cannot
// carry goes the worker's way by itself. The other promises about copies are tried on the engine `kernel` too
// (`Tests/run engine`); here is what only it has, and super-frames that leave whole.

import Glibc
import Lab
import MirrorProgram
import Testing

extension Promises {
    @Suite struct PromiseEngine {
        private static func program(
            _ direction: MirrorProgram.Direction = .both, to destinations: [String] = [Mirror.monitor]
        ) -> MirrorProgram {
            var program = Mirror.program(direction, to: destinations)
            program.taps[0].engine = .kernel
            return program
        }

        /// For a failure's message.
        private func words(_ mirror: Mirror) -> Comment {
            "\((try? mirror.status()).map { "\($0.taps) \($0.destinations) \($0.uplinks)" } ?? "nobody answers")"
        }

        private func engine(_ mirror: Mirror, _ tap: String = Mirror.tap) throws -> TapStatus {
            try #require(try mirror.status().taps.first { $0.id == tap })
        }

        /// Frames both ways, and their copies, whole and counted.
        private func copies(_ mirror: Mirror, _ content: FrameStream.Content, _ id: UInt32) throws {
            let (forth, back) = (
                try Mirror.stream(id, content: content, lengths: [96, 128, 1000, 1514], flows: 7),
                try Mirror.stream(id + 1, fromB: true, content: content, lengths: [96, 700], flows: 7)
            )
            let before = try mirror.ledger().destinations[0].offered
            let monitor = try mirror.receiver(Mirror.monitor, [forth, back])
            let originals = try FrameReceiver(in: mirror.lab.b, interface: "eth0", streams: [forth])
            let out = try FrameSender(forth, in: mirror.lab.a, interface: "eth0", rate: 10_000, count: 4_000).wait()
            let into = try FrameSender(back, in: mirror.lab.b, interface: "eth0", rate: 10_000, count: 2_000).wait()
            monitor.wait(seconds: 5) { $0.frames >= 6_000 }
            originals.wait(seconds: 5) { $0.frames >= 4_000 }
            let report = try monitor.stop()
            report.streams[0].expectWhole(out, "OUT")
            report.streams[1].expectWhole(into, "IN")
            try originals.stop().streams[0].expectWhole(out, "originals")
            let statistics = try mirror.ledger(offered: [Mirror.monitor: before + 6_000])
            #expect(statistics.destinations[0].frames == before + 6_000)
            #expect(statistics.taps[0].frames == before + 6_000)
            #expect(statistics.destinations[0].bytes == statistics.taps[0].bytes)
        }

        /// Tagged frames are the worker's, those of IP the kernel's: all arrive, and the ledger has them all.
        @Test func theSameCopies() throws {
            try Mirror.with(Self.program()) { mirror in
                let status = try engine(mirror)
                #expect(status.engine == .kernel && status.reason == nil, "\(status)")
                try copies(mirror, .udp4, 1)
                try copies(mirror, .udp6, 3)
                let tagged = try Mirror.stream(9, tags: [.init(vlan: 7)], lengths: [200])
                let monitor = try mirror.receiver(Mirror.monitor, [tagged])
                let sent = try FrameSender(tagged, in: mirror.lab.a, interface: "eth0", rate: 5_000, count: 500).wait()
                monitor.wait(seconds: 5) { $0.frames >= 500 }
                try monitor.stop().streams[0].expectWhole(sent, "tagged")
                try mirror.ledger(offered: [Mirror.monitor: 12_500])
            }
        }

        /// It is the kernel that carries them: a worker that stands still is not missed, and nothing waits in a ring.
        @Test func theWorkerIsNotNeeded() throws {
            try Mirror.with(Self.program()) { mirror in
                mirror.dataplane.process.kill(SIGSTOP)
                defer { mirror.dataplane.process.kill(SIGCONT) }
                let stream = try Mirror.stream(1)
                let monitor = try mirror.receiver(Mirror.monitor, [stream])
                let sent = try FrameSender(stream, in: mirror.lab.a, interface: "eth0", rate: 10_000, count: 5_000)
                    .wait()
                monitor.wait(seconds: 5) { $0.frames >= 5_000 }
                try monitor.stop().streams[0].expectWhole(sent, "copies")
            }
        }

        /// A route that ends, a path that is too narrow, an uplink with a cap: the worker drops, truncates and counts as ever.
        @Test func whatTheWorkerTakesOver() throws {
            try Mirror.with(Self.program()) { mirror in
                let host = mirror.lab.host
                try host.ip("link set \(TappedPair.uplink) mtu 1400")
                let narrow = poll(seconds: 5, every: 0.02) { (try? engine(mirror).engine) == .user }
                #expect(narrow, words(mirror))
                #expect(try engine(mirror).reason?.contains("do not fit whole") == true, words(mirror))
                let stream = try Mirror.stream(1, lengths: [1514])
                let sent = try FrameSender(stream, in: mirror.lab.a, interface: "eth0", rate: 5_000, count: 200).wait()
                let cut = try mirror.ledger(offered: [Mirror.monitor: sent.frames])
                #expect(cut.destinations[0].truncated == sent.frames, "\(cut.destinations)")
                try host.ip("link set \(TappedPair.uplink) mtu 1600")
                let back = poll(seconds: 5, every: 0.02) { (try? engine(mirror).engine) == .kernel }
                #expect(back, words(mirror))
                try host.ip("link set \(TappedPair.uplink) down")
                let gone = poll(seconds: 5, every: 0.02) { (try? engine(mirror).engine) == .user }
                #expect(gone, words(mirror))
                let lost = try FrameSender(stream, in: mirror.lab.a, interface: "eth0", rate: 5_000, count: 200).wait()
                let after = try mirror.ledger(offered: [Mirror.monitor: sent.frames + lost.frames])
                #expect(after.destinations[0].drops.values.reduce(0, +) == lost.frames, "\(after.destinations)")
                try host.ip("link set \(TappedPair.uplink) up")
                var capped = Self.program()
                capped.generation = 2
                capped.uplinks = [.init(interface: TappedPair.uplink, limit: .init(framesPerSecond: 500))]
                try mirror.apply(capped)
                try mirror.waitUntilReady()
                #expect(try engine(mirror).engine == .user)
            }
        }

        /// Taps that share a destination are one engine's.
        @Test func oneEngineForADestination() throws {
            var program = Self.program(to: [Mirror.monitor, Mirror.second])
            program.taps[0].destinations = [Mirror.monitor]
            program.taps.append(
                .init(
                    id: "sampled", port: Mirror.port, direction: .out, destinations: [Mirror.second],
                    sampling: .init(oneIn: 2)))
            try Mirror.with(program) { mirror in
                #expect(try engine(mirror).engine == .kernel)
                #expect(try engine(mirror, "sampled").engine == .user)
                let stream = try Mirror.stream(1)
                let (monitor, second) = (
                    try mirror.receiver(Mirror.monitor, [stream]), try mirror.receiver(Mirror.second, [stream])
                )
                let sent = try FrameSender(stream, in: mirror.lab.a, interface: "eth0", rate: 5_000, count: 2_000)
                    .wait()
                monitor.wait(seconds: 5) { $0.frames >= 2_000 }
                second.wait(seconds: 5) { $0.frames >= 1_000 }
                try monitor.stop().streams[0].expectWhole(sent, "monitor")
                #expect(try second.stop().streams[0].frames == 1_000)
                let statistics = try mirror.ledger(offered: [Mirror.monitor: 2_000, Mirror.second: 1_000])
                #expect(statistics.taps.map(\.frames) == [2_000, 1_000])
                program.generation = 2
                program.taps[1].destinations = [Mirror.monitor, Mirror.second]
                try mirror.apply(program)
                try mirror.waitUntilReady()
                #expect(try engine(mirror).engine == .user)
                #expect(try engine(mirror).reason?.contains("also that of a tap") == true)
            }
        }

        /// Killed, it leaves a device without a program: the next run removes it, and makes its own. Stopped, it leaves none.
        @Test func theDevice() throws {
            try Mirror.with(Self.program()) { mirror in
                let devices = {
                    let lines = try mirror.lab.host.command("ip", "-o", "link", "show", "type", "veth").split(
                        separator: "\n")
                    let names = lines.compactMap {
                        $0.split(separator: " ").dropFirst().first?.split(separator: "@").first
                    }
                    return names.map(String.init).filter { $0.hasPrefix("hs-encap") && !$0.hasSuffix("-end") }
                }
                #expect(try devices() == ["hs-encap"])
                mirror.dataplane.process.kill(SIGKILL)
                try mirror.startAgain()
                try mirror.waitUntilReady()
                #expect(try devices() == ["hs-encap"])
                #expect(try engine(mirror).engine == .kernel)
                try mirror.lab.host.ip("link delete hs-encap")
                let made = poll(seconds: 5, every: 0.05) { (try? devices()) == ["hs-encap"] }
                #expect(made)
                try mirror.waitUntilReady()
                try copies(mirror, .udp4, 1)
                #expect(mirror.dataplane.terminate())
                #expect(try devices() == [])
            }
        }

        /// A TCP stream in super-frames, from `a` and to it, through the engine `kernel`, and through the worker with an
        /// uplink of kind `device`, `udp` or `live`: on the wire behind the uplink they are segments.
        @Test(arguments: [MirrorProgram.UplinkKind.auto, .device, .udp, .live], [false, true])
        func superFrames(kind: MirrorProgram.UplinkKind, fromB: Bool) throws {
            var program = Mirror.program()
            program.taps[0].engine = kind == .auto ? .kernel : .user
            program.uplinks = [.init(interface: TappedPair.uplink, kind: kind)]
            try Mirror.with(program) { mirror in
                let (a, b) = (mirror.lab.a, mirror.lab.b)
                for namespace in [a, b] { try namespace.offloads(of: "eth0", ["tso": true, "gso": true, "tx": true]) }
                if kind != .auto {
                    if kind == .live { try mirror.takeXDPFrames() }
                    let kinds: [MirrorProgram.UplinkKind] = kind == .udp ? [.udp] : [.afXDP, kind]
                    #expect(try mirror.status().uplinks.first?.kinds == kinds, words(mirror))
                }
                let witness = TCPWitness(longest: 1514)
                let copies = try mirror.receiver(Mirror.monitor, []) { witness.take($0) }
                let before = try mirror.lab.host.counters(of: TappedPair.uplink)
                let bytes = 20_000_000
                let arrived = try TCPTransfer.run(
                    from: fromB ? b : a, to: fromB ? a : b,
                    address: fromB ? TappedPair.addressOfA : TappedPair.addressOfB, bytes: bytes, rate: 16e6)
                #expect(arrived == bytes)
                let statistics = try mirror.ledger()
                #expect(copies.settle().missed == 0)
                let report = witness.report
                #expect(report.malformed == 0, "\(report.firstFault ?? "")")
                let data = try #require(report.streams.first { $0.key.destinationPort == 5001 }?.value)
                #expect(data.isComplete, "\(data.contiguous) of \(data.length ?? 0) numbers without a hole")
                let destination = statistics.destinations[0]
                #expect(destination.drops.values.allSatisfy { $0 == 0 }, "\(destination)")
                #expect(destination.frames == UInt64(report.frames + report.others), "\(destination), \(report.frames)")
                let sent = try mirror.lab.host.counters(of: TappedPair.uplink) - before
                #expect(sent.sentFrames >= destination.frames)
                try copies.stop()
            }
        }

        /// What needs no host to be known is told when the program is applied, and nothing changes.
        @Test func whatTheKernelNeverCarries() throws {
            var cut = Self.program()
            cut.taps[0].snaplen = 100
            let here = Self.program(to: [Mirror.local])
            try Mirror.with(Mirror.program()) { mirror in
                for program in [cut, here] {
                    let refusal = refusal(mirror, program)
                    #expect(refusal.contains("engine kernel cannot carry it out"), "\(refusal)")
                }
                let status = try engine(mirror)
                #expect(status.engine == .user && status.reason == nil, "\(status)")
            }
        }

        private func refusal(_ mirror: Mirror, _ program: MirrorProgram) -> String {
            do {
                _ = try mirror.apply(program)
                return "applied"
            } catch {
                return "\(error)"
            }
        }
    }
}
