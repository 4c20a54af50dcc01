// The kernel's own tunnel devices as senders toward `deliver`, and tagged TCP through 802.1Q devices: in the guest
// machine, as the rest of InGuest.swift, since this machine's kernel need not have them.

import Foundation
import Lab
import MirrorProgram
import Testing

extension InGuest {
    /// vxlan, gretap, ip6gretap, erspan and ip6erspan of both versions, geneve of the monitor send; `local0` of the host
    /// hands over every frame, byte for byte and in order. IPv6 GRE has the Destination Options header here.
    @Test func theKernelsDevicesAreDelivered() throws {
        let ends = Self.ends(limited: true)
        try TappedPair.with(.init(mtu: 1500, uplinkMTU: 1700)) { lab in
            try Promises.PromiseOuterIPv6.enable(lab)
            let monitor = lab.monitor
            for end in ends {
                guard let device = end.device else { continue }
                try monitor.ip("link add \(end.name) type \(device)", "link set \(end.name) mtu 1500 arp off up")
            }
            let directory = try TemporaryDirectory()
            defer { directory.delete() }
            let program = MirrorProgram(
                generation: 1,
                deliveries: ends.map { end in
                    // Their peer is where our tunnel would lead to.
                    .init(
                        id: end.name, peers: [end.tunnel.remote], encapsulation: end.tunnel.encapsulation,
                        tunnelID: end.tunnel.tunnelID, interface: TappedPair.localPort)
                })
            let text = String(decoding: try JSONEncoder().encode(program), as: UTF8.self)
            let dataplane = try DataplaneProcess(in: lab.host, stateDirectory: directory.path, program: text)
            defer { dataplane.terminate() }
            func ask(_ method: String) throws -> DataplaneReply {
                let line = try dataplane.request("{\"method\":\"\(method)\"}")
                return try JSONDecoder().decode(DataplaneReply.self, from: Data(line.utf8))
            }
            var last: [DeliveryStatus] = []
            let ready = poll(seconds: 60) {
                last = (try? ask("status").status?.deliveries) ?? []
                return last.count == ends.count && last.allSatisfy { $0.state == .ready }
            }
            try #require(ready, "\(last)")
            let kinds: [(FrameStream.Content, [FrameStream.Tag], [Int])] = [
                (.raw(0x88B5), [], [14, 15, 19, 20, 33, 34, 59, 60, 61, 64, 127, 1500, 1513, 1514]),
                (.udp4, [], [72, 128, 1514]), (.tcp4, [.init(vlan: 100, priority: 5)], [94, 1514]),
                (.udp6, [.init(type: 0x88A8, vlan: 7), .init(vlan: 100)], [120, 1514]),
            ]
            let streams = try ends.indices.map { end in
                try kinds.enumerated().map { index, kind in
                    try Mirror.stream(
                        UInt32(end * 10 + index + 1), content: kind.0, tags: kind.1, lengths: kind.2, flows: 3)
                }
            }
            let receiver = try FrameReceiver(in: lab.collector, interface: "eth0", streams: streams.flatMap { $0 })
            var sent: [[SendReport]] = []
            for (end, streams) in zip(ends, streams) {
                sent.append(
                    try streams.map { stream in
                        try FrameSender(
                            stream, in: monitor, interface: end.name, rate: 200,
                            count: UInt64(stream.lengths.count * 4)
                        ).wait()
                    })
            }
            let total = sent.joined().reduce(0) { $0 + $1.frames }
            receiver.wait(seconds: 20) { $0.frames >= total }
            let report = try receiver.stop()
            #expect(report.otherFrames == 0)
            for (check, sent) in zip(report.streams, sent.joined()) {
                check.expectWhole(sent, "\(ends[Int(check.stream.id) / 10].name), stream \(check.stream.id)")
            }
            let statistics = try #require(try ask("stats").stats?.deliveries)
            for (delivery, sent) in zip(statistics, sent) {
                #expect(delivery.frames == sent.reduce(0) { $0 + $1.frames }, "\(delivery)")
                #expect(delivery.drops.values.allSatisfy { $0 == 0 }, "\(delivery)")
                #expect((delivery.gaps ?? 0) == 0, "\(delivery)")
            }
            print("figure: \(total) frames of \(ends.count) tunnel devices of the kernel delivered, byte for byte")
        }
    }

    /// TCP through VLAN devices with offloads on: tagged super-frames, whose tag the kernel has taken out. The filters of
    /// the tap decide in the kernel, the tag is back in every copy, and tshark finds right checksums and sequence.
    @Test func iperf3OverAVLAN() throws {
        var program = Mirror.program()
        program.taps[0].vlanFilter = .init("99-100")
        program.taps[0].filter = .init(expression: "vlan 100 and tcp port 5201")
        try Mirror.with(program, ready: false) { mirror in
            try mirror.waitUntilReady(seconds: 60)
            let lab = mirror.lab
            let (a, b) = ("10.9.0.1", "10.9.0.2")
            for (namespace, address) in [(lab.a, a), (lab.b, b)] {
                try namespace.offloads(of: "eth0", ["tso": true, "gso": true, "tx": true])
                for vlan in [100, 101] {
                    try namespace.ip(
                        "link add link eth0 name vlan\(vlan) type vlan id \(vlan)", "link set vlan\(vlan) up")
                }
                try namespace.ip("address add \(address)/24 dev vlan100")
            }
            let server = try lab.b.start(["iperf3", "--server", "--port", "5201"])
            defer { server.terminate() }
            let bytes = 2_000_000
            let capture = "\(mirror.directory.path)/vlan.pcap"
            let copies = try FrameReceiver(
                in: lab.monitor, interface: TappedPair.underlay, pcap: URL(fileURLWithPath: capture))
            let before = try lab.host.counters(of: TappedPair.tappedPort)
            let repeated = try Promises.PromiseWireForm.retransmitted(lab)
            let client = try lab.a.start([
                "iperf3", "--port", "5201", "--bytes", "\(bytes)", "--bitrate", "20M", "--length", "128K", "--client",
                b,
            ])
            try #require(client.wait(seconds: 60) == 0, "\(client.standardOutput) \(client.standardError)")
            #expect(copies.settle(quiet: 1).missed == 0)
            let ledger = try #require(try mirror.ledger().destinations.first)
            #expect(ledger.drops.values.allSatisfy { $0 == 0 }, "\(ledger)")
            try copies.stop()
            let carried = try lab.host.counters(of: TappedPair.tappedPort) - before
            #expect(
                carried.receivedFrames + carried.sentFrames < ledger.frames * 2 / 3,
                "the originals were super-frames: \(carried), \(ledger)")
            let again = try Promises.PromiseWireForm.retransmitted(lab) - repeated
            let found = try Decoders.judge(
                "stream.py", [capture, "5201", "\(bytes)", "\(again)"], as: Promises.PromiseWireForm.StreamReport.self)
            #expect(found.faults.isEmpty, "\(found.faults.joined(separator: ", "))")
            // 50 bytes of VXLAN around what the wire takes, with its tag; every copy has one.
            #expect(found.longest == 1518 + 50, "\(found)")
            #expect(found.tagged == found.frames && found.streams == 2, "\(found)")
            print(
                "figure: iperf3 over a VLAN: tshark finds \(found.frames) copies, tagged, with right checksums and sequence"
            )
        }
    }
}
