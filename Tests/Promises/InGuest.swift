// What needs kernel devices or programs that this machine may not have: the same lab inside the guest machine of
// ../shared/vm. Tests/run boots it once for the whole suite (group `guest`); outside of it the suite is skipped.

import Foundation
import Lab
import MirrorProgram
import Testing

@Suite(.serialized, .inGuest, .timeLimit(.minutes(5))) struct InGuest {
    typealias Encapsulation = MirrorProgram.Encapsulation

    /// A tunnel of ours and the kernel's device at its end.
    struct End {
        var name: String
        var tunnel: MirrorProgram.Tunnel
        /// Words of ip-link(8) behind `type`; nil for the lab's own devices.
        var device: String?
    }

    /// - Parameter limited: IPv6 GRE with a Destination Options header (RFC 2473), as the kernel sends it when not asked.
    static func ends(limited: Bool = false) -> [End] {
        let (here, there) = (TappedPair.monitorAddress, TappedPair.hostAddress)
        let (here6, there6) = (Promises.PromiseOuterIPv6.monitorAddress, Promises.PromiseOuterIPv6.hostAddress)
        func tunnel(_ remote: String, _ kind: Encapsulation, _ id: UInt32) -> MirrorProgram.Tunnel {
            .init(remote: .init(remote)!, encapsulation: kind, tunnelID: id)
        }
        let (v4, v6) = (
            "local \(here) remote \(there)", "local \(here6) remote \(there6)\(limited ? "" : " encaplimit none")"
        )
        return [
            End(name: TappedPair.vxlan, tunnel: tunnel(here, .vxlan, 5001)),
            End(name: Promises.PromiseOuterIPv6.device, tunnel: tunnel(here6, .vxlan, 5003)),
            End(name: "gre4", tunnel: tunnel(here, .gre, 201), device: "gretap \(v4) key 201"),
            End(name: "gre6", tunnel: tunnel(here6, .gre, 202), device: "ip6gretap \(v6) key 202"),
            End(
                name: "ii4", tunnel: tunnel(here, .erspan2, 203),
                device: "erspan \(v4) seq key 203 erspan_ver 1 erspan 1"),
            End(
                name: "iii4", tunnel: tunnel(here, .erspan3, 204),
                device: "erspan \(v4) seq key 204 erspan_ver 2 erspan_dir ingress erspan_hwid 1"),
            End(
                name: "ii6", tunnel: tunnel(here6, .erspan2, 205),
                device: "ip6erspan \(v6) seq key 205 erspan_ver 1 erspan 1"),
            End(
                name: "iii6", tunnel: tunnel(here6, .erspan3, 206),
                device: "ip6erspan \(v6) seq key 206 erspan_ver 2 erspan_dir ingress erspan_hwid 1"),
            End(name: "gnv4", tunnel: tunnel(here, .geneve, 207), device: "geneve id 207 remote \(there)"),
            End(name: "gnv6", tunnel: tunnel(here6, .geneve, 208), device: "geneve id 208 remote \(there6)"),
        ]
    }

    private static func program(_ ends: [End], generation: UInt64 = 1) -> MirrorProgram {
        var program = Mirror.program(to: [])
        program.generation = generation
        program.destinations = ends.map { .init(id: $0.name, target: .tunnel($0.tunnel)) }
        program.taps[0].destinations = ends.map(\.name)
        return program
    }

    /// vxlan, gretap, ip6gretap, erspan and ip6erspan of both versions, geneve: each gives back every frame, byte for
    /// byte and in order, of both directions.
    @Test func theKernelsDevicesGiveBackTheOriginals() throws {
        let ends = Self.ends()
        // The longest outer headers are those of Geneve over IPv6: 98 bytes, and the tag's 4 lie inside.
        try Mirror.with(Self.program(ends), .init(mtu: 1500, uplinkMTU: 1700), ready: false) { mirror in
            try Promises.PromiseOuterIPv6.enable(mirror.lab)
            let monitor = mirror.lab.monitor
            for end in ends {
                guard let device = end.device else { continue }
                try monitor.ip("link add \(end.name) type \(device)", "link set \(end.name) mtu 1500 arp off up")
                try monitor.offloads(of: end.name, ["gro": false])
                try monitor.receiveOnOneCPU(end.name)
            }
            try mirror.waitUntilReady(seconds: 60)
            let kinds: [(FrameStream.Content, [FrameStream.Tag], [Int])] = [
                (.raw(0x88B5), [], [14, 15, 19, 20, 33, 34, 59, 60, 61, 64, 127, 1500, 1513, 1514]),
                (.udp4, [], [72, 128, 1514]), (.tcp4, [], [90, 1514]), (.udp6, [], [92, 1514]),
                (.udp4, [.init(vlan: 100, priority: 5)], [90, 1518]),
                (.udp6, [.init(type: 0x88A8, vlan: 7), .init(vlan: 100)], [120, 1514]),
            ]
            let streams = try [false, true].flatMap { fromB in
                try kinds.enumerated().map { index, kind in
                    try Mirror.stream(
                        UInt32(index + 1) + (fromB ? 100 : 0), fromB: fromB, content: kind.0, tags: kind.1,
                        lengths: kind.2, flows: 3)
                }
            }
            let receivers = try ends.map { try FrameReceiver(in: monitor, interface: $0.name, streams: streams) }
            let sent = try streams.map { stream in
                try FrameSender(
                    stream, in: stream.id > 100 ? mirror.lab.b : mirror.lab.a, interface: "eth0", rate: 200,
                    count: UInt64(stream.lengths.count * 2)
                ).wait()
            }
            let total = sent.reduce(0) { $0 + $1.frames }
            for (end, receiver) in zip(ends, receivers) {
                receiver.wait(seconds: 20) { $0.frames >= total }
                let report = try receiver.stop()
                #expect(report.otherFrames == 0, "\(end.name) gave out frames that nobody sent")
                for (check, sent) in zip(report.streams, sent) {
                    check.expectWhole(sent, "\(end.name), stream \(check.stream.id)")
                }
            }
            try mirror.ledger(offered: Dictionary(uniqueKeysWithValues: ends.map { ($0.name, total) }))
            print("figure: \(total) frames through each of \(ends.count) tunnel devices of the kernel, byte for byte")
        }
    }

    /// Suricata sees an attack in the copy, through each encapsulation that it decodes.
    @Test func suricataRaisesAnAlert() throws {
        // It decodes no ERSPAN Type III, and no Geneve over IPv6.
        let ends = Self.ends().filter { $0.tunnel.encapsulation != .erspan3 && $0.name != "gnv6" }
        try Mirror.with(Self.program([ends[0]]), ready: false) { mirror in
            try Promises.PromiseOuterIPv6.enable(mirror.lab)
            let place = mirror.directory.path
            let suricata = try Self.startSuricata(ends.map(\.name), in: mirror.lab.monitor, place)
            defer { suricata.terminate() }
            let socket = try PacketSocket(in: mirror.lab.a, interface: "eth0")
            for (index, end) in ends.enumerated() {
                try mirror.apply(Self.program([end], generation: UInt64(index + 2)))
                try mirror.waitUntilReady(seconds: 60)
                try socket.send(Self.attack(end.name))
                let alerted = poll(seconds: 30, every: 0.1) {
                    (try? String(contentsOfFile: "\(place)/eve.json", encoding: .utf8))?
                        .contains("\"signature_id\":\(1000 + index)") ?? false
                }
                #expect(alerted, "no alert through \(end.name)")
            }
            print("figure: Suricata alerts through \(ends.map(\.name).joined(separator: ", "))")
        }
    }

    private static func startSuricata(_ names: [String], in monitor: Namespace, _ place: String) throws -> ChildProcess
    {
        let configuration = """
            %YAML 1.1
            ---
            outputs:
              - eve-log: {enabled: yes, filetype: regular, filename: eve.json, types: [alert]}
            af-packet:
              - interface: eth0
                cluster-id: 99
                cluster-type: cluster_flow
            decoder:
              vxlan: {enabled: true, ports: [4789]}
              geneve: {enabled: true, ports: [6081]}
              erspan: {typeI: {enabled: true}}

            """
        let rules = names.enumerated().map { index, name in
            "alert udp any any -> any any (msg:\"\(name)\"; content:\"attack through \(name)!\"; sid:\(1000 + index);)\n"
        }
        try configuration.write(toFile: "\(place)/suricata.yaml", atomically: true, encoding: .utf8)
        try rules.joined().write(toFile: "\(place)/attack.rules", atomically: true, encoding: .utf8)
        let suricata = try monitor.start([
            "suricata", "-c", "\(place)/suricata.yaml", "-S", "\(place)/attack.rules", "-l", place, "-k", "none",
            "--af-packet=eth0", "-v",
        ])
        let started = poll(seconds: 120, every: 0.2) {
            suricata.exitStatus != nil || (suricata.standardOutput + suricata.standardError).contains("Engine started")
        }
        try #require(
            started && suricata.exitStatus == nil, "\(suricata.standardOutput) \(suricata.standardError)")
        return suricata
    }

    /// A UDP datagram over IPv4 with a text that a rule waits for.
    private static func attack(_ name: String) -> [UInt8] {
        let text = Array("attack through \(name)!".utf8)
        func big16(_ value: Int) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 0xFF)] }
        var ip: [UInt8] = [0x45, 0] + big16(28 + text.count) + [0, 1, 0x40, 0, 64, 17, 0, 0]
        ip += [198, 18, 0, 1, 198, 19, 0, 1]
        var sum = stride(from: 0, to: 20, by: 2).reduce(0) { $0 + Int(ip[$1]) << 8 + Int(ip[$1 + 1]) }
        while sum > 0xFFFF { sum = sum & 0xFFFF + sum >> 16 }
        ip.replaceSubrange(10..<12, with: big16(~sum & 0xFFFF))
        let ethernet: [UInt8] = [2, 0, 0, 0, 0, 0x0B, 2, 0, 0, 0, 0, 0x0A, 8, 0]
        return ethernet + ip + big16(20_000) + big16(9) + big16(8 + text.count) + [0, 0] + text
    }
}

extension Trait where Self == ConditionTrait {
    /// Runs in the guest machine, which sets VM.
    static var inGuest: Self {
        .enabled(if: ProcessInfo.processInfo.environment["VM"] == "1", "runs in the guest machine; Tests/run guest")
    }
}
