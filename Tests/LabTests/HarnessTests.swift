// The harness proves itself before it judges anything: planted faults are caught, and its counts are the kernel's.

import Foundation
import Lab
import Testing

/// Two namespaces with a veth between them.
private final class Wire {
    let left: Namespace
    let right: Namespace

    init(mtu: Int = 1500) throws {
        left = try Namespace("left")
        right = try Namespace("right")
        try left.ip(
            "link add eth0 type veth peer name eth0 netns \(right.name)", "link set eth0 mtu \(mtu) up")
        try right.ip("link set eth0 mtu \(mtu) up")
        try right.receiveOnOneCPU("eth0")
    }

    deinit {
        left.delete()
        right.delete()
    }
}

private let (left, right) = (MAC(0x0200_0000_0001), MAC(0x0200_0000_0002))

private func frames(_ stream: FrameStream, _ sequences: [UInt64]) -> [[UInt8]] {
    sequences.map { sequence in
        var frame = [UInt8](repeating: 0, count: stream.length(sequence))
        frame.withUnsafeMutableBytes { _ = stream.write(sequence, time: 1_700_000_000_000_000_000, to: $0) }
        return frame
    }
}

@Suite(.serialized, .onNamespaces, .oneLabAtATime) struct HarnessTests {
    @Test func plantedFaultsAreCaught() throws {
        let wire = try Wire()
        let stream = try FrameStream(id: 7, from: left, to: right, lengths: [128])
        let receiver = try FrameReceiver(in: wire.right, interface: "eth0", streams: [stream])
        let socket = try PacketSocket(in: wire.left, interface: "eth0")
        // 3 is lost, 5 comes twice, 8 comes before 7, one byte of 9 is wrong, and a stranger passes.
        var sent = frames(stream, [0, 1, 2, 4, 5, 5, 6, 8, 7, 9, 10])
        sent[9][100] ^= 1
        sent.append(frames(try FrameStream(id: 8, from: left, to: right, lengths: [90]), [0])[0])
        for frame in sent { try socket.send(frame) }
        #expect(receiver.wait(seconds: 5) { $0.frames == 12 })
        let report = try receiver.stop()
        let check = report.streams[0]
        #expect(check.frames == 11)
        #expect(check.gaps == 1)
        #expect(check.duplicates == 1)
        #expect(check.reordered == 1)
        #expect(check.differing == 1)
        #expect(check.firstDifference?.contains("frame 9") == true)
        #expect(!check.contains(3))
        #expect(report.otherFrames == 1)
        #expect(report.otherBytes == 90)
        var honest = SendReport()
        honest.nextSequence = 11
        #expect(check.lost(of: honest) == 1)
        honest.refused = [3]
        #expect(check.lost(of: honest) == 0)
    }

    @Test func aCorruptLabelIsALossAndAStranger() throws {
        let wire = try Wire()
        let stream = try FrameStream(id: 7, from: left, to: right, lengths: [128])
        let receiver = try FrameReceiver(in: wire.right, interface: "eth0", streams: [stream])
        let socket = try PacketSocket(in: wire.left, interface: "eth0")
        var sent = frames(stream, [0, 1, 2])
        sent[1][42 + 15] ^= 0x80
        for frame in sent { try socket.send(frame) }
        #expect(receiver.wait(seconds: 5) { $0.frames == 3 })
        let report = try receiver.stop()
        #expect(report.streams[0].gaps == 1)
        #expect(report.otherFrames == 1)
    }

