// Promise: inside another network namespace `xdp`, `span` and `inline` are what they are here: copies byte for byte,
// settings changed and put back there, nothing half-attached after a kill; and though the sockets of `span` and `inline`
// belong to the namespace, it ends when its owner ends it. `tap` is in PromiseNamespaces.swift.

import Foundation
import Glibc
import Lab
import MirrorProgram
import Testing

extension Promises {
    @Suite struct PromiseNamespaceModes {
        /// A's own interface is captured by XDP, and b's takes in all that it receives.
        private static func inTheDriver(_ mirror: Mirror, generation: UInt64 = 2) -> MirrorProgram {
            var program = Mirror.program(to: [Mirror.monitor, Mirror.second])
            program.generation = generation
            program.ports = [
                .init(id: "xdp", interface: "eth0", netns: mirror.lab.a.name, capture: .xdp, policy: .require),
                .init(id: "span", interface: "eth0", netns: mirror.lab.b.path, capture: .span),
            ]
            program.taps = [
                .init(id: "xdp", port: "xdp", direction: .both, destinations: [Mirror.monitor]),
                .init(id: "span", port: "span", direction: .in, destinations: [Mirror.second]),
            ]
            return program
        }

        private func programs(_ namespace: Namespace) throws -> [Substring] {
            try namespace.command("bpftool", "net", "show").split(separator: "\n").filter { $0.contains(" driver ") }
        }

        private func takesTagsOut(_ namespace: Namespace) throws -> Bool {
            try namespace.command("ethtool", "-k", "eth0").contains("rx-vlan-offload: on")
        }

        private func isPromiscuous(_ namespace: Namespace) throws -> Bool {
            try !namespace.command("ip", "-d", "link", "show", "eth0").contains("promiscuity 0 ")
        }

        /// What a receives and sends, and what b receives.
        private func expectCopies(_ mirror: Mirror, life: UInt32) throws {
            let lengths = [80, 128, 1514]
            let out = try Mirror.stream(life * 2, lengths: lengths)
            let into = try Mirror.stream(life * 2 + 1, fromB: true, lengths: lengths)
            let copies = try mirror.receiver(Mirror.monitor, [out, into])
            let taken = try mirror.receiver(Mirror.second, [out])
            let first = try FrameSender(out, in: mirror.lab.a, interface: "eth0", rate: 5_000, count: 600).wait()
            let second = try FrameSender(into, in: mirror.lab.b, interface: "eth0", rate: 5_000, count: 600).wait()
            copies.wait(seconds: 5) { $0.frames >= first.frames + second.frames }
            taken.wait(seconds: 5) { $0.frames >= first.frames }
            let report = try copies.stop()
            report.streams[0].expectWhole(first, "life \(life), OUT by tcx")
            report.streams[1].expectWhole(second, "life \(life), IN by XDP")
            try taken.stop().streams[0].expectWhole(first, "life \(life), span")
        }

        private func expectStatus(_ mirror: Mirror) throws {
            let ports = try mirror.status().ports
            #expect(ports.allSatisfy { $0.state == .capturing && $0.obtained == $0.capture && $0.side == .`self` })
            #expect(ports[0].hook == "xdp-native+tcx" && ports[0].changes == ["rxvlan off"], "\(ports[0])")
            #expect(ports[1].hook == "xdp-native" && ports[1].changes == ["rxvlan off", "promisc on"], "\(ports[1])")
            #expect(ports[1].zeroCopy == false && ports[1].queues ?? 0 >= 1 && ports[1].mtu == 1500)
            let (a, b) = (mirror.lab.a, mirror.lab.b)
            #expect(try !takesTagsOut(a) && !takesTagsOut(b) && isPromiscuous(b))
        }

        private func killAndForget(_ mirror: Mirror) throws {
            try #require(kill(mirror.status().pid, SIGKILL) == 0)
            try FileManager.default.removeItem(atPath: "\(mirror.directory.path)/program.json")
            try mirror.startAgain()
        }

        /// Ends a namespace and expects that it does end: the far end of its link goes with it.
        private func end(_ namespace: Namespace, _ mirror: Mirror, farEnd: () -> Bool) throws {
            try ChildProcess.run(["ip", "netns", "delete", namespace.name])
            #expect(poll(seconds: 5, every: 0.02) { !farEnd() }, "the namespace is held")
            let isDown = try poll(seconds: 5, every: 0.02) {
                try mirror.status().ports.contains {
                    $0.state == .down && $0.reason?.hasPrefix("there is no network namespace '") == true
                }
            }
            #expect(isDown)
        }

        @Test func inTheDriver() throws {
            try Mirror.with(MirrorProgram(generation: 1), ready: false) { mirror in
                let (lab, a, b) = (mirror.lab, mirror.lab.a, mirror.lab.b)
                try mirror.apply(Self.inTheDriver(mirror))
                try mirror.waitUntilReady()
                try expectStatus(mirror)
                try expectCopies(mirror, life: 1)

                try #require(kill(mirror.status().pid, SIGKILL) == 0)
                #expect(try poll(seconds: 2, every: 0.02) { try programs(a).isEmpty && programs(b).isEmpty })
                #expect(try !isPromiscuous(b))
                try mirror.startAgain()
                try mirror.waitUntilReady()
                try expectStatus(mirror)
                try expectCopies(mirror, life: 2)

                for (namespace, port) in [(b, TappedPair.otherPort), (a, TappedPair.tappedPort)] {
                    try end(namespace, mirror) { (try? lab.host.macAddress(of: port)) != nil }
                }
                for namespace in [a, b] {
                    try ChildProcess.run(["ip", "netns", "add", namespace.name])
                    try namespace.configure("net/ipv6/conf/default/disable_ipv6", "1")
                }
                try lab.addTappedLink()
                try lab.host.ip(
                    "link add port-b type veth peer name eth0 address \(TappedPair.macOfB) netns \(b.name)",
                    "link set port-b master br0 up")
                try b.ip("link set eth0 up")
                try mirror.waitUntilReady()
                try expectStatus(mirror)
                try expectCopies(mirror, life: 3)

                // A killed dataplane's settings are put back by one that knows nothing of its program.
                try killAndForget(mirror)
                try mirror.apply(MirrorProgram(generation: 9))
                #expect(try programs(a).isEmpty && programs(b).isEmpty)
                #expect(try takesTagsOut(a) && takesTagsOut(b) && !isPromiscuous(b))
            }
        }

