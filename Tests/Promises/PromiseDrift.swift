// Promise: what somebody changes by hand under load is put right within two seconds, or the status says what is in the
// way; what was right is not touched, no other tap loses a copy, and no original is lost. An uplink's own changes are in
// PromiseUplinkChanges, an interface that ends in PromiseInterface, a detached XDP program in PromiseXDP.

import Foundation
import Glibc
import Lab
import MirrorProgram
import Testing

extension Promises {
    @Suite struct PromiseDrift {
        private static let port = TappedPair.tappedPort
        private static let ingress = "\(port) ingress", egress = "\(port) egress"

        private static func detach(_ interface: String, ingress: Bool) -> (Mirror) throws -> Void {
            { mirror in
                let link = try #require(try mirror.lab.host.tcx(of: interface, ingress: ingress).links.first)
                try mirror.lab.host.command("bpftool", "link", "detach", "id", "\(link)")
            }
        }

        private static func by(_ line: String) -> (Mirror) throws -> Void { { try $0.lab.host.ip(line) } }

        private static func takesTagsOut(_ mirror: Mirror, _ interface: String) throws -> Bool {
            try mirror.lab.host.command("ethtool", "-k", interface).contains("rx-vlan-offload: on")
        }

        private static func takeTagsOut(_ interface: String) -> (Mirror) throws -> Void {
            { try $0.lab.host.offloads(of: interface, ["rxvlan": true]) }
        }

        private static func isDisplaced(_ times: Int) -> (Mirror) throws -> Bool {
            { try $0.status().ports[0].displaced == times }
        }

        private static func isCapturing(_ mirror: Mirror) throws -> Bool {
            let port = try mirror.status().ports[0]
            return port.state == .capturing && port.reason == nil
        }

        private static func destination(_ mirror: Mirror) throws -> DestinationStatus {
            try #require(try mirror.status().destinations.first { $0.id == Mirror.monitor })
        }

        /// Called otherwise for a moment: the status says so.
        private static func rename(_ mirror: Mirror, _ expected: String) throws {
            try mirror.lab.host.ip("link set \(port) name drift0")
            let told = poll(seconds: Hands.limit) {
                (try? mirror.status().ports[0].reason)?.hasPrefix(expected) == true
            }
            #expect(told, "\(Hands.words(mirror))")
            try mirror.lab.host.ip("link set drift0 name \(port)")
        }

        @Test func programsAndWays() throws {
            var foreign: [ForeignProgram] = []
            let put = { (mirror: Mirror, ingress: Bool, verdict: ForeignProgram.Verdict) in
                foreign.append(
                    try ForeignProgram(in: mirror.lab.host, interface: Self.port, ingress: ingress, verdict))
            }
            let uplink = TappedPair.uplink
            try Mirror.with(Hands.program()) { mirror in
                try Hands.lay(
                    [
                        Hand(
                            what: "ingress detached", touches: [Self.ingress],
                            act: Self.detach(Self.port, ingress: true), isRight: Self.isDisplaced(1)),
                        Hand(
                            what: "egress detached", touches: [Self.egress],
                            act: Self.detach(Self.port, ingress: false), isRight: Self.isDisplaced(2)),
                        Hand(
                            what: "a program ahead that hides everything", touches: [Self.ingress],
                            act: { try put($0, true, .pass) }, isRight: Self.isDisplaced(3)),
                        Hand(
                            what: "a program ahead that hides nothing", touches: [Self.egress],
                            act: { try put($0, false, .next) }, isRight: Self.isDisplaced(4)),
                        Hand(
                            what: "interface renamed and renamed back", touches: [Self.ingress, Self.egress],
                            act: { try Self.rename($0, "there is no interface \(Self.port)") },
                            isRight: Self.isCapturing),
                        Hand(
                            what: "address of the uplink replaced",
                            act: {
                                try $0.lab.host.ip(
                                    "address delete \(TappedPair.hostAddress)/24 dev \(uplink)",
                                    "address add 192.0.2.77/24 dev \(uplink)")
                            }, isRight: { try Self.destination($0).source == IPAddress("192.0.2.77") }),
                        Hand(
                            what: "route to the other uplink and back",
                            act: { mirror in
                                let route = "192.0.2.9/32 via \(TappedPair.secondMonitorAddress)"
                                try mirror.lab.host.ip("route add \(route)")
                                let moved = poll(seconds: Hands.limit) {
                                    (try? Self.destination(mirror).uplink) == TappedPair.secondUplink
                                }
                                #expect(moved, "\(Hands.words(mirror))")
                                try mirror.lab.host.ip("route delete \(route)")
                            }, isRight: { try Self.destination($0).uplink == uplink }),
                    ], on: mirror)
            }
        }

