// Promise: a copy is the original, byte for byte, at the kernel's own vxlan device and at a port of the same host:
// frames of 14 to 9,014 bytes, tagged or not, IPv4, IPv6 and neither, both directions, two destinations at once,
// `tap`, `xdp` and `span`.

import Lab
import MirrorProgram
import Synchronization
import Testing

extension Promises {
    @Suite struct PromiseIdentical {
        private static let sizes = [
            64, 65, 68, 127, 128, 255, 256, 511, 512, 594, 1023, 1024, 1279, 1280, 1500, 1513, 1514, 1515, 1518, 1519,
            2047, 2048, 2049, 3583, 3584, 3840, 4082, 4095, 4096, 4097, 4110, 6000, 8191, 8192, 8193, 9000, 9013, 9014,
        ]

        /// Every kind of frame, once in each direction. Tagged frames under 20 bytes are dropped by the kernel itself.
        private static func streams(fromB: Bool) throws -> [FrameStream] {
            let first: UInt32 = fromB ? 100 : 1
            typealias Tag = FrameStream.Tag
            let kinds: [(FrameStream.Content, [Tag], [Int])] = [
                (.raw(0x88B5), [], Array(14...68) + sizes), (.raw(0x88B5), [Tag(vlan: 9)], Array(20...72) + sizes),
                (.udp4, [], [70, 71] + sizes.filter { $0 >= 72 }), (.tcp4, [], sizes.filter { $0 >= 90 }),
                (.udp6, [], [90, 91] + sizes.filter { $0 >= 92 }),
                (.udp4, [Tag(vlan: 100, priority: 5)], sizes.filter { $0 >= 90 } + [9018]),
                (.udp6, [Tag(vlan: 100)], sizes.filter { $0 >= 100 } + [9018]),
                (.udp4, [Tag(type: 0x88A8, vlan: 7), Tag(vlan: 100)], sizes.filter { $0 >= 90 }),
            ]
            return try kinds.enumerated().map { index, kind in
                try Mirror.stream(
                    first + UInt32(index), fromB: fromB, content: kind.0, tags: kind.1, lengths: kind.2, flows: 5)
            }
        }

        private func send(
            _ streams: [FrameStream], from namespace: Namespace, _ rate: Double = 12_000
        ) throws -> [SendReport] {
            try streams.map { stream in
                let count = UInt64(stream.lengths.count * 3)
                return try FrameSender(stream, in: namespace, interface: "eth0", rate: rate, count: count).wait()
            }
        }

        @Test(arguments: [MirrorProgram.Direction.out, .in, .both], [MirrorProgram.CaptureMode.tap, .xdp])
        func tap(direction: MirrorProgram.Direction, capture: MirrorProgram.CaptureMode) throws {
            try tapped(Mirror.program(direction, capture: capture, to: Self.everywhere), direction)
        }

        /// The same through a packet socket, and beside the kernel's way for super-frames.
        @Test(arguments: [MirrorProgram.UplinkKind.udp, .device, .live], [MirrorProgram.CaptureMode.tap, .xdp])
        func uplink(kind: MirrorProgram.UplinkKind, capture: MirrorProgram.CaptureMode) throws {
            var program = Mirror.program(.both, capture: capture, to: Self.everywhere)
            program.uplinks = [.init(interface: TappedPair.uplink, kind: kind)]
            try tapped(program, .both)
        }

        private static let everywhere = [Mirror.monitor, Mirror.second, Mirror.local]

