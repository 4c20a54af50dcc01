// Promise: `replay` gives what would have left: mixed traffic (VLAN, QinQ, IPv6 extension headers, fragments, ARP, LLDP,
// SCTP, MPLS, tunnels in tunnels) through every encapsulation, decoded by tshark and scapy with nothing malformed.

import Foundation
import Lab
import MirrorProgram
import Testing

extension Promises {
    @Suite(.withDecoders) struct PromiseReplay {
        @Test(arguments: [MirrorProgram.Direction.out, .in]) func mixedTraffic(direction: MirrorProgram.Direction)
            throws
        {
            let directory = try TemporaryDirectory()
            defer { directory.delete() }
            let place = directory.path
            try Decoders.run("traffic.py", ["make", "\(place)/a.pcap", "\(place)/b.pcap", "9014"])
            try PcapFile.empty(at: URL(fileURLWithPath: "\(place)/none.pcap"))
            var program = Mirror.program(direction, to: [])
            for remote in [TappedPair.monitorAddress, PromiseOuterIPv6.monitorAddress] {
                for kind in MirrorProgram.Encapsulation.allCases {
                    let id = "\(kind) to \(remote)"
                    let tunnel = MirrorProgram.Tunnel(
                        remote: .init(remote)!, encapsulation: kind,
                        tunnelID: UInt32(300 + program.destinations.count))
                    program.destinations.append(.init(id: id, target: .tunnel(tunnel)))
                    program.taps[0].destinations.append(id)
                }
            }
            let (isOut, file) = (direction == .out, try Decoders.write(program, place))
            let input = isOut ? "\(place)/a.pcap" : "\(place)/b.pcap"
            let said = try ChildProcess([
                try Requirements.executable("heliostat-dataplane"), "replay", input, "--program", file,
                "--direction", isOut ? "out" : "in", "--source", TappedPair.hostAddress,
                "--source", PromiseOuterIPv6.hostAddress, "-o", "\(place)/out.pcap",
            ])
            try #require(said.wait(seconds: 30) == 0, "\(said.standardError)")
            let report = try Decoders.check(
                .init(
                    program: file, capture: "\(place)/out.pcap",
                    originals: [
                        "OUT": isOut ? input : "\(place)/none.pcap", "IN": isOut ? "\(place)/none.pcap" : input,
                    ],
                    sources: ["4": TappedPair.hostAddress, "6": PromiseOuterIPv6.hostAddress],
                    // The time of the frames in the file.
                    began: 1_700_000_000_000_000_000, ended: 1_700_000_000_001_000_000), in: directory)
            #expect(report.faults.isEmpty, "\(report.faults.joined(separator: "\n"))")
            #expect(report.copies >= 700, "\(report)")
            print("figure: replay, \(direction.rawValue): \(report.copies) copies decoded, nothing malformed")
        }
    }
}