    @Test(arguments: [false, true])
    func countsAreTheKernels(moving: Bool) throws {
        let wire = try Wire(mtu: 9018)
        let stream = try FrameStream(
            id: 1, from: left, to: right, lengths: [70, 71, 128, 594, 1514, 4096, 9014], flows: 16)
        let receiver = try FrameReceiver(in: wire.right, interface: "eth0", streams: [stream])
        let before = (try wire.left.counters(of: "eth0"), try wire.right.counters(of: "eth0"))
        let sender = try FrameSender(
            stream, in: wire.left, interface: "eth0", rate: 10_000, count: 5_000, moveEvery: moving ? 100 : nil)
        let sent = try sender.wait()
        #expect(receiver.wait(seconds: 5) { $0.frames >= sent.frames })
        let report = try receiver.stop()
        let left = try wire.left.counters(of: "eth0") - before.0
        let right = try wire.right.counters(of: "eth0") - before.1
        #expect(sent.frames == 5_000)
        #expect((7_000...13_000).contains(sent.rate))
        #expect(left.sentFrames == sent.frames)
        #expect(left.sentBytes == sent.bytes)
        #expect(right.receivedFrames == sent.frames)
        let check = report.streams[0]
        #expect(report.missed == 0)
        #expect(check.distinct == sent.frames)
        #expect(check.bytes == sent.bytes)
        #expect(check.lost(of: sent) == 0)
        #expect(check.duplicates + check.reordered + check.differing + report.otherFrames == 0)
        if moving { #expect(sent.moves == 50) }
    }

    /// Every kind of frame arrives as it was sent, tags in their places; the kernel drops tagged frames under 20 bytes.
    @Test func everyKindOfFrameIsItsOwnWitness() throws {
        let wire = try Wire(mtu: 9018)
        typealias Tag = FrameStream.Tag
        let streams = [
            try FrameStream(id: 1, from: left, to: right, content: .raw(0x88B5), lengths: Array(14...80)),
            try FrameStream(id: 2, from: left, to: right, content: .udp4, lengths: [70, 1514]),
            try FrameStream(id: 3, from: left, to: right, content: .tcp4, lengths: [90, 1514], flows: 3),
            try FrameStream(id: 4, from: left, to: right, content: .udp6, lengths: [100, 1514]),
            try FrameStream(id: 5, from: left, to: right, tags: [Tag(vlan: 100, priority: 5)], lengths: [80, 1518]),
            try FrameStream(
                id: 6, from: left, to: right, tags: [Tag(type: 0x88A8, vlan: 7), Tag(vlan: 100)], lengths: [90, 1500]),
            try FrameStream(
                id: 9, from: left, to: right, content: .raw(0x88B5), tags: [Tag(vlan: 3)], lengths: [20, 60]),
        ]
        let receiver = try FrameReceiver(in: wire.right, interface: "eth0", streams: streams)
        for (index, stream) in streams.enumerated() {
            let sent = try FrameSender(stream, in: wire.left, interface: "eth0", rate: 5_000, count: 200).wait()
            #expect(receiver.wait(seconds: 5) { $0.streams[index].frames >= sent.frames }, "stream \(stream.id)")
            let check = receiver.report.streams[index]
            #expect(check.lost(of: sent) == 0, "stream \(stream.id)")
            #expect(check.differing == 0, "\(check.firstDifference ?? "")")
            #expect(check.bytes == sent.bytes)
        }
        #expect(try receiver.stop().otherFrames == 0)
    }

    /// The independent decapsulator works without Heliostat: a VXLAN frame made by hand arrives behind it, byte for
    /// byte.
    @Test func theKernelTakesOffAHandMadeVXLANHeader() throws {
        try TappedPair.with { lab in
            let stream = try FrameStream(id: 2, from: TappedPair.macOfA, to: TappedPair.macOfB, lengths: [60 + 40])
            let receiver = try FrameReceiver(in: lab.monitor, interface: TappedPair.vxlan, streams: [stream])
            let inner = frames(stream, [0])[0]
            var outer: [UInt8] = [0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 9]
            outer[3] = UInt8(20 + 8 + 8 + inner.count)
            // RFC 1071 over the ten words, written here once more: the harness's own function is not its witness.
            var sum = stride(from: 0, to: 20, by: 2).reduce(0) { $0 + Int(outer[$1]) << 8 + Int(outer[$1 + 1]) }
            sum = sum & 0xFFFF + sum >> 16
            (outer[10], outer[11]) = (UInt8(~sum >> 8 & 0xFF), UInt8(~sum & 0xFF))
            outer += [0xC0, 0x00, 0x12, 0xB5, 0, UInt8(16 + inner.count), 0, 0]
            outer += [0x08, 0, 0, 0, 0x00, 0x13, 0x89, 0]
            let before = try lab.monitor.counters(of: TappedPair.vxlan)
            let address = try lab.monitor.macAddress(of: TappedPair.underlay)
            let header = address.octets + [2, 0, 0, 0, 0, 1, 0x08, 0x00]
            try PacketSocket(in: lab.host, interface: TappedPair.uplink).send(header + outer + inner)
            #expect(receiver.wait(seconds: 5) { $0.frames == 1 })
            let report = try receiver.stop()
            #expect(report.streams[0].frames == 1)
            #expect(report.streams[0].differing == 0)
            #expect(report.otherFrames == 0)
            let count = try lab.monitor.counters(of: TappedPair.vxlan) - before
            #expect(count.receivedFrames == 1)
            // The device counts behind the Ethernet header.
            #expect(count.receivedBytes == UInt64(inner.count) - 14)
        }
    }

    /// The judge of TCP streams accepts a wire's stream and sees super-frames and checksums left to hardware for what
    /// they are.
    @Test(arguments: [false, true]) func tcpWitnessKnowsWireFrames(offloads: Bool) throws {
        let wire = try Wire()
        try wire.left.ip("address add 10.0.0.1/24 dev eth0")
        try wire.right.ip("address add 10.0.0.2/24 dev eth0")
        for namespace in [wire.left, wire.right] {
            try namespace.offloads(of: "eth0", ["tso": offloads, "gso": offloads, "tx": offloads])
        }
        let witness = TCPWitness(longest: 1514)
        let receiver = try FrameReceiver(in: wire.right, interface: "eth0") { witness.take($0) }
        let arrived = try TCPTransfer.run(
            from: wire.left, to: wire.right, address: "10.0.0.2", bytes: 2_000_000, rate: 50e6)
        #expect(arrived == 2_000_000)
        _ = receiver.settle()
        try receiver.stop()
        let report = witness.report
        let stream = report.streams.first { $0.key.destinationPort == 5001 }?.value
        #expect(report.frames > 20)
        if offloads {
            #expect(report.malformed > 0)
            #expect(report.largest > 1514)
        } else {
            #expect(report.malformed == 0, "\(report.firstFault ?? "")")
            #expect(stream?.isComplete == true)
            // SYN, the bytes, FIN.
            #expect(stream?.length == 2_000_002)
        }
    }

    /// What is left over when a process is killed goes with the next lab's start.
    @Test func leftoversOfTheDeadAreSwept() throws {
        let dead = try ChildProcess(["true"])
        dead.wait(seconds: 5)
        let name = "hs-lab-\(dead.pid)-1-left"
        try ChildProcess.run(["ip", "netns", "add", name])
        Namespace.sweep()
        #expect(!FileManager.default.fileExists(atPath: "/run/netns/\(name)"))
    }
}