        private func tapped(_ program: MirrorProgram, _ direction: MirrorProgram.Direction) throws {
            let destinations = Self.everywhere
            let kind = program.uplinks.first?.kind ?? .afXDP
            try Mirror.with(program, .init(mtu: 9000)) { mirror in
                if kind == .live { try mirror.takeXDPFrames() }
                #expect(try mirror.uplinkKinds().contains(kind))
                #expect(try mirror.status().uplinks.allSatisfy { $0.refused ?? 0 == 0 })
                let (forth, back) = (try Self.streams(fromB: false), try Self.streams(fromB: true))
                let receivers = try destinations.map { try mirror.receiver($0, forth + back) }
                let atB = try FrameReceiver(in: mirror.lab.b, interface: "eth0", streams: forth)
                let rate = kind == .live ? 200_000.0 : 12_000
                let sent = try send(forth, from: mirror.lab.a, rate) + send(back, from: mirror.lab.b, rate)
                let wanted = zip(
                    forth.indices.map { _ in direction != .in } + back.indices.map { _ in direction != .out }, sent)
                let copies = wanted.reduce(0) { $0 + ($1.0 ? $1.1.frames : 0) }
                for (receiver, destination) in zip(receivers, destinations) {
                    receiver.wait(seconds: 10) { $0.frames >= copies }
                    _ = receiver.settle()
                    let report = try receiver.stop()
                    #expect(report.missed == 0)
                    #expect(report.otherFrames == 0, "\(destination) received frames that nobody sent")
                    for (check, (isWanted, sent)) in zip(report.streams, wanted) {
                        let what = "\(destination), stream \(check.stream.id)"
                        if isWanted {
                            check.expectWhole(sent, what)
                        } else {
                            #expect(check.frames == 0, "\(what) not asked for")
                        }
                    }
                }
                for (check, sent) in zip(try atB.stop().streams, sent) {
                    check.expectWhole(sent, "original \(check.stream.id)")
                }
                try mirror.ledger(offered: Dictionary(uniqueKeysWithValues: destinations.map { ($0, copies) }))
                if kind == .live {
                    let uplink = try #require(try mirror.status().uplinks.first { $0.interface == TappedPair.uplink })
                    #expect(uplink.refused == 0 && (uplink.xdpFrames ?? 0) > 0, "\(uplink)")
                }
            }
        }

        /// Padding behind an IP packet belongs to the frame. A bridge leaves it there; br_netfilter, where it is on
        /// (bridge-nf-call-iptables), trims it between the two hooks of a tapped port, as a router would. Either way a
        /// copy is what passes the port.
        @Test(arguments: [false, true]) func padding(brNetfilter: Bool) throws {
            try Mirror.with(Mirror.program()) { mirror in
                let lab = mirror.lab
                for name in ["iptables", "ip6tables"] {
                    try lab.host.configure("net/bridge/bridge-nf-call-\(name)", brNetfilter ? "1" : "0")
                }
                let frames = [false, true].flatMap { fromB in
                    [FrameStream.Content.udp4, .udp6].map { content in
                        (fromB: fromB, bytes: Self.padded(fromB: fromB, content))
                    }
                }
                let seen = Mutex<[String: [[UInt8]]]>([:])
                let places = [("copies", lab.monitor, TappedPair.vxlan), ("a", lab.a, "eth0"), ("b", lab.b, "eth0")]
                let receivers = try places.map { name, namespace, interface in
                    try FrameReceiver(in: namespace, interface: interface) { frame in
                        let bytes = Array(frame.bytes)
                        seen.withLock { $0[name, default: []].append(bytes) }
                    }
                }
                for (fromB, bytes) in frames {
                    try PacketSocket(in: fromB ? lab.b : lab.a, interface: "eth0").send(bytes)
                }
                receivers[0].wait(seconds: 5) { $0.frames >= 4 }
                for receiver in receivers {
                    _ = receiver.settle()
                    try receiver.stop()
                }
                let arrived = seen.withLock { $0 }
                let whole = frames.map(\.bytes), trimmed = whole.map { Array($0.dropLast(Self.paddingLength)) }
                let behindBridge = brNetfilter ? trimmed : whole
                #expect(arrived["b"] == Array(behindBridge[..<2]))
                #expect(arrived["a"] == Array(behindBridge[2...]))
                #expect(arrived["copies"] == Array(whole[..<2] + behindBridge[2...]))
            }
        }

        private static let paddingLength = 18

