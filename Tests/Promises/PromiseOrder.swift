// Promise: copies arrive in the order of the originals, per flow and across directions, while the sender moves
// between CPUs.

import Lab
import MirrorProgram
import Synchronization
import Testing

extension Promises {
    @Suite struct PromiseOrder {
        /// The sender moves every 50 frames; its frames are captured by the ring of whichever CPU it is on.
        @Test(arguments: [false, true]) func perFlow(fromB: Bool) throws {
            try Mirror.with(Mirror.program()) { mirror in
                let stream = try Mirror.stream(1, fromB: fromB, lengths: [70, 200, 1514], flows: 8)
                let copies = try mirror.receiver(Mirror.monitor, [stream])
                let sent = try FrameSender(
                    stream, in: fromB ? mirror.lab.b : mirror.lab.a, interface: "eth0", rate: 10_000, count: 30_000,
                    moveEvery: 50
                ).wait()
                #expect(sent.moves == 600)
                copies.wait(seconds: 10) { $0.frames >= sent.frames }
                _ = copies.settle()
                let report = try copies.stop()
                #expect(report.missed == 0)
                report.streams[0].expectWhole(sent, "copies")
                try mirror.ledger(offered: [Mirror.monitor: sent.frames])
            }
        }

        /// `b` answers each frame at once: no answer may come before its question, although the two are captured on
        /// different hooks and mostly on different CPUs.
        @Test func acrossDirections() throws {
            try Mirror.with(Mirror.program()) { mirror in
                let question = try Mirror.stream(1, lengths: [100])
                let answer = try Mirror.stream(2, fromB: true, lengths: [100])
                let socket = try PacketSocket(in: mirror.lab.b, interface: "eth0")
                let answering = try FrameReceiver(in: mirror.lab.b, interface: "eth0") { frame in
                    guard let (sequence, _) = question.identify(frame.bytes) else { return }
                    var room = [UInt8](repeating: 0, count: 100)
                    room.withUnsafeMutableBytes { _ = answer.write(sequence, time: nowNanoseconds(), to: $0) }
                    try? socket.send(room)
                }
                let order = Arrivals()
                let copies = try mirror.receiver(Mirror.monitor, [question, answer]) { frame in
                    if let (sequence, _) = question.identify(frame.bytes) { order.asked(sequence) }
                    if let (sequence, _) = answer.identify(frame.bytes) { order.answered(sequence) }
                }
                let sent = try FrameSender(
                    question, in: mirror.lab.a, interface: "eth0", rate: 4_000, count: 12_000, moveEvery: 40
                ).wait()
                copies.wait(seconds: 10) { $0.frames >= 2 * sent.frames }
                try answering.stop()
                let report = try copies.stop()
                #expect(report.streams[0].distinct == sent.frames)
                #expect(report.streams[1].distinct == sent.frames)
                #expect(order.answersBeforeQuestion == 0)
                try mirror.ledger(offered: [Mirror.monitor: 2 * sent.frames])
            }
        }
    }
}

/// Which questions have been seen, and the answers that came before theirs.
private final class Arrivals: Sendable {
    private let state = Mutex<(asked: Set<UInt64>, early: Int)>(([], 0))

    func asked(_ sequence: UInt64) { state.withLock { _ = $0.asked.insert(sequence) } }
    func answered(_ sequence: UInt64) { state.withLock { if !$0.asked.contains(sequence) { $0.early += 1 } } }
    var answersBeforeQuestion: Int { state.withLock { $0.early } }
}
