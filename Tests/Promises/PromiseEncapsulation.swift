// Promise: each encapsulation over each IP version, in each direction, is what its RFC or draft says and gives back the
// original byte for byte: judged by the kernel's own vxlan devices, by tshark and by scapy, on mixed traffic of 14 to
// 9,014 bytes with VLAN, QinQ, IPv6 extension headers, fragments, MPLS and tunnels in it.

import Foundation
import Lab
import MirrorProgram
import Testing

extension Promises {
    @Suite(.withDecoders) struct PromiseEncapsulation {
        private typealias Encapsulation = MirrorProgram.Encapsulation
        private typealias Direction = MirrorProgram.Direction

        /// Every direction, encapsulation and IP version; each once more with everything set that can be set; and
        /// frames that are cut.
        private static func program() -> MirrorProgram {
            var program = Mirror.program(to: [])
            program.taps = []
            var next: UInt32 = 100
            func add(_ tap: MirrorProgram.Tap, _ change: (inout MirrorProgram.Tunnel) -> Void = { _ in }) {
                var tap = tap
                for remote in [TappedPair.monitorAddress, PromiseOuterIPv6.monitorAddress] {
                    for kind in Encapsulation.allCases {
                        next += 1
                        var tunnel = MirrorProgram.Tunnel(
                            remote: .init(remote)!, encapsulation: kind, tunnelID: next)
                        change(&tunnel)
                        let id = "\(kind) over \(remote.contains(":") ? "IPv6" : "IPv4"), \(tap.id)"
                        program.destinations.append(.init(id: id, target: .tunnel(tunnel)))
                        tap.destinations.append(id)
                    }
                }
                program.taps.append(tap)
            }
            for direction in [Direction.in, .out, .both] {
                add(.init(id: direction.rawValue, port: Mirror.port, direction: direction, destinations: [])) {
                    tunnel in
                    // Those that the kernel's devices of the lab end.
                    guard direction == .both, tunnel.encapsulation == .vxlan else { return }
                    tunnel.tunnelID = tunnel.remote.isIPv6 ? 5003 : 5001
                }
            }
            add(.init(id: "set", port: Mirror.port, direction: .both, destinations: []), Self.setEverything)
            add(.init(id: "cut", port: Mirror.port, direction: .both, destinations: [], snaplen: 128))
            return program
        }

        private static func setEverything(_ tunnel: inout MirrorProgram.Tunnel) {
            (tunnel.dscp, tunnel.timeToLive, tunnel.vlan) = (46, 9, 7)
            switch tunnel.encapsulation {
            case .vxlan, .geneve:
                tunnel.sourcePorts = 50000...50255
                tunnel.udpChecksum = true
                tunnel.udpPort += 10_000
                if tunnel.encapsulation == .geneve { tunnel.geneveOptions = [.direction] }
            case .gre: tunnel.isSequenced = true
            case .erspan2, .erspan3: break
            }
        }

        @Test func threeDecodersAgree() throws {
            let program = Self.program()
            try Mirror.with(program, .init(mtu: 9000, uplinkMTU: 9216), ready: false) { mirror in
                try PromiseOuterIPv6.enable(mirror.lab)
                try mirror.waitUntilReady()
                let place = mirror.directory.path
                let traffic = ["OUT": "\(place)/a.pcap", "IN": "\(place)/b.pcap"]
                try Decoders.run("traffic.py", ["make", traffic["OUT"]!, traffic["IN"]!, "9014"])
                let devices = [TappedPair.underlay, TappedPair.vxlan, PromiseOuterIPv6.device]
                let receivers = try devices.map {
                    try FrameReceiver(
                        in: mirror.lab.monitor, interface: $0, pcap: URL(fileURLWithPath: "\(place)/\($0).pcap"))
                }
                let began = Self.now()
                var sent: [UInt64] = []
                for (namespace, file) in [(mirror.lab.a, traffic["OUT"]!), (mirror.lab.b, traffic["IN"]!)] {
                    let said = try Decoders.run("traffic.py", ["send", "eth0", file, "400"], in: namespace)
                    sent.append(UInt64(said.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0)
                }
                let (out, back) = (sent[0], sent[1])
                let offered = program.taps.flatMap { tap in
                    tap.destinations.map { ($0, (tap.direction == .in ? 0 : out) + (tap.direction == .out ? 0 : back)) }
                }
                try mirror.ledger(offered: Dictionary(uniqueKeysWithValues: offered))
                for receiver in receivers {
                    #expect(receiver.settle().missed == 0)
                    try receiver.stop()
                }
                let report = try Decoders.check(
                    .init(
                        program: try Decoders.write(program, place), capture: "\(place)/\(devices[0]).pcap",
                        originals: traffic,
                        kernel: devices.dropFirst().map {
                            .init(name: $0, capture: "\(place)/\($0).pcap", directions: [.out, .in])
                        },
                        sources: ["4": TappedPair.hostAddress, "6": PromiseOuterIPv6.hostAddress],
                        began: began, ended: Self.now()), in: mirror.directory)
                #expect(report.faults.isEmpty, "\(report.faults.joined(separator: "\n"))")
                #expect(report.copies == Int(offered.reduce(0) { $0 + $1.1 }))
                print("figure: \(report.copies) copies in \(report.tunnels) tunnels, \(report.flows) flows, decoded by")
                print("figure: tshark and scapy, byte for byte; \(report.sequenced) of them numbered without a gap")
            }
        }

        private static func now() -> UInt64 { UInt64(Date().timeIntervalSince1970 * 1e9) }
    }
}
