// Promise: what arrives at a monitor is as on the wire, whatever the sender left to its hardware. iperf3's TCP judged by
// tshark; super-frames of TCP and UDP, tagged and not, compared with what the kernel's own segmentation makes of them.

import Foundation
import Lab
import MirrorProgram
import Testing

extension Promises {
    @Suite(.withDecoders) struct PromiseWireForm {
        private static let addressOfA = "2001:db8:1::1", addressOfB = "2001:db8:1::2"

        /// TCP over both IP versions and both ways, with the source's offloads on; the uplink's off, then on. Over a VLAN:
        /// InGuest/iperf3OverAVLAN, where the kernel has 802.1Q devices; `superFrames` has tagged ones here.
        @Test(arguments: [false, true]) func iperf3(uplinkOffloads: Bool) throws {
            try Mirror.with(Mirror.program()) { mirror in
                let lab = mirror.lab
                let all = try mirror.receiver(Mirror.monitor, [])
                for (namespace, address) in [(lab.a, Self.addressOfA), (lab.b, Self.addressOfB)] {
                    try namespace.configure("net/ipv6/conf/eth0/disable_ipv6", "0")
                    try namespace.ip("address add \(address)/64 dev eth0 nodad")
                    // Flow labels, other ones each way, on what is sent from here (RFC 6437).
                    try namespace.configure("net/ipv6/auto_flowlabels", "1")
                    try namespace.offloads(of: "eth0", ["tso": true, "gso": true, "tx": true])
                }
                if uplinkOffloads {
                    try lab.host.offloads(of: TappedPair.uplink, ["tso": true, "gso": true, "tx": true])
                }
                let server = try lab.b.start(["iperf3", "--server", "--port", "5201"])
                defer { server.terminate() }
                for (name, words) in [
                    ("IPv4", ["--client", TappedPair.addressOfB]), ("IPv6", ["--client", Self.addressOfB]),
                    ("IPv6, back", ["--client", Self.addressOfB, "--reverse"]),
                ] {
                    try stream(mirror, name, words, uplinkOffloads)
                }
                let ledger = try #require(try mirror.ledger().destinations.first)
                #expect(ledger.drops.values.allSatisfy { $0 == 0 }, "\(ledger)")
                // Neighbour discovery may fall between the two looks: then they look again.
                let isExact = try poll(seconds: 5, every: 0.1) {
                    let arrived = all.settle()
                    return try arrived.missed == 0 && arrived.frames == mirror.ledger().destinations[0].frames
                }
                try all.stop()
                #expect(isExact, "\(all.count) arrived; \(ledger)")
                // The originals really were super-frames: the port carried far fewer frames than the monitor got.
                let carried = try lab.host.counters(of: TappedPair.tappedPort)
                #expect(carried.receivedFrames + carried.sentFrames < ledger.frames * 2 / 3, "\(carried) \(ledger)")
            }
        }

        /// One run of iperf3, and tshark's word on what arrived of it.
        private func stream(_ mirror: Mirror, _ name: String, _ words: [String], _ uplinkOffloads: Bool) throws {
            let bytes = 8_000_000
            let capture = "\(mirror.directory.path)/iperf3.pcap"
            let before = try mirror.ledger().destinations[0].frames
            let again = try Self.retransmitted(mirror.lab)
            let copies = try FrameReceiver(
                in: mirror.lab.monitor, interface: TappedPair.underlay, pcap: URL(fileURLWithPath: capture))
            let command =
                ["iperf3", "--port", "5201", "--bytes", "\(bytes)", "--bitrate", "100M", "--length", "128K"] + words
            let client = try mirror.lab.a.start(command)
            try #require(client.wait(seconds: 20) == 0, "\(client.standardOutput) \(client.standardError)")
            #expect(copies.settle().missed == 0)
            let handed = try mirror.ledger().destinations[0].frames - before
            let arrived = try copies.stop().frames
            // Neighbour discovery may fall between the two looks.
            #expect(
                arrived + 20 > handed && arrived < handed + 50, "\(handed) handed to the uplink, \(arrived) arrived")
            let port = words.contains("--reverse") ? try Self.clientPort(capture) : 5201
            let repeated = try Self.retransmitted(mirror.lab) - again
            let found = try Decoders.judge(
                "stream.py", [capture, "\(port)", "\(bytes)", "\(repeated)"], as: StreamReport.self)
            #expect(found.faults.isEmpty, "\(name): \(found.faults.joined(separator: ", "))")
            // 50 bytes of VXLAN around what the wire takes.
            #expect(found.longest <= 1514 + 50, "\(name): \(found)")
            #expect(found.streams == 2, "\(name): \(found)")
            if name != "IPv4" { #expect(found.labels >= 2, "\(name): flow labels: \(found)") }
            print("figure: iperf3 over \(name), uplink offloads \(uplinkOffloads ? "on" : "off"): tshark finds")
            print("figure: \(found.frames) copies with right checksums and sequence")
        }

