// A capture of everything that a network carries, replayed through every encapsulation: tshark, which shares no code with
// us, decodes each outgoing frame down to the inner one and finds nothing malformed.

import FastPathHost
import Foundation
import MirrorProgram
import Testing

@Suite struct ReplayDecodeTests {
    private static let tshark = "/usr/bin/tshark"
    private static let a: [UInt8] = [2, 0, 0, 0, 0, 0x0A]
    private static let b: [UInt8] = [2, 0, 0, 0, 0, 0x0B]

    private static func two(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)] }
    private static func bytes(_ parts: [UInt8]...) -> [UInt8] { Array(parts.joined()) }

    private static func ethernet(_ type: Int, _ payload: [UInt8], tags: [(Int, Int)] = []) -> [UInt8] {
        bytes(b, a, tags.flatMap { bytes(two($0.0), two($0.1)) }, two(type), payload)
    }

    private static func ipv4(_ proto: UInt8, _ payload: [UInt8], fragment: Int = 0) -> [UInt8] {
        var header = bytes(
            [0x45, 0], two(20 + payload.count), [0x12, 0x34], two(fragment), [64, proto, 0, 0], [192, 0, 2, 1],
            [198, 51, 100, 7])
        var sum = 0
        for index in stride(from: 0, to: 20, by: 2) { sum += Int(header[index]) << 8 | Int(header[index + 1]) }
        while sum > 0xFFFF { sum = (sum & 0xFFFF) + (sum >> 16) }
        header.replaceSubrange(10..<12, with: two(~sum))
        return bytes(header, payload)
    }

    private static func ipv6(_ next: UInt8, _ payload: [UInt8]) -> [UInt8] {
        let prefix = bytes([0x20, 1, 0xD, 0xB8], [UInt8](repeating: 0, count: 11))
        return bytes([0x60, 0, 0, 0], two(payload.count), [next, 64], prefix, [1], prefix, [2], payload)
    }

    private static func udp(_ port: Int, _ payload: [UInt8]) -> [UInt8] {
        bytes(two(40000), two(port), two(8 + payload.count), [0, 0], payload)
    }

    private static let data = (0..<40).map { UInt8($0) }
    private static let arp = bytes(
        [0, 1, 8, 0, 6, 4, 0, 1], a, [192, 0, 2, 1], [0, 0, 0, 0, 0, 0], [192, 0, 2, 2])
    private static let tcp = bytes(
        two(40000), two(9999), [0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 1, 0, 0, 0, 0, 0], data)
    private static let lldp = bytes([2, 7, 4], a, [4, 7, 3], a, [6, 2, 0, 120, 0, 0])
    /// A COOKIE ACK.
    private static let sctp = bytes(two(5000), two(5001), [0, 0, 0, 1, 0, 0, 0, 0, 11, 0, 0, 4])

    private static let hopByHop: [UInt8] = [60, 0, 1, 4, 0, 0, 0, 0]
    private static let options: [UInt8] = [44, 0, 1, 4, 0, 0, 0, 0]
    private static let fragment: [UInt8] = [17, 0, 0, 1, 0, 0, 0, 9]
    private static let vxlan: [UInt8] = [8, 0, 0, 0, 0, 0, 9, 0]
    private static let datagram = udp(9999, data)
    private static let inner = ethernet(0x0800, ipv4(17, datagram))
    private static let once = ethernet(0x0800, ipv4(17, udp(4789, bytes(vxlan, inner))))

    private static let frames: [(name: String, bytes: [UInt8])] = [
        ("tcp", ethernet(0x0800, ipv4(6, tcp))),
        ("udp", inner),
        ("vlan", ethernet(0x0800, ipv4(6, tcp), tags: [(0x8100, 0x2064)])),
        ("qinq", ethernet(0x86DD, ipv6(17, datagram), tags: [(0x88A8, 200), (0x8100, 100)])),
        ("extension headers", ethernet(0x86DD, ipv6(0, bytes(hopByHop, options, fragment, datagram)))),
        ("first fragment", ethernet(0x0800, ipv4(17, datagram, fragment: 0x2000))),
        ("later fragment", ethernet(0x0800, ipv4(17, data, fragment: 6))),
        ("arp", ethernet(0x0806, arp)),
        ("lldp", bytes([1, 0x80, 0xC2, 0, 0, 0x0E], a, two(0x88CC), lldp)),
        ("sctp", ethernet(0x0800, ipv4(132, sctp))),
        ("mpls", ethernet(0x8847, bytes([0, 1, 0, 64, 0, 2, 1, 64], ipv4(17, datagram)))),
        ("ip in ip", ethernet(0x0800, ipv4(4, ipv4(17, datagram)))),
        ("gre", ethernet(0x0800, ipv4(47, bytes(two(0), two(0x0800), ipv4(6, tcp))))),
        ("gre with ethernet", ethernet(0x0800, ipv4(47, bytes(two(0), two(0x6558), inner)))),
        ("vxlan", once),
        ("vxlan in vxlan", ethernet(0x86DD, ipv6(17, udp(4789, bytes(vxlan, once))))),
        ("long", ethernet(0x0800, ipv4(17, udp(9999, [UInt8](repeating: 7, count: 9000))))),
    ]

    private static let protocols: [String: String] = [
        "vxlan": "vxlan", "gre": "gre", "erspan2": "erspan", "erspan3": "erspan", "geneve": "geneve",
    ]

    private func run(_ arguments: [String]) throws -> [String] {
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: Self.tshark)
        process.arguments = arguments
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        try process.run()
        let text = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        return String(decoding: text, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    @Test(
        .enabled(if: FileManager.default.isExecutableFile(atPath: tshark), "tshark is not installed"),
        arguments: ["vxlan", "gre", "erspan2", "erspan3", "geneve"], ["198.51.100.9", "2001:db8::9"])
    func tsharkFindsNothingMalformed(encapsulation: String, remote: String) throws {
        try withTemporaryDirectory { path in
            let put = { (value: Int) in (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
            var input = Self.bytes(put(0xA1B2_3C4D), [2, 0, 4, 0], put(0), put(0), put(65535), put(1))
            for (index, frame) in Self.frames.enumerated() {
                let length = put(frame.bytes.count)
                input += Self.bytes(put(1_700_000_000 + index), put(0), length, length, frame.bytes)
            }
            try Data(input).write(to: URL(fileURLWithPath: path + "/in.pcap"))
            let program = """
                {"ports": [{"id": "p", "interface": "eth0"}],
                 "destinations": [{"id": "d", "remote": "\(remote)", "encapsulation": "\(encapsulation)", "tunnel_id": 5}],
                 "taps": [{"id": "t", "port": "p", "destinations": ["d"]}]}
                """
            let replay = try Replay(try MirrorProgram(text: program.utf8), Replay.Surroundings())
            let outcome = try replay.run(path + "/in.pcap", to: path + "/out.pcapng")
            #expect(outcome.destinations.map(\.frames) == [UInt64(Self.frames.count)])
            let out = ["-r", path + "/out.pcapng", "-T", "fields"]
            let protocols = try run(out + ["-e", "frame.protocols"])
            #expect(protocols.count == Self.frames.count)
            // Of the input itself, so that what is found of it in vain would be noticed.
            let before = try run(["-r", path + "/in.pcap", "-T", "fields", "-e", "frame.protocols"])
            for (index, line) in protocols.enumerated() {
                #expect(line.contains(Self.protocols[encapsulation]!), "\(Self.frames[index].name): \(line)")
                #expect(line.hasSuffix(before[index]), "\(Self.frames[index].name): \(line) for \(before[index])")
            }
            #expect(
                try run(out + ["-e", "_ws.expert.message", "-Y", "_ws.malformed || _ws.expert.group == \"Malformed\""])
                    == [])
        }
    }
}
