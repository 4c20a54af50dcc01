// Promise: an `inline` port is a wire. Originals pass as they are, both ways, and copies are made of them; a dataplane
// that hangs, is killed or is stopped interrupts them for 10 ms at most (copy mode); what cannot be had is refused and
// leaves nothing behind.

import Foundation
import Glibc
import Lab
import MirrorProgram
import Testing

extension Promises {
    @Suite struct PromiseInline {
        /// Longest time without an original, seconds.
        private static let limit = 0.010

        private static func program(
            pair: String = TappedPair.otherPort, side: MirrorProgram.Side = .auto, generation: UInt64 = 1
        ) -> MirrorProgram {
            MirrorProgram(
                generation: generation,
                ports: [
                    .init(
                        id: Mirror.port, interface: TappedPair.tappedPort, capture: .inline, pair: pair, side: side)
                ],
                destinations: [Mirror.destination(Mirror.monitor)],
                taps: [.init(id: Mirror.tap, port: Mirror.port, direction: .both, destinations: [Mirror.monitor])])
        }

        /// A lab whose two hosts are connected by the dataplane alone, and what is left of it taken out.
        private func withWire(
            _ program: MirrorProgram = PromiseInline.program(), mtu: Int = 1500, supervised: Bool = false,
            ready: Bool = true, _ body: (Mirror) throws -> Void
        ) throws {
            var options = TappedPair.Options(mtu: mtu)
            options.isWire = true
            try Mirror.with(program, options, supervised: supervised, ready: ready) { mirror in
                defer { _ = try? FileManager.default.removeItem(atPath: try Self.pins(mirror)) }
                try body(mirror)
                try mirror.apply(MirrorProgram(generation: 99))
                #expect(try !FileManager.default.fileExists(atPath: Self.pins(mirror)))
            }
        }

        /// Where pins of the host's namespace are.
        static func pins(_ mirror: Mirror) throws -> String {
            let attributes = try FileManager.default.attributesOfItem(atPath: mirror.lab.host.path)
            return "/sys/fs/bpf/heliostat/\(attributes[.systemFileNumber] as! Int)"
        }

        private func programs(_ mirror: Mirror) throws -> String {
            try mirror.lab.host.command("bpftool", "net", "show")
        }

        private func inline(_ mirror: Mirror) throws -> InlineStatistics {
            try #require(mirror.statistics().inline.first)
        }

        /// Both ways, what arrived is what was sent, but for what the dataplane says that it has dropped.
        private func judge(_ check: StreamCheck, _ sent: SendReport, _ what: String, _ dropped: UInt64) {
            #expect(check.differing == 0 && check.duplicates == 0, "\(what): \(check.firstDifference ?? "")")
            #expect(check.reordered == 0, "\(what): out of order")
            #expect(check.lost(of: sent) <= dropped, "\(what): \(check.frames) of \(sent.frames) arrived")
        }

        @Test(arguments: [MirrorProgram.UplinkKind.auto, .udp, .device, .live])
        func originalsAndCopies(kind: MirrorProgram.UplinkKind) throws {
            var program = Self.program()
            program.uplinks = [.init(interface: TappedPair.uplink, kind: kind)]
            try withWire(program, mtu: 3500) { mirror in
                if kind == .live { try mirror.takeXDPFrames() }
                #expect(try mirror.uplinkKinds().contains(kind == .auto ? .afXDP : kind))
                let reason = try mirror.status().uplinks.first { $0.interface == TappedPair.uplink }?.reason
                #expect(reason == (kind == .live ? "no XDP frames from a worker that carries inline ports" : nil))
                let port = try mirror.status().ports[0]
                #expect(port.obtained == .inline && port.pair == TappedPair.otherPort && port.side == .peer)
                #expect(port.hook == "xdp-native" && port.zeroCopy == false && (port.queues ?? 0) >= 2)
                #expect(port.changes?.contains("port-a: promisc on") == true && port.mtuLimit == 3506)
                let lengths = [100, 101, 128, 1000, 1514, 3514]
                let outward = [
                    try Mirror.stream(1, lengths: [70] + lengths),
                    try Mirror.stream(2, content: .udp6, lengths: lengths),
                    try Mirror.stream(3, tags: [FrameStream.Tag(vlan: 100, priority: 5)], lengths: lengths),
                ]
                let inward = [try Mirror.stream(4, fromB: true, lengths: lengths)]
                let atB = try FrameReceiver(in: mirror.lab.b, interface: "eth0", streams: outward)
                let atA = try FrameReceiver(in: mirror.lab.a, interface: "eth0", streams: inward)
                let copies = try mirror.receiver(Mirror.monitor, outward + inward)
                let senders =
                    try outward.map { try FrameSender($0, in: mirror.lab.a, interface: "eth0", rate: 2_000) }
                    + inward.map { try FrameSender($0, in: mirror.lab.b, interface: "eth0", rate: 4_000) }
                copies.wait(seconds: 10) { $0.frames > 20_000 }
                let sent = try senders.map { try $0.stop() }
                let arrived = atB.settle().streams + atA.settle().streams
                let copied = copies.settle().streams
                let statistics = try mirror.ledger()
                let inline = try inline(mirror)
                let dropped = inline.drops.values.reduce(0, +)
                for (index, check) in arrived.enumerated() { judge(check, sent[index], "stream \(index)", dropped) }
                for check in copied {
                    #expect(check.differing == 0 && check.duplicates == 0 && check.reordered == 0)
                }
                let received = copied.reduce(0) { $0 + $1.frames }
                #expect(received == statistics.destinations[0].frames)
                // What the kernel carried at first has no copies, and whoever was late says so.
                #expect(inline.forwarded == arrived.reduce(0) { $0 + $1.frames } - inline.bypassed)
                #expect(received + statistics.destinations[0].drops.values.reduce(0, +) >= inline.forwarded)
                print("inline: \(inline)")
                for receiver in [atA, atB, copies] { try receiver.stop() }
            }
        }

