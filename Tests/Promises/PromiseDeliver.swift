// Promise: what the kernel's own vxlan device sends is delivered byte for byte, super-frames whole, tags in place, while
// programs change and after a kill; and nothing else is touched.

import Foundation
import Glibc
import Lab
import MirrorProgram
import Synchronization
import Testing

extension Promises {
    @Suite struct PromiseDeliver {
        /// What the monitor's vxlan0 sends is for `local0`.
        private static func delivery(_ lab: TappedPair) -> MirrorProgram.Delivery {
            .init(
                id: "far", peers: [.init(TappedPair.monitorAddress)!], local: .init(TappedPair.hostAddress)!,
                tunnelID: lab.options.vni, interface: TappedPair.localPort)
        }

        private static func with(
            _ options: TappedPair.Options = .init(), supervised: Bool = false,
            _ body: (TappedPair, DataplaneProcess) throws -> Void
        ) throws {
            try TappedPair.with(options) { lab in
                let directory = try TemporaryDirectory()
                defer { directory.delete() }
                let dataplane = try DataplaneProcess(
                    in: lab.host, stateDirectory: directory.path, supervised: supervised)
                defer { dataplane.terminate() }
                try apply(MirrorProgram(generation: 1, deliveries: [delivery(lab)]), to: dataplane)
                try body(lab, dataplane)
            }
        }

        private static func ask(_ request: DataplaneRequest, _ dataplane: DataplaneProcess) throws -> DataplaneReply {
            let line = String(decoding: try JSONEncoder().encode(request), as: UTF8.self)
            let reply = try JSONDecoder().decode(DataplaneReply.self, from: Data(try dataplane.request(line).utf8))
            if let error = reply.error { throw LabError("the dataplane refused: \(error)") }
            return reply
        }

        private static func apply(_ program: MirrorProgram, to dataplane: DataplaneProcess) throws {
            let status = try #require(try ask(.apply(program), dataplane).status)
            #expect(status.deliveries.allSatisfy { $0.state == .ready }, "\(status.deliveries)")
        }

        private static func statistics(_ dataplane: DataplaneProcess) throws -> DeliveryStatistics {
            try #require(try ask(.stats, dataplane).stats?.deliveries.first)
        }

        /// From the shortest frame on, tagged and not: vxlan0 sends, `local0` hands over.
        @Test func theKernelsVXLANDeviceIsAPeer() throws {
            try Self.with { lab, dataplane in
                typealias Tag = FrameStream.Tag
                let streams = [
                    try Mirror.stream(1, lengths: [80, 81, 600, 1514], flows: 16),
                    try Mirror.stream(2, content: .raw(0x88B5), lengths: Array(14...70) + [1500, 1513, 1514]),
                    try Mirror.stream(
                        3, content: .tcp4, tags: [Tag(vlan: 100, priority: 5)], lengths: [90, 600, 1518]),
                    try Mirror.stream(4, content: .udp6, tags: [Tag(vlan: 4094)], lengths: [120, 1518]),
                    try Mirror.stream(
                        5, content: .udp4, tags: [Tag(type: 0x88A8, vlan: 7), Tag(vlan: 100)], lengths: [90, 1514]),
                    try Mirror.stream(6, content: .raw(0x88B5), tags: [Tag(vlan: 9)], lengths: Array(20...72)),
                    try Mirror.stream(
                        7, content: .udp4, tags: [Tag(type: 0x88A8, vlan: 7), Tag(vlan: 8), Tag(vlan: 9)],
                        lengths: [90, 600]),
                ]
                let receiver = try FrameReceiver(in: lab.collector, interface: "eth0", streams: streams)
                let sent = try streams.enumerated().map { index, stream in
                    try FrameSender(
                        stream, in: lab.monitor, interface: TappedPair.vxlan, rate: 10_000,
                        count: index == 0 ? 10_000 : 600
                    ).wait()
                }
                let report = receiver.settle()
                for (check, sent) in zip(report.streams, sent) {
                    check.expectWhole(sent, "stream \(check.stream.id)")
                }
                #expect(report.otherFrames == 0)
                let statistics = try Self.statistics(dataplane)
                #expect(statistics.frames == sent.reduce(0) { $0 + $1.frames }, "\(statistics)")
                #expect(statistics.bytes == sent.reduce(0) { $0 + $1.bytes }, "\(statistics)")
                #expect(statistics.drops.values.allSatisfy { $0 == 0 }, "\(statistics)")
                #expect(statistics.gaps == nil)
                try receiver.stop()
            }
        }

