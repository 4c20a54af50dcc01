// Promise: a port inside another network namespace, as a container's own interface, is captured there like any other,
// follows what happens to it, and never keeps alive what its owner has ended. Other modes than `tap` are in
// PromiseNamespaceModes.swift.

import Glibc
import Lab
import MirrorProgram
import Testing

extension Promises {
    @Suite struct PromiseNamespaces {
        /// A's own interface, seen from the dataplane.
        private static func program(_ mirror: Mirror, generation: UInt64 = 2) -> MirrorProgram {
            var program = Mirror.program()
            program.generation = generation
            program.ports = [.init(id: Mirror.port, interface: "eth0", netns: mirror.lab.a.name)]
            return program
        }

        private static func with(_ body: (Mirror) throws -> Void) throws {
            try Mirror.with(MirrorProgram(generation: 1), ready: false, body)
        }

        /// Both directions, each copied whole.
        private func expectCopies(_ mirror: Mirror, life: UInt32) throws {
            let out = try Mirror.stream(life * 2)
            let into = try Mirror.stream(life * 2 + 1, fromB: true)
            let copies = try mirror.receiver(Mirror.monitor, [out, into])
            let first = try FrameSender(out, in: mirror.lab.a, interface: "eth0", rate: 5_000, count: 2_000).wait()
            let second = try FrameSender(into, in: mirror.lab.b, interface: "eth0", rate: 5_000, count: 2_000).wait()
            copies.wait(seconds: 5) { $0.frames >= first.frames + second.frames }
            let report = try copies.stop()
            report.streams[0].expectWhole(first, "life \(life), OUT")
            report.streams[1].expectWhole(second, "life \(life), IN")
        }

        private func status(_ mirror: Mirror, _ state: PortStatus.State, _ reason: String) throws -> Bool {
            var last: PortStatus?
            let seen = try poll(seconds: 5, every: 0.02) {
                last = try mirror.status().ports.first
                return last?.state == state && last?.reason == reason
            }
            if !seen { print("figure: \(String(describing: last))") }
            return seen
        }

        @Test func aContainersInterface() throws {
            try Self.with { mirror in
                try mirror.apply(Self.program(mirror))
                try mirror.waitUntilReady()
                let port = try #require(try mirror.status().ports.first)
                #expect(port.side == .`self` && port.hook == "tcx" && port.mtu == 1500)
                for life in 1...2 as ClosedRange<UInt32> {
                    try expectCopies(mirror, life: life)
                    try mirror.lab.deleteTappedLink()
                    let reason = "there is no interface eth0 in network namespace '\(mirror.lab.a.name)'"
                    #expect(try status(mirror, .down, reason))
                    try mirror.lab.addTappedLink()
                    try mirror.waitUntilReady()
                }
                try mirror.ledger(offered: [Mirror.monitor: 8_000])
            }
        }

        /// The other end of its link goes with the container, and one of the same name is another container.
        @Test func aContainerThatEnds() throws {
            try Self.with { mirror in
                try mirror.apply(Self.program(mirror))
                try mirror.waitUntilReady()
                let name = mirror.lab.a.name
                for life in 1...2 as ClosedRange<UInt32> {
                    try expectCopies(mirror, life: life)
                    try ChildProcess.run(["ip", "netns", "delete", name])
                    let gone = poll(seconds: 5, every: 0.02) {
                        (try? mirror.lab.host.macAddress(of: TappedPair.tappedPort)) == nil
                    }
                    #expect(gone, "the link's other end is there still: the namespace is held")
                    #expect(try status(mirror, .down, "there is no network namespace '\(name)'"))
                    try ChildProcess.run(["ip", "netns", "add", name])
                    try mirror.lab.a.configure("net/ipv6/conf/default/disable_ipv6", "1")
                    try mirror.lab.addTappedLink()
                    try mirror.waitUntilReady()
                }
                try mirror.ledger(offered: [Mirror.monitor: 8_000])
            }
        }

        @Test func killedUnderLoad() throws {
            try Mirror.with(MirrorProgram(generation: 1), supervised: true, ready: false) { mirror in
                try mirror.apply(Self.program(mirror))
                try mirror.waitUntilReady()
                let stream = try Mirror.stream(1)
                let originals = try FrameReceiver(in: mirror.lab.b, interface: "eth0", streams: [stream])
                let sender = try FrameSender(stream, in: mirror.lab.a, interface: "eth0", rate: 20_000, count: 40_000)
                let pid = try mirror.status().pid
                try #require(kill(pid, SIGKILL) == 0)
                let back = poll(seconds: 5, every: 0.01) { (try? mirror.status().pid).map { $0 != pid } ?? false }
                #expect(back, "no dataplane after the kill")
                let sent = try sender.wait()
                originals.wait(seconds: 5) { $0.frames >= sent.frames }
                try mirror.expectOriginals(try originals.stop(), sent)
                try mirror.waitUntilReady()
                try expectCopies(mirror, life: 2)
            }
        }

        @Test func whatIsRefused() throws {
            try Self.with { mirror in
                let (a, collector) = (mirror.lab.a, mirror.lab.collector)
                var generation: UInt64 = 2
                func expect(
                    _ port: MirrorProgram.Port, to destination: String = Mirror.monitor, _ state: PortStatus.State,
                    _ reason: String, location: SourceLocation = #_sourceLocation
                ) throws {
                    var program = Mirror.program(to: [destination])
                    program.generation = generation
                    program.ports = [port]
                    try mirror.apply(program)
                    generation += 1
                    #expect(try status(mirror, state, reason), sourceLocation: location)
                }
                let port = { MirrorProgram.Port(id: Mirror.port, interface: "eth0", netns: $0) }
                try expect(port("hs-nowhere"), .down, "there is no network namespace 'hs-nowhere'")
                try expect(port("/dev/null"), .down, "'/dev/null' is not a network namespace")
                try expect(
                    port("/proc/self/ns/mnt"), .down,
                    "'/proc/self/ns/mnt' is a namespace, but not a network namespace")
                try expect(
                    port(mirror.lab.host.name), .down,
                    "network namespace '\(mirror.lab.host.name)' is the dataplane's own; leave netns out")
                for mode in [MirrorProgram.CaptureMode.tap, .xdp, .span] {
                    var receiving = port(collector.name)
                    (receiving.capture, receiving.policy) = (mode, .require)
                    try expect(
                        receiving, to: Mirror.local, .error,
                        "eth0 in network namespace '\(collector.name)' receives the copies that go into local0: they would be mirrored again"
                    )
                }
                // Two names of one namespace.
                var program = Self.program(mirror, generation: generation)
                program.ports.append(.init(id: "twin", interface: "eth0", netns: a.path))
                program.taps.append(.init(id: "twin", port: "twin", direction: .in, destinations: [Mirror.monitor]))
                try mirror.apply(program)
                let refused = try poll(seconds: 5, every: 0.02) {
                    let ports = try mirror.status().ports
                    return ports.first?.state == .capturing && ports.last?.state == .error
                        && ports.last?.reason?.contains("is the interface of port 'port' too") == true
                }
                #expect(refused)
            }
        }
    }
}
