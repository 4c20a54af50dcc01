// Promise: the mirror is never mirrored. The uplink itself is tapped, and copies are not copied again.

import Lab
import MirrorProgram
import Testing

extension Promises {
    @Suite struct PromiseNoLoops {
        @Test func aTappedUplink() throws {
            var program = Mirror.program()
            program.ports.append(.init(id: "uplink", interface: TappedPair.uplink, side: .`self`))
            program.taps.append(.init(id: "loop", port: "uplink", direction: .both, destinations: [Mirror.monitor]))
            try Mirror.with(program) { mirror in
                let stream = try Mirror.stream(1)
                let stranger = try Mirror.stream(2, content: .raw(0x88B5), lengths: [60])
                let copies = try mirror.receiver(Mirror.monitor, [stream, stranger])
                let before = try mirror.lab.monitor.counters(of: TappedPair.vxlan)
                let sent = try FrameSender(stream, in: mirror.lab.a, interface: "eth0", rate: 5_000, count: 5_000)
                    .wait()
                // What is not ours on the uplink is copied like any other frame.
                let other = try FrameSender(
                    stranger, in: mirror.lab.host, interface: TappedPair.uplink, rate: 1_000, count: 500
                ).wait()
                copies.wait(seconds: 5) { $0.streams[0].frames >= sent.frames && $0.streams[1].frames >= other.frames }
                let report = copies.settle()
                report.streams[0].expectWhole(sent, "copies of the port")
                report.streams[1].expectWhole(other, "copies of the uplink's own frames")
                // Beside them at most ARP between host and monitor, and never a copy of a copy.
                #expect(report.otherFrames < 20, "\(report.otherFrames) other frames")
                let received = try mirror.lab.monitor.counters(of: TappedPair.vxlan) - before
                #expect(received.receivedFrames < 5_520)
                try mirror.ledger()
                try copies.stop()
            }
        }

        /// Copies of every encapsulation over both IP versions come back to the host through another namespace, where
        /// they have lost our mark, and pass a tapped port there: none of them is copied again.
        @Test(arguments: [MirrorProgram.CaptureMode.tap, .xdp])
        func everyEncapsulation(capture: MirrorProgram.CaptureMode) throws {
            var program = Mirror.program(to: [])
            for (version, remote) in [TappedPair.monitorAddress, PromiseOuterIPv6.monitorAddress].enumerated() {
                for (index, kind) in MirrorProgram.Encapsulation.allCases.enumerated() {
                    let tunnel = MirrorProgram.Tunnel(
                        remote: .init(remote)!, encapsulation: kind, tunnelID: UInt32(100 + index))
                    program.destinations.append(.init(id: "\(kind) \(version)", target: .tunnel(tunnel)))
                }
            }
            let tunnels = program.destinations.map(\.id)
            program.taps[0].destinations = tunnels
            program.destinations.append(Mirror.destination(Mirror.local))
            program.ports.append(
                .init(id: "back", interface: "back0", capture: capture, policy: .require, side: .`self`))
            program.taps.append(.init(id: "loop", port: "back", direction: .in, destinations: [Mirror.local]))
            try Mirror.with(program, ready: false) { mirror in
                try PromiseOuterIPv6.enable(mirror.lab)
                try Self.sendBack(mirror.lab)
                try mirror.waitUntilReady()
                let stream = try Mirror.stream(1, lengths: [128, 1400])
                let stranger = try Mirror.stream(2, content: .raw(0x88B5), lengths: [60])
                let sent = try FrameSender(stream, in: mirror.lab.a, interface: "eth0", rate: 1_000, count: 1_000)
                    .wait()
                let other = try FrameSender(
                    stranger, in: mirror.lab.host, interface: TappedPair.uplink, rate: 1_000, count: 100
                ).wait()
                let offered = Dictionary(uniqueKeysWithValues: tunnels.map { ($0, sent.frames) })
                let statistics = try mirror.ledger(offered: offered)
                for ledger in statistics.destinations where ledger.id != Mirror.local {
                    #expect(ledger.frames == sent.frames, "\(ledger)")
                }
                // What is not ours is copied: the stranger's frames, and what the kernels say of themselves.
                let loop = try #require(statistics.destinations.first { $0.id == Mirror.local })
                #expect(loop.offered >= other.frames && loop.offered < other.frames + 50, "\(loop)")
            }
        }

        /// Copies are addressed to a station that nobody has seen: a bridge at the monitor floods them back to the host's
        /// `back0`.
        private static func sendBack(_ lab: TappedPair) throws {
            try lab.host.ip(
                "link add back0 type veth peer name back netns \(lab.monitor.name)", "link set back0 mtu 2000 up")
            for remote in [TappedPair.monitorAddress, PromiseOuterIPv6.monitorAddress] {
                try lab.host.ip(
                    "neighbour replace \(remote) lladdr 02:00:00:00:00:99 dev \(TappedPair.uplink) nud permanent")
            }
            try lab.monitor.ip(
                "link add br9 type bridge stp_state 0 mcast_snooping 0", "link set br9 up",
                "link set back mtu 2000 master br9 up", "link set \(TappedPair.underlay) master br9")
        }

        /// The tunnel's frames made by the kernel's own vxlan device meet the capture hook, as ours would on a shared
        /// path.
        @Test func ourTupleFromAnotherSender() throws {
            var program = Mirror.program()
            program.ports = [.init(id: Mirror.port, interface: TappedPair.uplink, side: .`self`)]
            try Mirror.with(program) { mirror in
                try mirror.lab.host.ip(
                    "link add vx0 type vxlan id 5001 dstport 4789 local \(TappedPair.hostAddress)"
                        + " remote \(TappedPair.monitorAddress) nolearning", "link set vx0 up")
                let stream = try Mirror.stream(1)
                let copies = try mirror.receiver(Mirror.monitor, [stream])
                let sent = try FrameSender(stream, in: mirror.lab.host, interface: "vx0", rate: 2_000, count: 1_000)
                    .wait()
                let report = copies.settle()
                // Each came once, through the kernel's device; none was copied by us.
                report.streams[0].expectWhole(sent, "frames of the kernel's own device")
                #expect(report.otherFrames < 20)
                try copies.stop()
            }
        }
    }
}