        @Test(arguments: [SIGSTOP, SIGKILL]) func aDataplaneThatHangsOrIsKilled(_ number: Int32) throws {
            let isKill = number == SIGKILL
            try withWire(supervised: isKill) { mirror in
                let streams = [try Mirror.stream(1, lengths: [128]), try Mirror.stream(2, fromB: true, lengths: [128])]
                let (a, b) = (mirror.lab.a, mirror.lab.b)
                let receivers = [
                    try FrameReceiver(in: b, interface: "eth0", streams: [streams[0]]),
                    try FrameReceiver(in: a, interface: "eth0", streams: [streams[1]]),
                ]
                let copies = try mirror.receiver(Mirror.monitor, streams)
                let senders = [
                    try FrameSender(streams[0], in: a, interface: "eth0", rate: 10_000),
                    try FrameSender(streams[1], in: b, interface: "eth0", rate: 10_000),
                ]
                try #require(copies.wait(seconds: 10) { $0.frames > 10_000 })
                for _ in 0..<3 {
                    let pid = try mirror.status().pid
                    try #require(kill(pid, number) == 0)
                    if isKill {
                        try #require(poll(seconds: 5) { (try? mirror.status().pid).map { $0 != pid } ?? false })
                    } else {
                        let count = receivers[0].count
                        usleep(1_000_000)
                        #expect(receivers[0].count > count + 8_000, "the kernel carries")
                        kill(pid, SIGCONT)
                    }
                    let count = copies.count
                    try #require(copies.wait(seconds: 10) { $0.frames > count + 25_000 }, "copies are made again")
                }
                let sent = try senders.map { try $0.stop() }
                for (index, receiver) in receivers.enumerated() {
                    let check = receiver.settle().streams[0]
                    let longest = Gap(longestOf: check)
                    let lost = check.lost(of: sent[index])
                    print(
                        "\(isKill ? "kill -9" : "SIGSTOP") \(index == 0 ? "a to b" : "b to a"): \(longest),",
                        "\(lost) of \(sent[index].frames) lost, \(check.reordered) out of order")
                    #expect(longest.interruption <= Self.limit * 1000)
                    #expect(check.differing == 0 && check.duplicates == 0)
                    #expect(check.reordered <= 64 * 3, "at the moment of switching, no later")
                    #expect(lost < 10_000 / 100 * 3 * 2)
                    #expect(sent[index].frames > 40_000)
                    try receiver.stop()
                }
                try mirror.ledger()
                if !isKill { #expect(try inline(mirror).bypassed > 3 * 2 * 8_000) }
                try copies.stop()
            }
        }

        @Test func stoppedAndStartedAgain() throws {
            try withWire { mirror in
                let stream = try Mirror.stream(1, lengths: [128])
                let receiver = try FrameReceiver(in: mirror.lab.b, interface: "eth0", streams: [stream])
                let sender = try FrameSender(stream, in: mirror.lab.a, interface: "eth0", rate: 10_000)
                try #require(receiver.wait(seconds: 5) { $0.frames > 5_000 })
                #expect(mirror.dataplane.terminate())
                #expect(mirror.dataplane.process.standardError.contains("the kernel goes on carrying frames between"))
                let count = receiver.count
                #expect(receiver.wait(seconds: 5) { $0.frames > count + 10_000 }, "the kernel carries")
                try mirror.startAgain()
                try mirror.waitUntilReady()
                let copies = try mirror.receiver(Mirror.monitor, [stream])
                #expect(copies.wait(seconds: 5) { $0.frames > 5_000 })
                let sent = try sender.stop()
                let check = receiver.settle().streams[0]
                let longest = Gap(longestOf: check)
                print("stop and start: \(longest), \(check.lost(of: sent)) of \(sent.frames) lost")
                #expect(longest.interruption <= Self.limit * 1000 && check.differing == 0 && check.duplicates == 0)
                try receiver.stop()
                try copies.stop()
            }
        }

        @Test func programsComeAndGoWhileTheWireStays() throws {
            try withWire { mirror in
                let stream = try Mirror.stream(1, lengths: [128])
                let receiver = try FrameReceiver(in: mirror.lab.b, interface: "eth0", streams: [stream])
                let sender = try FrameSender(stream, in: mirror.lab.a, interface: "eth0", rate: 10_000)
                var program = Self.program()
                for generation in UInt64(2)..<8 {
                    program.generation = generation
                    // Another id, another side, no tap at all.
                    program.ports[0].id = "port\(generation)"
                    program.ports[0].side = generation % 2 == 0 ? .`self` : .peer
                    if generation == 4 {
                        program.taps = []
                    } else {
                        program.taps = [
                            .init(
                                id: "tap", port: program.ports[0].id, direction: .in, destinations: [Mirror.monitor])
                        ]
                    }
                    let copied = try mirror.statistics().destinations.first?.offered ?? 0
                    #expect(try mirror.apply(program).ports[0].state == .capturing)
                    let count = receiver.count
                    #expect(receiver.wait(seconds: 5) { $0.frames > count + 2_000 })
                    let offered = try mirror.statistics().destinations.first?.offered ?? 0
                    // IN is what a's side receives with `peer`, and what port-a receives with `self`.
                    #expect((offered > copied + 1_000) == (generation % 2 == 0 && generation != 4))
                }
                let sent = try sender.stop()
                let check = receiver.settle().streams[0]
                judge(check, sent, "originals", try inline(mirror).drops.values.reduce(0, +))
                try receiver.stop()
            }
        }

        @Test func whatCannotBeHadIsRefused() throws {
            try withWire(Self.program(pair: "br0"), ready: false) { mirror in
                let refusal = { (program: MirrorProgram) in
                    let port = try mirror.apply(program).ports[0]
                    #expect(port.obtained == nil && port.hook == nil)
                    #expect(try !programs(mirror).contains("driver"), "nothing is left half-attached")
                    #expect(try (FileManager.default.contentsOfDirectory(atPath: Self.pins(mirror))).isEmpty)
                    return port
                }
                let bridge = try refusal(Self.program(pair: "br0", generation: 2))
                #expect(bridge.state == .error)
                #expect(bridge.reason?.hasPrefix("br0 takes no native XDP program") == true)
                let missing = try refusal(Self.program(pair: "eth9", generation: 3))
                #expect(missing.state == .down && missing.reason == "there is no interface eth9")
                try mirror.lab.host.ip("link set port-b mtu 1400")
                let uneven = try refusal(Self.program(generation: 4))
                #expect(uneven.reason == "port-a has an MTU of 1500 and port-b of 1400; set them alike")
                try mirror.lab.host.ip("link set port-b mtu 1500")
                try mirror.lab.b.offloads(of: "eth0", ["gro": false])
                let deaf = try refusal(Self.program(generation: 5))
                #expect(deaf.reason?.hasPrefix("port-b is a veth whose other end does not take XDP frames") == true)
                try mirror.lab.b.offloads(of: "eth0", ["gro": true])
                // Somebody else's program.
                var other = Self.program(generation: 6)
                other.ports = [.init(id: "x", interface: TappedPair.otherPort, capture: .xdp, policy: .require)]
                other.taps[0].port = "x"
                try Mirror.beside(mirror, other) { _ in
                    let taken = try mirror.apply(Self.program(generation: 7)).ports[0]
                    #expect(taken.state == .error)
                    #expect(taken.reason?.contains("has an XDP program already") == true, "\(taken)")
                    #expect(try !mirror.lab.host.command("ip", "link", "show", "port-a").contains("xdp"))
                }
                #expect(poll(seconds: 10) { (try? mirror.status().ports[0].state) == .capturing })
            }
        }

        @Test func removalTakesEverythingOut() throws {
            try withWire { mirror in
                #expect(try programs(mirror).contains("port-a") && programs(mirror).contains("port-b"))
                #expect(try mirror.lab.host.command("ip", "link", "show", "port-a").contains("PROMISC"))
                try mirror.apply(Mirror.program())
                #expect(try !programs(mirror).contains("driver"))
                #expect(try !mirror.lab.host.command("ip", "link", "show", "port-a").contains("PROMISC"))
                #expect(try !FileManager.default.fileExists(atPath: Self.pins(mirror)))
                try mirror.apply(Self.program(generation: 3))
                try mirror.waitUntilReady()
                // An interface that ends takes the wire with it, and one of its name makes it anew.
                try mirror.lab.deleteTappedLink()
                #expect(poll(seconds: 5) { (try? mirror.status().ports[0].state) == .down })
                #expect(try !programs(mirror).contains("driver"))
            }
        }
    }
}
