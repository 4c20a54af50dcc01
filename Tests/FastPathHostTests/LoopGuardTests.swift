// The loop guard in a real kernel: frames of every tunnel of ours pass the capture program unseen, and frames that
// differ in one thing from them do not.

import CShims
import FastPath
import FastPathHost
import Glibc
import MirrorProgram
import Testing

@Suite(.enabled(if: isRoot, Comment(rawValue: needsRoot)), .serialized)
struct LoopGuardTests {
    /// One outer packet, made by hand.
    struct Packet {
        var isIPv6 = false
        /// Last octet of the outer addresses.
        var source: UInt8 = 1, remote: UInt8 = 9
        var proto: UInt8
        var transport: [UInt8]
        var tags: [[UInt8]] = []
        var ipv4Options: [UInt8] = []
        var destinationOptions: [UInt8] = []

        var bytes: [UInt8] {
            let payload = transport + Array(repeating: 0xAB, count: 20)
            let ethernet: [UInt8] = [2, 0, 0, 0, 0, 0xB, 2, 0, 0, 0, 0, 0xA] + tags.flatMap { $0 }
            if isIPv6 {
                let next = destinationOptions.isEmpty ? proto : 60
                let prefix: [UInt8] = [0x20, 1, 0x0D, 0xB8] + Array(repeating: 0, count: 11)
                let rest = destinationOptions + payload
                return ethernet + [0x86, 0xDD, 0x60, 0, 0, 0, 0, UInt8(rest.count), next, 64] + prefix + [source]
                    + prefix
                    + [remote] + rest
            }
            let header = 20 + ipv4Options.count
            return ethernet + [0x08, 0, 0x40 | UInt8(header / 4), 0, 0, UInt8(header + payload.count)]
                + [0, 0, 0x40, 0, 64, proto, 0, 0, 192, 0, 2, source, 192, 0, 2, remote] + ipv4Options + payload
        }
    }

    private static func tunnel(_ encapsulation: MirrorProgram.Encapsulation, _ isIPv6: Bool) -> TunnelKey {
        let ids: [MirrorProgram.Encapsulation: UInt32] = [
            .vxlan: 5001, .gre: 0xDEAD_BEEF, .erspan2: 0x2A5, .erspan3: 0x2A6, .geneve: 0xABCDEF,
        ]
        let remote = IPAddress(isIPv6 ? "2001:db8::9" : "192.0.2.9")!
        return TunnelKey(
            .init(remote: remote, encapsulation: encapsulation, tunnelID: ids[encapsulation]!),
            source: IPAddress(isIPv6 ? "2001:db8::1" : "192.0.2.1")!)
    }

    /// What such a tunnel's packets have behind the IP header, and the same with another id.
    private static func transports(_ encapsulation: MirrorProgram.Encapsulation) -> (ours: [[UInt8]], others: [[UInt8]])
    {
        let udp = { (port: [UInt8], rest: [UInt8]) -> [UInt8] in [0xC0, 1] + port + [0, 40, 0, 0] + rest }
        let number: [UInt8] = [0, 0, 0, 7]
        return switch encapsulation {
        case .vxlan:
            (
                [udp([0x12, 0xB5], [8, 0, 0, 0, 0, 0x13, 0x89, 0])],
                [
                    udp([0x12, 0xB5], [8, 0, 0, 0, 0, 0x13, 0x8A, 0]),
                    udp([0x12, 0xB6], [8, 0, 0, 0, 0, 0x13, 0x89, 0]),
                    udp([0x12, 0xB5], [0, 0, 0, 0, 0, 0x13, 0x89, 0]),
                ]
            )
        case .geneve:
            (
                [
                    udp([0x17, 0xC1], [0, 0, 0x65, 0x58, 0xAB, 0xCD, 0xEF, 0]),
                    udp([0x17, 0xC1], [7, 0, 0x65, 0x58, 0xAB, 0xCD, 0xEF, 0]),
                ], [udp([0x17, 0xC1], [0, 0, 0x65, 0x58, 0xAB, 0xCD, 0xEE, 0])]
            )
        case .gre:
            (
                [
                    [0x20, 0, 0x65, 0x58, 0xDE, 0xAD, 0xBE, 0xEF],
                    [0x30, 0, 0x65, 0x58, 0xDE, 0xAD, 0xBE, 0xEF] + number,
                    [0xA0, 0, 0x65, 0x58, 1, 2, 0, 0, 0xDE, 0xAD, 0xBE, 0xEF],
                ],
                [
                    [0x20, 0, 0x65, 0x58, 0xDE, 0xAD, 0xBE, 0xEE], [0x00, 0, 0x65, 0x58, 0xDE, 0xAD, 0xBE, 0xEF],
                    [0x20, 0, 0x08, 0x00, 0xDE, 0xAD, 0xBE, 0xEF],
                ]
            )
        case .erspan2:
            (
                [
                    [0x10, 0, 0x88, 0xBE] + number + [0x10, 0, 0x02, 0xA5, 0, 0, 0, 0],
                    [0x10, 0, 0x88, 0xBE] + number + [0x10, 0x64, 0xBE, 0xA5, 0, 0, 0, 0],
                ],
                [
                    [0x10, 0, 0x88, 0xBE] + number + [0x10, 0, 0x01, 0xA5, 0, 0, 0, 0],
                    [0x10, 0, 0x22, 0xEB] + number + [0x10, 0, 0x02, 0xA5, 0, 0, 0, 0],
                ]
            )
        case .erspan3:
            (
                [[0x10, 0, 0x22, 0xEB] + number + [0x20, 0, 0x02, 0xA6, 1, 2, 3, 4, 0, 0, 0x80, 8]],
                [[0x10, 0, 0x22, 0xEB] + number + [0x20, 0, 0x02, 0xA7, 1, 2, 3, 4, 0, 0, 0x80, 8]]
            )
        }
    }

