// Promise: a TCP stream with offloads on is mirrored as it looks on a wire: segments that fit, checksums complete, no
// hole.

import Lab
import MirrorProgram
import Testing

extension Promises {
    @Suite struct PromiseTCP {
        /// From `a` the super-frames are captured at the port's ingress (OUT), from `b` at its egress (IN).
        @Test(arguments: [false, true]) func copiesAreSegments(fromB: Bool) throws {
            try Mirror.with(Mirror.program(to: [Mirror.monitor, Mirror.local])) { mirror in
                let (a, b) = (mirror.lab.a, mirror.lab.b)
                for namespace in [a, b] { try namespace.offloads(of: "eth0", ["tso": true, "gso": true, "tx": true]) }
                let (witness, local) = (TCPWitness(longest: 1514), TCPWitness(longest: 1514))
                let copies = try mirror.receiver(Mirror.monitor, []) { witness.take($0) }
                let here = try mirror.receiver(Mirror.local, []) { local.take($0) }
                let bytes = 20_000_000
                let arrived = try TCPTransfer.run(
                    from: fromB ? b : a, to: fromB ? a : b,
                    address: fromB ? TappedPair.addressOfA : TappedPair.addressOfB, bytes: bytes, rate: 16e6)
                #expect(arrived == bytes)
                let statistics = try mirror.ledger()
                for (receiver, witness) in [(copies, witness), (here, local)] {
                    #expect(receiver.settle().missed == 0)
                    let report = witness.report
                    #expect(report.malformed == 0, "\(report.firstFault ?? "")")
                    #expect(report.frames > bytes / 1500)
                    let data = try #require(report.streams.first { $0.key.destinationPort == 5001 }?.value)
                    #expect(data.isComplete, "\(data.contiguous) of \(data.length ?? 0) numbers without a hole")
                    #expect(data.length == UInt32(bytes) + 2)
                }
                // The originals really were super-frames: the port carried far fewer frames than there are segments.
                let carried = try mirror.lab.host.counters(of: TappedPair.tappedPort)
                let data = fromB ? carried.sentFrames : carried.receivedFrames
                #expect(data < UInt64(bytes / 1448 / 2), "\(data) frames at the port")
                #expect(statistics.destinations.allSatisfy { $0.drops.values.allSatisfy { $0 == 0 } }, "\(statistics)")
                try copies.stop()
                try here.stop()
            }
        }
    }
}
