// Promise: `xdp` is what it says or nothing is: modes change under load without losing an original, a killed dataplane
// leaves no program, filters decide, a mode that cannot be had is an error or is told. That copies are identical is in
// PromiseIdentical.

import Glibc
import Lab
import MirrorProgram
import Testing

extension Promises {
    @Suite struct PromiseXDP {
        private func programs(_ mirror: Mirror, _ interface: String = TappedPair.tappedPort) throws -> String {
            try mirror.lab.host.command("bpftool", "net", "show", "dev", interface)
        }

        /// A veth without GRO makes its receive queue when XDP comes and throws it away, with the frames in it, when XDP
        /// goes: that is the kernel's, and what docs/limits.md says of it is measured here. With GRO the queue is there anyway.
        @Test(arguments: [true, false]) func modesChangeUnderLoad(gro: Bool) throws {
            try Mirror.with(Mirror.program()) { mirror in
                try mirror.lab.host.offloads(of: TappedPair.tappedPort, ["gro": gro])
                let stream = try Mirror.stream(1, lengths: [128])
                let originals = try FrameReceiver(in: mirror.lab.b, interface: "eth0", streams: [stream])
                let copies = try mirror.receiver(Mirror.monitor, [stream])
                let sender = try FrameSender(stream, in: mirror.lab.a, interface: "eth0", rate: 10_000)
                for (number, mode) in [MirrorProgram.CaptureMode.xdp, .tap, .xdp, .tap].enumerated() {
                    let count = copies.count
                    try #require(copies.wait(seconds: 5) { $0.frames > count + 3_000 })
                    var program = Mirror.program(capture: mode)
                    program.generation = UInt64(number + 2)
                    let port = try mirror.apply(program).ports[0]
                    #expect(port.state == .capturing && port.obtained == mode)
                    #expect(port.hook == (mode == .xdp ? "xdp-native+tcx" : "tcx"))
                }
                let count = copies.count
                try #require(copies.wait(seconds: 5) { $0.frames > count + 3_000 })
                let sent = try sender.stop()
                let arrived = originals.settle().streams[0]
                print(
                    "figure: XDP came and went twice, gro \(gro ? "on" : "off"): \(arrived.lost(of: sent)) of \(sent.frames) originals lost"
                )
                if gro { arrived.expectWhole(sent, "originals") }
                let check = copies.settle().streams[0]
                #expect(check.differing == 0 && check.duplicates == 0)
                try originals.stop()
                try copies.stop()
            }
        }

        @Test func aKilledDataplaneLeavesNoProgram() throws {
            try Mirror.with(Mirror.program(capture: .xdp)) { mirror in
                try mirror.lab.host.offloads(of: TappedPair.tappedPort, ["gro": true])
                let stream = try Mirror.stream(1, lengths: [128])
                let originals = try FrameReceiver(in: mirror.lab.b, interface: "eth0", streams: [stream])
                let sender = try FrameSender(stream, in: mirror.lab.a, interface: "eth0", rate: 10_000)
                #expect(try programs(mirror).contains("driver"))
                try #require(originals.wait(seconds: 5) { $0.frames > 3_000 })
                try #require(kill(mirror.status().pid, SIGKILL) == 0)
                #expect(try poll(seconds: 2) { try !programs(mirror).contains("driver") })
                let count = originals.count
                try #require(originals.wait(seconds: 5) { $0.frames > count + 3_000 })
                let sent = try sender.stop()
                originals.settle().streams[0].expectWhole(sent, "originals")
                try originals.stop()
            }
        }

        @Test func theFilterDecides() throws {
            var program = Mirror.program(.out, capture: .xdp)
            program.taps[0].filter = .init(expression: "len > 300")
            try Mirror.with(program) { mirror in
                let (short, long) = (try Mirror.stream(1, lengths: [100]), try Mirror.stream(2, lengths: [600]))
                let copies = try mirror.receiver(Mirror.monitor, [short, long])
                _ = try FrameSender(short, in: mirror.lab.a, interface: "eth0", rate: 4_000, count: 2_000).wait()
                let sent = try FrameSender(long, in: mirror.lab.a, interface: "eth0", rate: 4_000, count: 2_000).wait()
                copies.wait(seconds: 5) { $0.frames >= 2_000 }
                _ = copies.settle()
                let report = try copies.stop()
                report.streams[1].expectWhole(sent, "long")
                #expect(report.streams[0].frames == 0)
            }
        }

        /// A bridge sends a tag beside the frame, and a veth hands it over so: the driver tells it.
        @Test func tagsBesideTheFrame() throws {
            try Mirror.with(Mirror.program(capture: .xdp)) { mirror in
                try mirror.lab.a.ip(
                    "link add br9 type bridge stp_state 0 mcast_snooping 0", "link add in9 type veth peer name to9",
                    "link set br9 up", "link set to9 up", "link set in9 master br9 up", "link set eth0 master br9")
                let streams = [
                    try Mirror.stream(1, tags: [.init(vlan: 100, priority: 5)], lengths: [100, 128, 1514]),
                    try Mirror.stream(2, tags: [.init(type: 0x88A8, vlan: 7), .init(vlan: 100)], lengths: [128]),
                ]
                let copies = try mirror.receiver(Mirror.monitor, streams)
                let sent = try streams.map {
                    try FrameSender($0, in: mirror.lab.a, interface: "to9", rate: 4_000, count: 600).wait()
                }
                copies.wait(seconds: 5) { $0.frames >= 1_200 }
                _ = copies.settle()
                for (check, sent) in zip(try copies.stop().streams, sent) {
                    check.expectWhole(sent, "stream \(check.stream.id)")
                }
            }
        }