        /// TCP segments that the kernels of both ends have sent a second time.
        static func retransmitted(_ lab: TappedPair) throws -> Int {
            try [lab.a, lab.b].reduce(0) { sum, namespace in
                let rows = try namespace.command("grep", "^Tcp:", "/proc/net/snmp").split(separator: "\n")
                let (names, values) = (rows[0].split(separator: " "), rows[1].split(separator: " "))
                return sum + (names.firstIndex(of: "RetransSegs").flatMap { Int(values[$0]) } ?? 0)
            }
        }

        /// The client's port of the connection with the data, as tshark sees it.
        private static func clientPort(_ capture: String) throws -> Int {
            let words = [
                "tshark", "-r", capture, "-T", "fields", "-e", "tcp.dstport", "-Y", "tcp.len > 1000", "-c", "4000",
            ]
            let ports = try ChildProcess.run(words).split(separator: "\n").compactMap { Int($0) }
            return try #require(ports.last)
        }

        struct StreamReport: Decodable {
            var frames, bytes, streams, longest, labels, tagged: Int
            var faults: [String]
        }

        /// TSO and USO over both IP versions, in VLAN and QinQ, with congestion marks and sequence numbers that wrap:
        /// the copies are what the kernel itself makes of them where they leave for `b`, or for `a`.
        @Test(arguments: [MirrorProgram.Direction.out, .in]) func superFrames(direction: MirrorProgram.Direction) throws
        {
            let program = Mirror.program(direction)
            try Mirror.with(program) { mirror in
                let lab = mirror.lab
                let place = mirror.directory.path
                let isOut = direction == .out
                let (from, to) = isOut ? (lab.a, lab.b) : (lab.b, lab.a)
                // The last device before the receiver segments by itself; nothing on the way there does.
                let last = isOut ? TappedPair.otherPort : TappedPair.tappedPort
                try lab.host.offloads(
                    of: last, ["tso": false, "gso": false, "tx": false, "tx-udp-segmentation": false])
                try to.offloads(of: "eth0", ["gro": false])
                try to.receiveOnOneCPU("eth0")
                let devices = [(lab.monitor, TappedPair.underlay), (lab.monitor, TappedPair.vxlan), (to, "eth0")]
                let receivers = try devices.enumerated().map { index, device in
                    try FrameReceiver(
                        in: device.0, interface: device.1, pcap: URL(fileURLWithPath: "\(place)/\(index).pcap"))
                }
                let began = UInt64(Date().timeIntervalSince1970 * 1e9)
                try Decoders.run("traffic.py", ["supers", "eth0", isOut ? "0" : "1"], in: from)
                for receiver in receivers { #expect(receiver.settle().missed == 0) }
                let originals = try receivers.map { try $0.stop() }[2].frames
                let ledger = try #require(try mirror.ledger(offered: [Mirror.monitor: originals]).destinations.first)
                #expect(ledger.frames == originals, "\(ledger)")
                let sent = ["OUT": "\(place)/\(isOut ? 2 : 3).pcap", "IN": "\(place)/\(isOut ? 3 : 2).pcap"]
                try PcapFile.empty(at: URL(fileURLWithPath: "\(place)/3.pcap"))
                let report = try Decoders.check(
                    .init(
                        program: try Decoders.write(program, place), capture: "\(place)/0.pcap", originals: sent,
                        kernel: [.init(name: "vxlan0", capture: "\(place)/1.pcap", directions: [direction])],
                        sources: ["4": TappedPair.hostAddress], began: began,
                        ended: UInt64(Date().timeIntervalSince1970 * 1e9)), in: mirror.directory)
                #expect(report.faults.isEmpty, "\(report.faults.joined(separator: "\n"))")
                #expect(report.copies == Int(originals))
                print("figure: \(originals) segments of super-frames, \(direction.rawValue): each as the kernel's own")
            }
        }
    }
}