        /// Copies of what the port still receives go on.
        @Test func linksThatAreTakenAway() throws {
            try Mirror.with(Hands.program()) { mirror in
                try mirror.lab.host.ip("link add br9 type bridge stp_state 0 mcast_snooping 0", "link set br9 up")
                try Hands.lay(
                    [
                        Hand(
                            what: "moved to another bridge and back",
                            act: { mirror in
                                try mirror.lab.host.ip("link set \(Self.port) master br9")
                                usleep(200_000)
                                try mirror.lab.host.ip("link set \(Self.port) master br0")
                            }, isRight: Self.isCapturing),
                        Hand(
                            what: "set down and up",
                            act: { mirror in
                                try mirror.lab.host.ip("link set \(Self.port) down")
                                usleep(200_000)
                                try mirror.lab.host.ip("link set \(Self.port) up")
                            }, isRight: Self.isCapturing),
                    ], on: mirror, originals: .unjudged)
            }
        }

        /// Somebody who goes ahead of us each time that we have gone ahead of him: we do so less and less often, and say
        /// who is there, until he leaves.
        @Test func whoeverInsists() throws {
            try Mirror.with(Hands.program()) { mirror in
                let host = mirror.lab.host
                let ours = try #require(try host.tcx(of: Self.port, ingress: true).programs.first)
                var foreign: [ForeignProgram] = []
                try poll(seconds: 5, every: 0.05) {
                    if try host.tcx(of: Self.port, ingress: true).programs.first == ours {
                        foreign.append(try ForeignProgram(in: host, interface: Self.port, ingress: true, .next))
                    }
                    return false
                }
                let port = try mirror.status().ports[0]
                #expect(port.displaced == foreign.count - 1 && (2...3).contains(foreign.count), "\(port)")
                let words = "stands ahead of ours at tcx ingress of \(Self.port), again and again"
                #expect(port.state == .capturing && port.reason?.hasPrefix("program 'foreign' (id ") == true, "\(port)")
                #expect(port.reason?.contains(words) == true)
                #expect(try mirror.status().taps[0].reason?.contains(words) == true, "\(Hands.words(mirror))")
                foreign = []
                #expect(
                    poll(seconds: Hands.limit) { (try? Self.isCapturing(mirror)) == true }, "\(Hands.words(mirror))")
                #expect(try mirror.status().taps[0].reason == nil)
            }
        }

        /// The device of the engine `kernel`.
        @Test func theDevice() throws {
            let isWhole = { (mirror: Mirror) throws -> Bool in
                let host = mirror.lab.host
                let device = try host.command("ip", "-o", "link", "show", "hs-encap")
                let chain = try host.tcx(of: "hs-encap", ingress: false)
                return try mirror.status().taps[0].engine == .kernel && device.contains(",UP")
                    && device.contains("mtu 65535") && chain.programs.count == 1
            }
            try Mirror.with(Hands.program(engine: .kernel)) { mirror in
                #expect(try isWhole(mirror), "\(Hands.words(mirror))")
                try Hands.lay(
                    [
                        Hand(what: "hs-encap deleted", act: Self.by("link delete hs-encap"), isRight: isWhole),
                        Hand(what: "hs-encap set down", act: Self.by("link set hs-encap down"), isRight: isWhole),
                        Hand(
                            what: "hs-encap with another MTU", act: Self.by("link set hs-encap mtu 1000"),
                            isRight: isWhole),
                        Hand(
                            what: "program of hs-encap detached", act: Self.detach("hs-encap", ingress: false),
                            isRight: isWhole),
                    ], on: mirror, isOrdered: false)
            }
        }

        /// Where copies of other hosts arrive: the program on the underlay interface.
        @Test func aDelivery() throws {
            let peer = try #require(IPAddress(TappedPair.monitorAddress))
            let delivery = MirrorProgram.Delivery(
                id: "far", peers: [peer], tunnelID: 5001, interface: TappedPair.localPort)
            var foreign: [ForeignProgram] = []
            try Mirror.with(MirrorProgram(generation: 1, deliveries: [delivery]), ready: false) { mirror in
                let stream = try Mirror.stream(1)
                let delivered = try FrameReceiver(in: mirror.lab.collector, interface: "eth0", streams: [stream])
                let sender = try FrameSender(stream, in: mirror.lab.monitor, interface: TappedPair.vxlan, rate: 3_000)
                for isDetached in [true, false] {
                    let count = delivered.count
                    try #require(delivered.wait(seconds: 5) { $0.frames > count + 500 })
                    if isDetached {
                        try Self.detach(TappedPair.uplink, ingress: true)(mirror)
                    } else {
                        foreign.append(
                            try ForeignProgram(
                                in: mirror.lab.host, interface: TappedPair.uplink, ingress: true, .pass))
                    }
                    let sent = sender.report.nextSequence
                    #expect(delivered.wait(seconds: Hands.limit) { ($0.streams[0].highestSequence ?? 0) > sent + 300 })
                }
                try sender.stop()
                let check = delivered.settle().streams[0]
                #expect(check.duplicates == 0 && check.differing == 0)
                let longest = check.silences.map { $0.upperBound - $0.lowerBound }.max() ?? 0
                print("figure: a delivery's program detached, and another ahead of it: \(longest / 1_000_000) ms")
                try delivered.stop()
            }
        }