        @Test func aModeThatCannotBeHad() throws {
            // A bridge has no native XDP; a veth has, but is not worth it unless it is required.
            var program = Mirror.program(capture: .xdp)
            program.ports[0].interface = "br0"
            try Mirror.with(program, ready: false) { mirror in
                let port = try mirror.status().ports[0]
                #expect(port.state == .error && port.obtained == nil && port.hook == nil && port.changes == nil)
                #expect(
                    port.reason == "br0 takes no native XDP program: its driver has none, or none for this MTU")
                #expect(try !programs(mirror, "br0").contains("id"), "nothing is left half-attached")
                program.ports[0].policy = .prefer
                let other = try mirror.apply(program).ports[0]
                #expect(other.state == .capturing && other.obtained == .tap && other.hook == "tcx")
                #expect(other.reason == port.reason)
                let veth = try mirror.apply(Mirror.program(capture: .xdp, policy: .prefer)).ports[0]
                #expect(veth.obtained == .tap && veth.reason?.contains("is a veth") == true)
            }
        }

        /// Another dataplane is somebody else: its program stays, and the refusal says whose it is.
        @Test func somebodyElseIsThere() throws {
            try Mirror.with(Mirror.program(capture: .xdp)) { mirror in
                let before = try programs(mirror)
                try Mirror.beside(mirror, Mirror.program(capture: .xdp)) { other in
                    let port = try other.status().ports[0]
                    #expect(port.state == .error && port.hook == nil)
                    let words = "\(TappedPair.tappedPort) has an XDP program already, 'capture' (id "
                    #expect(port.reason?.hasPrefix(words) == true, "\(port)")
                    #expect(try programs(mirror) == before, "nothing is left half-attached")
                    let tapped = try other.apply(Mirror.program()).ports[0]
                    #expect(tapped.state == .capturing && tapped.hook == "tcx")
                }
                #expect(try mirror.status().ports[0].displaced == nil)
            }
        }

        @Test func comesBackWhenItIsDetached() throws {
            try Mirror.with(Mirror.program(capture: .xdp)) { mirror in
                // By force: what holds the link's place is none of ours any more.
                try mirror.lab.host.command("bpftool", "link", "detach", "id", try link(mirror))
                #expect(poll(seconds: 5) { (try? mirror.status().ports[0].displaced) == 1 })
                #expect(try programs(mirror).contains("driver"))
            }
        }

        @Test func aSteeringProgramComesBackToo() throws {
            try Mirror.with(Mirror.program(.in, capture: .span)) { mirror in
                try mirror.lab.host.command("bpftool", "link", "detach", "id", try link(mirror))
                #expect(poll(seconds: 5) { (try? mirror.status().ports[0].displaced) == 1 })
                #expect(try programs(mirror, TappedPair.spanPort).contains("driver"))
            }
        }

        /// Another port on the same interface has another program: it takes the place of the first one within one link.
        @Test func aProgramIsReplacedInItsLink() throws {
            try Mirror.with(Mirror.program(capture: .xdp)) { mirror in
                let stream = try Mirror.stream(1, lengths: [128])
                let originals = try FrameReceiver(in: mirror.lab.b, interface: "eth0", streams: [stream])
                let copies = try mirror.receiver(Mirror.monitor, [stream])
                let sender = try FrameSender(stream, in: mirror.lab.a, interface: "eth0", rate: 10_000)
                let (first, before) = (try link(mirror), try programs(mirror))
                for life in 2...11 {
                    var program = Mirror.program(capture: .xdp)
                    program.generation = UInt64(life)
                    program.ports[0].id = "port \(life)"
                    program.taps[0].port = "port \(life)"
                    #expect(try mirror.apply(program).ports[0].hook == "xdp-native+tcx")
                    let count = copies.count
                    try #require(copies.wait(seconds: 5) { $0.frames > count + 1_000 })
                }
                #expect(try link(mirror) == first && programs(mirror) != before)
                let sent = try sender.stop()
                originals.settle().streams[0].expectWhole(sent, "originals")
                let check = copies.settle().streams[0]
                #expect(check.differing == 0 && check.duplicates == 0 && check.reordered == 0)
                try originals.stop()
                try copies.stop()
            }
        }

        /// `rxvlan` is off while XDP captures, and on again when the port goes, also after a life that was cut short.
        @Test func settingsArePutBack() throws {
            try Mirror.with(Mirror.program(capture: .xdp)) { mirror in
                func isOn() throws -> Bool {
                    try mirror.lab.host.command("ethtool", "-k", TappedPair.tappedPort)
                        .contains("rx-vlan-offload: on")
                }
                #expect(try mirror.status().ports[0].changes == ["rxvlan off"] && !isOn())
                let tapped = try mirror.apply(Mirror.program()).ports[0]
                #expect(try tapped.changes == nil && isOn())
                try mirror.apply(Mirror.program(capture: .xdp))
                try #require(try !isOn() && kill(mirror.status().pid, SIGKILL) == 0)
                try mirror.startAgain()
                #expect(try mirror.status().ports[0].changes == ["rxvlan off"] && !isOn())
                try mirror.apply(MirrorProgram(generation: 9))
                #expect(try isOn())
            }
        }

        /// The kernel's id of the XDP link that was made last.
        private func link(_ mirror: Mirror) throws -> String {
            let links = try mirror.lab.host.command("bpftool", "link", "show")
            let ours = links.split(separator: "\n").last { $0.contains(": xdp") }?.split(separator: ":").first
            return String(try #require(ours))
        }
    }
}
