// Promise: where the program leaves the engine open, the kernel carries a port whose frames come in super-frames, as long as
// its uplink takes them, and the worker every other; a switch costs no copy and doubles none.

import Lab
import MirrorProgram
import Testing

extension Promises {
    @Suite struct PromiseSuperFrames {
        private static let other = "other", small = "small"

        /// Three open taps: of the stream, through an uplink that takes super-frames; of the same stream at its other
        /// port, through one that does not; of a port that has small frames alone. On a veth the kind is asked for:
        /// PromiseWireForm has a stream through one of which nothing is said.
        private static var program: MirrorProgram {
            var program = Mirror.program(to: [Mirror.monitor, Mirror.second])
            program.taps[0].destinations = [Mirror.monitor]
            program.uplinks = [TappedPair.uplink, TappedPair.secondUplink].map { .init(interface: $0, kind: .device) }
            for (id, interface, destination) in [
                (other, TappedPair.otherPort, Mirror.second), (small, TappedPair.spanPort, Mirror.monitor),
            ] {
                program.ports.append(.init(id: id, interface: interface))
                program.taps.append(.init(id: id, port: id, direction: .both, destinations: [destination]))
            }
            return program
        }

        private func engines(_ mirror: Mirror) throws -> [MirrorProgram.Engine?] {
            try mirror.status().taps.map(\.engine)
        }

        private func words(_ mirror: Mirror) -> Comment { "\((try? mirror.status().taps) ?? [])" }

        private func expectWhole(
            _ witness: TCPWitness, _ bytes: Int, _ again: Int, _ what: Comment,
            location: SourceLocation = #_sourceLocation
        ) throws {
            let report = witness.report
            #expect(report.malformed == 0, "\(what): \(report.firstFault ?? "")", sourceLocation: location)
            let data = try #require(report.streams.first { $0.key.destinationPort == 5001 }?.value, what)
            #expect(data.isComplete && data.length == UInt32(bytes) + 2, "\(what): \(data)", sourceLocation: location)
            #expect(data.repeated == 0 || again > 0, "\(what): \(data)", sourceLocation: location)
        }

        @Test func goOverToTheKernelAndBack() throws {
            try Mirror.with(Self.program) { mirror in
                let lab = mirror.lab
                for (namespace, interface) in [(lab.a, "eth0"), (lab.b, "eth0"), (lab.host, TappedPair.uplink)] {
                    try namespace.offloads(of: interface, ["tso": true, "gso": true, "tx": true])
                }
                #expect(try engines(mirror) == [.user, .user, .user], words(mirror))
                let quiet = try Mirror.stream(1), loud = try Mirror.stream(2)
                let whole = TCPWitness(longest: 65_550, takesPartial: true, piece: TCPTransfer.piece)
                let segments = TCPWitness(longest: 1514, piece: TCPTransfer.piece)
                let copies = try mirror.receiver(Mirror.monitor, [quiet, loud]) { whole.take($0) }
                let others = try mirror.receiver(Mirror.second, []) { segments.take($0) }
                let again = try PromiseWireForm.retransmitted(lab)
                let bytes = 32_000_000
                let transfer = try TCPTransfer.Running(
                    from: lab.a, to: lab.b, address: TappedPair.addressOfB, bytes: bytes, rate: 8e6)
                let sender = try FrameSender(quiet, in: lab.feeder, interface: "eth0", rate: 2_000, count: 7_000)
                let began = ContinuousClock.now
                let over = try poll(seconds: 4, every: 0.05) { try engines(mirror)[0] == .kernel }
                print("figure: the kernel carries the super-frames after \(began.duration(to: .now))")
                #expect(over, words(mirror))
                #expect(try mirror.status().taps[0].engineReason?.contains("super-frames") == true, words(mirror))
                #expect(try transfer.wait() == bytes)
                let sent = try sender.wait()
                #expect(try engines(mirror) == [.kernel, .user, .user], words(mirror))
                try mirror.ledger()
                #expect(copies.settle().missed == 0 && others.settle().missed == 0)
                let repeated = try PromiseWireForm.retransmitted(lab) - again
                try expectWhole(whole, bytes, repeated, "monitor")
                try expectWhole(segments, bytes, repeated, "second")
                #expect(whole.report.largest > 20_000, "the kernel's copies are super-frames on a veth")

                let singles = try FrameSender(loud, in: lab.a, interface: "eth0", rate: 10_000, count: 45_000)
                let back = try poll(seconds: 6, every: 0.05) { try engines(mirror)[0] == .user }
                #expect(back, words(mirror))
                let all = try singles.wait()
                #expect(try engines(mirror) == [.user, .user, .user], words(mirror))
                let statistics = try mirror.ledger()
                _ = copies.settle()
                let report = try copies.stop()
                try others.stop()
                #expect(report.missed == 0)
                report.streams[0].expectWhole(sent, "small frames of another port")
                report.streams[1].expectWhole(all, "small frames after the stream")
                for destination in statistics.destinations {
                    #expect(destination.drops.values.allSatisfy { $0 == 0 }, "\(destination)")
                }
            }
        }
    }
}