        /// Settings that capture in the driver needs. Promiscuity of a `span` port is a socket's, and nobody else's to take.
        @Test func settings() throws {
            let span = TappedPair.spanPort
            var program = Hands.program(.xdp, witness: .span)
            for index in program.ports.indices { program.ports[index].policy = .require }
            try Mirror.with(program) { mirror in
                try mirror.lab.host.offloads(of: Self.port, ["gro": true])
                try Hands.lay(
                    [
                        Hand(
                            what: "rxvlan of an xdp port turned on", act: Self.takeTagsOut(Self.port),
                            isRight: { try !Self.takesTagsOut($0, Self.port) }),
                        Hand(
                            what: "rxvlan of a span port turned on", act: Self.takeTagsOut(span),
                            isRight: { try !Self.takesTagsOut($0, span) }),
                        Hand(
                            what: "promiscuity of a span port taken away",
                            act: Self.by("link set \(span) promisc off"),
                            isRight: {
                                try $0.lab.host.command("ip", "-d", "link", "show", span).contains("promiscuity 1")
                            }),
                        Hand(
                            what: "xdp port renamed and renamed back", touches: [Self.port],
                            act: { mirror in
                                try mirror.lab.host.ip("link set \(Self.port) name drift0")
                                let back = poll(seconds: Hands.limit) {
                                    (try? Self.takesTagsOut(mirror, "drift0")) == true
                                }
                                #expect(back, "rxvlan is put back on an interface that has another name by now")
                                try mirror.lab.host.ip("link set drift0 name \(Self.port)")
                            }, isRight: { try Self.isCapturing($0) && !Self.takesTagsOut($0, Self.port) }),
                    ], on: mirror)
            }
        }

        /// Queues that nobody has steered would show their frames to the host, and to no tap.
        @Test func queuesOfASpanPort() throws {
            try Mirror.with(Mirror.program(.in, capture: .span)) { mirror in
                let queues = try #require(try mirror.status().ports[0].queues)
                try mirror.lab.host.command("ethtool", "-L", TappedPair.spanPort, "rx", "\(queues + 1)")
                let steered = poll(seconds: Hands.limit) { (try? mirror.status().ports[0].queues) == queues + 1 }
                #expect(steered, "\(Hands.words(mirror))")
                let stream = try Mirror.stream(1)
                let copies = try mirror.receiver(Mirror.monitor, [stream])
                let sent = try FrameSender(stream, in: mirror.lab.feeder, interface: "eth0", rate: 5_000, count: 500)
                    .wait()
                copies.wait(seconds: 5) { $0.frames >= sent.frames }
                try copies.stop().streams[0].expectWhole(sent, "copies")
            }
        }

        @Test func aWire() throws {
            var options = TappedPair.Options()
            options.isWire = true
            try Mirror.with(Hands.program(.inline, pair: TappedPair.otherPort), options) { mirror in
                let pins = try PromiseInline.pins(mirror)
                defer {
                    _ = try? mirror.apply(MirrorProgram(generation: 99))
                    _ = try? FileManager.default.removeItem(atPath: pins)
                }
                let entries = { try FileManager.default.contentsOfDirectory(atPath: pins).sorted() }
                let before = try entries()
                let index = try mirror.lab.host.command("ip", "-o", "link", "show", Self.port).prefix { $0 != ":" }
                let link = "\(pins)/link-\(index)"
                let isWhole = { (mirror: Mirror) throws -> Bool in try entries() == before && Self.isCapturing(mirror) }
                try Hands.lay(
                    [
                        Hand(
                            what: "a pin removed", act: { _ in try FileManager.default.removeItem(atPath: link) },
                            isRight: isWhole),
                        Hand(
                            what: "all pins removed", act: { _ in try FileManager.default.removeItem(atPath: pins) },
                            isRight: isWhole),
                        Hand(
                            what: "promiscuity of a wire taken away",
                            act: Self.by("link set \(Self.port) promisc off"),
                            isRight: { try $0.lab.host.command("ip", "link", "show", Self.port).contains("PROMISC") }),
                        Hand(
                            what: "interface of a wire renamed and renamed back",
                            act: { try Self.rename($0, "\(Self.port) is called drift0 now") }, isRight: isWhole),
                    ], on: mirror, originals: .asCounted)
                // From the hand until the program is back what this port receives is the host's.
                try Hands.lay(
                    [
                        Hand(
                            what: "program of a wire detached", touches: ["\(Self.port) xdp"],
                            act: { _ = try $0.lab.host.command("bpftool", "link", "detach", "pinned", link) },
                            isRight: { try isWhole($0) && Self.isDisplaced(1)($0) })
                    ], on: mirror, originals: .unjudged)
            }
        }
    }
}