        private static func padded(fromB: Bool, _ content: FrameStream.Content) -> [UInt8] {
            var bytes = [UInt8](repeating: 0, count: 100)
            let (a, b) = (TappedPair.macOfA, TappedPair.macOfB)
            let stream = try? FrameStream(
                id: fromB ? 2 : 1, from: fromB ? b : a, to: fromB ? a : b, content: content, lengths: [100])
            bytes.withUnsafeMutableBytes { _ = stream?.write(0, time: 1, to: $0) }
            return bytes + [UInt8](repeating: 0xEE, count: paddingLength)
        }

        /// One destination: the header goes into the received chunk's own headroom. Two: a copy each.
        @Test(
            arguments: [[Mirror.monitor], [Mirror.monitor, Mirror.second], [Mirror.monitor, Mirror.local]],
            [
                (mtu: 1500, kind: MirrorProgram.UplinkKind.auto), (3400, .auto), (3400, .udp), (1500, .device),
                (3400, .live),
            ])
        func span(destinations: [String], way: (mtu: Int, kind: MirrorProgram.UplinkKind)) throws {
            let (mtu, kind) = way
            var program = Mirror.program(.in, capture: .span, to: destinations)
            if kind != .auto { program.uplinks = [.init(interface: TappedPair.uplink, kind: kind)] }
            try Mirror.with(program, .init(mtu: mtu)) { mirror in
                if kind == .live { try mirror.takeXDPFrames() }
                #expect(try mirror.uplinkKinds().contains(kind == .auto ? .afXDP : kind))
                let longest = mtu + 14
                let streams = try Self.streams(fromB: false).map { stream in
                    try Mirror.stream(
                        stream.id, content: stream.content, tags: stream.tags,
                        lengths: stream.lengths.filter { $0 <= longest }, flows: 5)
                }
                let receivers = try destinations.map { try mirror.receiver($0, streams) }
                let sent = try send(streams, from: mirror.lab.feeder, kind == .live ? 200_000 : 12_000)
                let copies = sent.reduce(0) { $0 + $1.frames }
                for (receiver, destination) in zip(receivers, destinations) {
                    receiver.wait(seconds: 10) { $0.frames >= copies }
                    _ = receiver.settle()
                    let report = try receiver.stop()
                    #expect(report.missed == 0)
                    #expect(report.otherFrames == 0, "\(destination) received frames that nobody sent")
                    for (check, sent) in zip(report.streams, sent) {
                        check.expectWhole(sent, "\(destination), stream \(check.stream.id)")
                    }
                }
                try mirror.ledger(offered: Dictionary(uniqueKeysWithValues: destinations.map { ($0, copies) }))
            }
        }

        /// The copies of a switch are for anybody's address: without promiscuity a NIC, unlike a veth, drops them.
        @Test func spanIsPromiscuousWhileItIsCaptured() throws {
            try Mirror.with(Mirror.program(.in, capture: .span)) { mirror in
                let details = { try mirror.lab.host.command("ip", "-d", "link", "show", TappedPair.spanPort) }
                #expect(try details().contains("promiscuity 1"))
                let port = try mirror.status().ports[0]
                #expect(port.obtained == .span && port.hook == "xdp-native" && port.zeroCopy == false)
                #expect(port.queues == 1 && port.mtuLimit == nil && port.changes == ["rxvlan off", "promisc on"])
                try mirror.apply(MirrorProgram(generation: 2))
                #expect(try poll(seconds: 5) { try details().contains("promiscuity 0") })
            }
        }

        /// A span port of jumbo frames: frames longer than a UMEM chunk come in several descriptors.
        @Test func spanOfJumboFrames() throws {
            try Mirror.with(Mirror.program(.in, capture: .span), .init(mtu: 9000)) { mirror in
                let stream = try Mirror.stream(1, lengths: Self.sizes.filter { $0 >= 90 })
                let receiver = try mirror.receiver(Mirror.monitor, [stream])
                let sent = try send([stream], from: mirror.lab.feeder)[0]
                receiver.wait(seconds: 5) { $0.frames >= sent.frames }
                _ = receiver.settle()
                try receiver.stop().streams[0].expectWhole(sent, "jumbo frames")
                try mirror.ledger(offered: [Mirror.monitor: sent.frames])
            }
        }
    }
}