        /// A TCP connection between the monitor's vxlan0 and the collector, offloads on: super-frames cross the underlay
        /// and arrive as they are, or, where the port cannot take them, as segments with right checksums.
        @Test(arguments: [true, false]) func superFramesOfTheKernelsVXLANDevice(portTakesThem: Bool) throws {
            try Self.with { lab, dataplane in
                let words = ["tso": true, "gso": true, "tx": true]
                let tunnel = ["tx-udp_tnl-segmentation": true, "tx-udp_tnl-csum-segmentation": true]
                for name in [TappedPair.underlay, TappedPair.vxlan] {
                    try lab.monitor.offloads(of: name, words)
                }
                try lab.monitor.offloads(of: TappedPair.underlay, tunnel)
                if portTakesThem { try lab.host.offloads(of: TappedPair.localPort, words) }
                // The way back is the kernel's: a vxlan device of the host, bridged with the port.
                try lab.host.ip(
                    "link add back type vxlan id \(lab.options.vni) dstport 4789 local \(TappedPair.hostAddress)"
                        + " remote \(TappedPair.monitorAddress)",
                    "link add br1 type bridge stp_state 0 mcast_snooping 0", "link set br1 up",
                    "link set back mtu 1500 master br1 up", "link set \(TappedPair.localPort) master br1")
                try lab.monitor.ip(
                    "link set \(TappedPair.vxlan) arp on", "address add 10.9.0.1/24 dev \(TappedPair.vxlan)")
                try lab.collector.ip("address add 10.9.0.2/24 dev eth0")
                let witness = TCPWitness(longest: portTakesThem ? 65_550 : 1514)
                let datagrams = Mutex<[Int]>([])
                let segments = try FrameReceiver(in: lab.collector, interface: "eth0") { frame in
                    let (length, isUDP) = (frame.bytes.count, frame.bytes.count > 42 && frame.bytes[23] == 17)
                    if isUDP { datagrams.withLock { $0.append(length) } } else { witness.take(frame) }
                }
                let before = try Self.carried(lab)
                let bytes = 8_000_000
                let arrived = try TCPTransfer.run(
                    from: lab.monitor, to: lab.collector, address: "10.9.0.2", bytes: bytes, rate: 16e6)
                #expect(arrived == bytes)
                // Short ones, whose checksum is left to the device too: the kernel lengthens no such frame.
                try lab.monitor.command(
                    "bash", "-c", "for n in {1..14}; do printf %${n}s x >/dev/udp/10.9.0.2/9; done")
                #expect(segments.settle().missed == 0)
                #expect(datagrams.withLock { $0 } == Array(43...56))
                let statistics = try Self.statistics(dataplane)
                #expect(statistics.drops.values.allSatisfy { $0 == 0 }, "\(statistics)")
                // The underlay really carried super-frames, each of them delivered as one.
                let packets = try Self.carried(lab) - before
                #expect(packets < UInt64(bytes / 1448 / 4), "\(packets) packets on the underlay")
                #expect(statistics.frames <= packets, "\(statistics), \(packets) packets")
                let seen = witness.report
                #expect(portTakesThem ? seen.largest > 9000 : seen.malformed == 0, "\(seen)")
                if portTakesThem {
                    #expect(UInt64(seen.frames) < packets * 2)
                } else {
                    let stream = try #require(seen.streams.first { $0.key.destinationPort == 5001 }?.value)
                    #expect(stream.isComplete && stream.length.map { Int($0) >= bytes } == true, "\(stream)")
                }
                print(
                    "figure: \(bytes) bytes of TCP in \(statistics.frames) frames delivered",
                    "(largest at the port \(seen.largest))")
                try segments.stop()
            }
        }