    private static func packets(
        _ encapsulation: MirrorProgram.Encapsulation, _ isIPv6: Bool
    ) -> (ours: [Packet], others: [Packet]) {
        let proto: UInt8 = encapsulation.usualUDPPort == nil ? 47 : 17
        let (mine, foreign) = transports(encapsulation)
        let make = { (transport: [UInt8]) in Packet(isIPv6: isIPv6, proto: proto, transport: transport) }
        var ours = mine.map(make)
        var others = foreign.map(make)
        let change = { (list: inout [Packet], change: (inout Packet) -> Void) in
            var packet = make(mine[0])
            change(&packet)
            list.append(packet)
        }
        change(&ours) { $0.tags = [[0x81, 0, 0, 5]] }
        change(&ours) { $0.tags = [[0x88, 0xA8, 0, 6], [0x81, 0, 0, 5]] }
        if isIPv6 {
            change(&ours) { $0.destinationOptions = [proto, 0, 4, 1, 4, 1, 1, 0] }  // tunnel encapsulation limit
            change(&ours) { $0.destinationOptions = [proto, 1] + Array(repeating: 0, count: 14) }
            change(&others) { $0.destinationOptions = [58, 0, 4, 1, 4, 1, 1, 0] }
        } else {
            change(&ours) { $0.ipv4Options = [1, 1, 1, 0] }
        }
        change(&others) { $0.source = 2 }
        change(&others) { $0.remote = 8 }
        change(&others) { $0.proto = 6 }
        change(&others) { $0.isIPv6.toggle() }
        return (ours, others)
    }

    @Test(arguments: MirrorProgram.Encapsulation.allCases, [false, true])
    func knowsOurOwn(_ encapsulation: MirrorProgram.Encapsulation, isIPv6: Bool) throws {
        try inNamespace {
            try ip("link add v0 type veth peer name v1")
            for name in ["v0", "v1"] {
                // Nothing but what is sent here.
                try write("1", to: "/proc/sys/net/ipv6/conf/\(name)/disable_ipv6")
                try ip("link set \(name) up")
            }
            let program = try CaptureProgram.best()
            let maps = try CaptureMaps(program, CaptureRingSet(size: program.ringSize))
            try maps.setOwnTunnels([Self.tunnel(encapsulation, isIPv6)])
            let out = CapturePoint(slot: 0, direction: 1)
            let entries = try CaptureEntries(program, generation: 1, taps: [out: 1])
            try entries.install()
            let loaded = try program.load(slot: 0, direction: HS_OUT)
            let hook = try CaptureHook(
                loaded, interface: Int32(if_nametoindex("v0")), name: "v0", ingress: false)
            #expect(hook.isInPlace())
            let (ours, others) = Self.packets(encapsulation, isIPv6)
            for packet in ours {
                let before = entries.counts(out).matched
                try CaptureTests.send(packet.bytes, "v0")
                #expect(entries.counts(out).matched == before, "not known: \(packet)")
            }
            for packet in others {
                let before = entries.counts(out).matched
                try CaptureTests.send(packet.bytes, "v0")
                #expect(entries.counts(out).matched == before + 1, "taken for ours: \(packet)")
            }
            try maps.setOwnTunnels([])
            let before = entries.counts(out).matched
            try CaptureTests.send(ours[0].bytes, "v0")
            #expect(entries.counts(out).matched == before + 1, "a tunnel that has ended is known no more")
        }
    }

    /// Our mark keeps a frame from being copied, but for that of a port in another network namespace, whose owner could
    /// hide behind it.
    @Test(arguments: [false, true]) func aForgedMark(isForeign: Bool) throws {
        try inNamespace {
            try ip("link add v0 type veth peer name v1")
            for name in ["v0", "v1"] {
                try write("1", to: "/proc/sys/net/ipv6/conf/\(name)/disable_ipv6")
                try ip("link set \(name) up")
            }
            let program = try CaptureProgram.best()
            let maps = try CaptureMaps(program, CaptureRingSet(size: program.ringSize))
            let out = CapturePoint(slot: 0, direction: 1)
            let entries = try CaptureEntries(program, generation: 1, taps: [out: 1], foreign: isForeign ? [out] : [])
            try entries.install()
            let hook = try CaptureHook(
                try program.load(slot: 0, direction: HS_OUT), interface: Int32(if_nametoindex("v0")), name: "v0",
                ingress: false)
            #expect(hook.isInPlace() && maps.rings.rings.count > 0)
            try CaptureTests.send([UInt8](repeating: 0xFF, count: 60), "v0", mark: HS_MARK)
            #expect(entries.counts(out).matched == (isForeign ? 1 : 0))
            try CaptureTests.send([UInt8](repeating: 0xFF, count: 60), "v0", mark: 7)
            #expect(entries.counts(out).matched == (isForeign ? 2 : 1))
        }
    }
}

private func write(_ value: String, to path: String) throws {
    let file = open(path, O_WRONLY | O_CLOEXEC)
    defer { close(file) }
    guard file >= 0, Glibc.write(file, value, value.utf8.count) > 0 else { throw CommandFailure(text: path) }
}
