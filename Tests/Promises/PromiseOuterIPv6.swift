// Promise: copies over IPv6 are right too: the kernel's own vxlan device, which takes no packet without a right UDP
// checksum over IPv6, gives them back byte for byte, from one chunk to three, and in the headroom of a span frame.

import Lab
import MirrorProgram
import Testing

extension Promises {
    @Suite struct PromiseOuterIPv6 {
        static let device = "vxlan6"
        static let hostAddress = "2001:db8::1", monitorAddress = "2001:db8::9"

        /// Gives the host and the monitor IPv6, and the monitor a decapsulator of the kernel's own.
        static func enable(_ lab: TappedPair) throws {
            for (namespace, interface, address) in [
                (lab.host, TappedPair.uplink, hostAddress), (lab.monitor, TappedPair.underlay, monitorAddress),
            ] {
                try namespace.configure("net/ipv6/conf/\(interface)/disable_ipv6", "0")
                try namespace.ip("address add \(address)/64 dev \(interface) nodad")
            }
            try lab.monitor.ip(
                "link add \(device) type vxlan id 5003 dstport 4789 local \(monitorAddress) remote \(hostAddress)"
                    + " nolearning", "link set \(device) mtu \(lab.options.mtu) arp off up")
            try lab.monitor.offloads(of: device, ["gro": false])
            try lab.monitor.receiveOnOneCPU(device)
        }

        private static func program(_ capture: MirrorProgram.CaptureMode) -> MirrorProgram {
            var program = Mirror.program(capture == .tap ? .both : .in, capture: capture)
            program.destinations[0].target = .tunnel(.init(remote: .init(monitorAddress)!, tunnelID: 5003))
            return program
        }

        @Test(arguments: [MirrorProgram.CaptureMode.tap, .span])
        func theKernelTakesThemOff(capture: MirrorProgram.CaptureMode) throws {
            try Mirror.with(Self.program(capture), .init(mtu: 9000), ready: false) { mirror in
                // The dataplane follows addresses and neighbours as they come.
                try Self.enable(mirror.lab)
                try mirror.waitUntilReady()
                let status = try #require(try mirror.status().destinations.first)
                #expect(status.source == IPAddress(Self.hostAddress))
                let lengths = [64, 65, 127, 1500, 1514, 4025, 4026, 4027, 8121, 8122, 8123, 9013, 9014]
                let streams = [
                    try Mirror.stream(1, content: .udp4, lengths: lengths.filter { $0 >= 72 }, flows: 5),
                    try Mirror.stream(2, content: .raw(0x88B5), lengths: Array(20...64) + lengths),
                    try Mirror.stream(
                        3, content: .udp6, tags: [.init(vlan: 100)], lengths: lengths.filter { $0 >= 100 }),
                ]
                let copies = try FrameReceiver(in: mirror.lab.monitor, interface: Self.device, streams: streams)
                let from = capture == .tap ? mirror.lab.a : mirror.lab.feeder
                let sent = try streams.map {
                    try FrameSender($0, in: from, interface: "eth0", rate: 4_000, count: UInt64($0.lengths.count * 3))
                        .wait()
                }
                let total = sent.reduce(0) { $0 + $1.frames }
                copies.wait(seconds: 10) { $0.frames >= total }
                _ = copies.settle()
                let report = try copies.stop()
                #expect(report.missed == 0 && report.otherFrames == 0)
                for (check, sent) in zip(report.streams, sent) { check.expectWhole(sent, "stream \(check.stream.id)") }
                try mirror.ledger(offered: [Mirror.monitor: total])
            }
        }
    }
}