        private static func carried(_ lab: TappedPair) throws -> UInt64 {
            try lab.host.counters(of: TappedPair.uplink).receivedFrames
        }

        /// What a virtual machine with VLANs sends: super-frames of TCP behind a tag, to a port that takes no super-frame.
        /// Each leaves as the segments that the kernel itself makes of it. (QinQ the kernel's vxlan device segments itself,
        /// and those of UDP the kernel cannot segment any more: docs/limits.md, Deliveries.)
        @Test(.withDecoders) func taggedSuperFrames() throws {
            try Self.with { lab, dataplane in
                let directory = try TemporaryDirectory()
                defer { directory.delete() }
                // The same frames on a veth of the kernel's own, which segments like the port.
                let twin = try Namespace("twin")
                defer { twin.delete() }
                try lab.monitor.ip("link add twin0 type veth peer name eth0 netns \(twin.name)", "link set twin0 up")
                try twin.ip("link set eth0 up")
                try lab.monitor.offloads(of: "twin0", ["tso": false, "gso": false, "tx": false])
                try twin.offloads(of: "eth0", ["gro": false])
                try twin.receiveOnOneCPU("eth0")
                try lab.monitor.offloads(
                    of: TappedPair.underlay,
                    ["tso": true, "gso": true, "tx": true, "tx-udp_tnl-segmentation": true])
                let files = ["twin", "port"].map { URL(fileURLWithPath: "\(directory.path)/\($0).pcap") }
                let receivers = [
                    try FrameReceiver(in: twin, interface: "eth0", pcap: files[0]),
                    try FrameReceiver(in: lab.collector, interface: "eth0", pcap: files[1]),
                ]
                let before = try Self.carried(lab)
                for device in ["twin0", TappedPair.vxlan] {
                    try Decoders.run("traffic.py", ["supers", device, "0", "tcp"], in: lab.monitor)
                }
                for receiver in receivers { #expect(receiver.settle().missed == 0) }
                let frames = try receivers.map { try $0.stop().frames }
                let packets = try Self.carried(lab) - before
                let statistics = try Self.statistics(dataplane)
                #expect(statistics.drops.values.allSatisfy { $0 == 0 }, "\(statistics)")
                #expect(statistics.frames == packets, "\(statistics), \(packets) packets")
                #expect(frames[0] > 500 && frames[0] == frames[1], "\(frames), \(statistics)")
                #expect(packets < frames[0] / 2, "\(packets) packets for \(frames[0]) segments: no super-frames")
                let difference = try Decoders.judge("same.py", files.map(\.path), as: Difference.self)
                #expect(difference.faults.isEmpty, "\(difference.faults.joined(separator: "\n"))")
                print("figure: \(frames[1]) segments of \(packets) delivered super-frames, each as the kernel's own")
            }
        }

        private struct Difference: Decodable { var faults: [String] }

        /// Super-frames of UDP (USO) the kernel could not segment any more: each is counted, none is lost without a word.
        /// What is no super-frame of UDP arrives.
        @Test(.withDecoders) func superFramesOfUDPAreCounted() throws {
            try Self.with { lab, dataplane in
                let receiver = try FrameReceiver(in: lab.collector, interface: "eth0")
                let before = try Self.carried(lab)
                try Decoders.run("traffic.py", ["supers", TappedPair.vxlan, "0"], in: lab.monitor)
                let report = receiver.settle()
                let packets = try Self.carried(lab) - before
                let statistics = try Self.statistics(dataplane)
                // 36 are of UDP; the 12 in QinQ the vxlan device has segmented itself.
                #expect(statistics.drops["failed"] == 24, "\(statistics)")
                #expect(statistics.frames == packets - 24, "\(statistics), \(packets) packets")
                // 586 segments of TCP, and 79 of the UDP in QinQ.
                #expect(report.frames == 586 + 79, "\(statistics), \(report.frames) arrived")
                try receiver.stop()
            }
        }

        /// A program that leaves a delivery as it was costs it nothing, whatever else changes.
        @Test func programsChangeUnderLoad() throws {
            try Self.with { lab, dataplane in
                let stream = try Mirror.stream(1, lengths: [128])
                let receiver = try FrameReceiver(in: lab.collector, interface: "eth0", streams: [stream])
                let sender = try FrameSender(stream, in: lab.monitor, interface: TappedPair.vxlan, rate: 20_000)
                receiver.wait(seconds: 5) { $0.frames > 1000 }
                for generation in 2...41 {
                    var program = MirrorProgram(generation: UInt64(generation), deliveries: [Self.delivery(lab)])
                    // A second one comes and goes, on the same underlay or on another.
                    if generation % 2 == 0 {
                        let peers = [TappedPair.monitorAddress, TappedPair.secondMonitorAddress]
                        program.deliveries.append(
                            .init(
                                id: "other", peers: [.init(peers[generation / 2 % 2])!], tunnelID: 9,
                                interface: TappedPair.spanPort))
                    }
                    try Self.apply(program, to: dataplane)
                }
                let sent = try sender.stop()
                receiver.settle().streams[0].expectWhole(sent, "deliveries while programs change")
                let statistics = try Self.statistics(dataplane)
                #expect(statistics.frames == sent.frames, "\(statistics)")
                print("figure: 40 programs while \(sent.frames) frames were delivered, none lost")
                try receiver.stop()
            }
        }

        /// kill -9: what else comes in through the underlay does not notice, and deliveries go on with the next life.
        @Test func killedUnderLoad() throws {
            try Self.with(supervised: true) { lab, dataplane in
                let stream = try Mirror.stream(1, lengths: [128])
                let delivered = try FrameReceiver(in: lab.collector, interface: "eth0", streams: [stream])
                let sender = try FrameSender(stream, in: lab.monitor, interface: TappedPair.vxlan, rate: 10_000)
                // Between the same hosts, for nobody's tunnel: five seconds and more.
                let pings = try lab.monitor.start(["ping", "-q", "-i", "0.002", "-c", "2500", TappedPair.hostAddress])
                #expect(delivered.wait(seconds: 5) { $0.frames > 1000 })
                for life in 1...3 {
                    let pid = try #require(try Self.ask(.status, dataplane).status).pid
                    try #require(kill(pid, SIGKILL) == 0)
                    let back = poll(seconds: 5, every: 0.01) {
                        (try? Self.ask(.status, dataplane).status?.pid).map { $0 != pid } ?? false
                    }
                    try #require(back, "no dataplane after kill \(life)")
                    let count = delivered.count
                    // More than a second of life: the supervisor holds back a dataplane that keeps dying at once.
                    try #require(
                        delivered.wait(seconds: 10) { $0.frames > count + 12_000 },
                        "nothing delivered after kill \(life)")
                }
                try sender.stop()
                #expect(pings.wait(seconds: 20) == 0)
                #expect(
                    pings.standardOutput.contains("2500 packets transmitted, 2500 received"), "\(pings.standardOutput)")
                let check = delivered.settle().streams[0]
                #expect(check.differing == 0 && check.duplicates == 0 && check.reordered == 0)
                let pauses = check.silences.map { Int(($0.upperBound - $0.lowerBound) / 1_000_000) }.filter { $0 > 30 }
                print(
                    "figure: deliveries paused for \(pauses.map(String.init).joined(separator: ", ")) ms of three kills"
                )
                try delivered.stop()
            }
        }
    }
}