        /// The only way from a to b is a wire in a third namespace.
        @Test func aWire() throws {
            var options = TappedPair.Options()
            options.isWire = true
            try Mirror.with(MirrorProgram(generation: 1), options, ready: false) { mirror in
                let (lab, wire) = (mirror.lab, try Namespace("wire"))
                defer {
                    wire.delete()
                    _ = try? FileManager.default.removeItem(atPath: try PromiseInline.pins(mirror))
                }
                for port in [TappedPair.tappedPort, TappedPair.otherPort] {
                    try lab.host.ip("link set \(port) netns \(wire.name)")
                    try wire.ip("link set \(port) up")
                }
                var program = Mirror.program()
                program.generation = 2
                program.ports = [
                    .init(
                        id: Mirror.port, interface: TappedPair.tappedPort, netns: wire.name, capture: .inline,
                        pair: TappedPair.otherPort)
                ]
                try mirror.apply(program)
                try mirror.waitUntilReady()
                let port = try mirror.status().ports[0]
                #expect(port.obtained == .inline && port.hook == "xdp-native" && port.queues ?? 0 >= 2, "\(port)")
                #expect(port.changes?.contains("port-a: promisc on") == true)
                let pins = "\(try PromiseInline.pins(mirror))/netns-\(try inode(of: wire))"
                #expect(try pinned(pins) == 2)
                try expectWire(mirror, life: 1)

                try #require(kill(mirror.status().pid, SIGKILL) == 0)
                // What arrives within the kernel's patience waits for a worker that is no more.
                usleep(20_000)
                try expectWire(mirror, life: 2, copied: false)
                #expect(try pinned(pins) == 2)
                try mirror.startAgain()
                try mirror.waitUntilReady()
                try expectWire(mirror, life: 3)

                try end(wire, mirror) { (try? lab.b.macAddress(of: "eth0")) != nil }
                #expect(!FileManager.default.fileExists(atPath: pins))
                try makeWireAgain(lab, wire)
                try mirror.waitUntilReady()
                try expectWire(mirror, life: 4)

                // What was killed leaves its wire to a dataplane that knows nothing of its program.
                try killAndForget(mirror)
                #expect(try programs(wire).count == 2)
                try mirror.apply(MirrorProgram(generation: 9))
                #expect(try programs(wire).isEmpty)
                #expect(try !wire.command("ip", "link", "show").contains("PROMISC"))
                #expect(try !FileManager.default.fileExists(atPath: PromiseInline.pins(mirror)))
            }
        }

        private func inode(of namespace: Namespace) throws -> Int {
            try FileManager.default.attributesOfItem(atPath: namespace.path)[.systemFileNumber] as! Int
        }

        private func pinned(_ path: String) throws -> Int {
            try FileManager.default.contentsOfDirectory(atPath: path).count { $0.hasPrefix("link-") }
        }

        private func makeWireAgain(_ lab: TappedPair, _ wire: Namespace) throws {
            try ChildProcess.run(["ip", "netns", "add", wire.name])
            try wire.configure("net/ipv6/conf/default/disable_ipv6", "1")
            for (port, end, mac) in [
                (TappedPair.tappedPort, lab.a, TappedPair.macOfA), (TappedPair.otherPort, lab.b, TappedPair.macOfB),
            ] {
                try wire.ip("link add \(port) type veth peer name eth0 address \(mac) netns \(end.name)")
                try end.ip("link set eth0 up")
                try end.offloads(of: "eth0", ["gro": true, "tx": false, "tso": false, "txvlan": false])
                try end.receiveOnOneCPU("eth0")
            }
            try wire.ip("link set port-a up", "link set port-b up")
        }

        /// Both ways what is sent arrives; the worker, where there is one, copies it.
        private func expectWire(_ mirror: Mirror, life: UInt32, copied: Bool = true) throws {
            let (a, b) = (mirror.lab.a, mirror.lab.b)
            let streams = [
                try Mirror.stream(life * 2, lengths: [80, 1514]),
                try Mirror.stream(life * 2 + 1, fromB: true, lengths: [80, 1514]),
            ]
            let receivers = [
                try FrameReceiver(in: b, interface: "eth0", streams: [streams[0]]),
                try FrameReceiver(in: a, interface: "eth0", streams: [streams[1]]),
            ]
            let copies = try mirror.receiver(Mirror.monitor, streams)
            let sent = [
                try FrameSender(streams[0], in: a, interface: "eth0", rate: 5_000, count: 500).wait(),
                try FrameSender(streams[1], in: b, interface: "eth0", rate: 5_000, count: 500).wait(),
            ]
            for (receiver, sent) in zip(receivers, sent) {
                receiver.wait(seconds: 5) { $0.frames >= sent.frames }
                try receiver.stop().streams[0].expectWhole(sent, "life \(life), originals")
            }
            if copied { copies.wait(seconds: 5) { $0.frames >= sent[0].frames + sent[1].frames } }
            for (check, sent) in zip(try copies.stop().streams, sent) where copied {
                check.expectWhole(sent, "life \(life), copies")
            }
        }
    }
}
