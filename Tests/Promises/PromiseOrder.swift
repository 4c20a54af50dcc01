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

        /// 10,000 handshakes of three steps, each sent as soon as the one before has arrived: SYN by a sender that moves
        /// between CPUs, answer by `b`, acknowledgement by `a`. They are captured on two hooks and mostly on different
        /// CPUs, and yet no step may come before the one that it answers.
        @Test(arguments: [MirrorProgram.CaptureMode.tap, .xdp])
        func acrossDirections(capture: MirrorProgram.CaptureMode) throws {
            try Mirror.with(Mirror.program(capture: capture)) { mirror in
                let steps = [
                    try Mirror.stream(1, content: .tcp4, lengths: [100]),
                    try Mirror.stream(2, fromB: true, content: .tcp4, lengths: [100]),
                    try Mirror.stream(3, content: .tcp4, lengths: [100]),
                ]
                let answering = try Self.answer(steps[0], with: steps[1], in: mirror.lab.b)
                let acknowledging = try Self.answer(steps[1], with: steps[2], in: mirror.lab.a)
                let order = Arrivals()
                let copies = try mirror.receiver(Mirror.monitor, steps) { frame in
                    for (step, stream) in steps.enumerated() {
                        if let (sequence, _) = stream.identify(frame.bytes) { order.take(step, of: sequence) }
                    }
                }
                let sent = try FrameSender(
                    steps[0], in: mirror.lab.a, interface: "eth0", rate: 3_000, count: 10_000, moveEvery: 20
                ).wait()
                copies.wait(seconds: 10) { $0.frames >= 3 * sent.frames }
                try answering.stop()
                try acknowledging.stop()
                let report = try copies.stop()
                #expect(report.missed == 0)
                for check in report.streams { #expect(check.distinct == sent.frames, "step \(check.stream.id)") }
                #expect(sent.frames == 10_000)
                #expect(order.early == 0, "\(order.early) answers came before their question")
                try mirror.ledger(offered: [Mirror.monitor: 3 * sent.frames])
                print(
                    "figure: \(capture): \(sent.frames) handshakes, \(sent.moves) moves between CPUs: \(order.early) out of order"
                )
            }
        }

        /// Sends the frame of the same number in another stream for each that arrives.
        private static func answer(_ question: FrameStream, with answer: FrameStream, in namespace: Namespace) throws
            -> FrameReceiver
        {
            let socket = try PacketSocket(in: namespace, interface: "eth0")
            return try FrameReceiver(in: namespace, interface: "eth0") { frame in
                guard let (sequence, _) = question.identify(frame.bytes) else { return }
                var room = [UInt8](repeating: 0, count: 100)
                room.withUnsafeMutableBytes { _ = answer.write(sequence, time: nowNanoseconds(), to: $0) }
                try? socket.send(room)
            }
        }
    }
}

/// How far each handshake has come, and the steps that came before their turn.
private final class Arrivals: Sendable {
    private let state = Mutex<(next: [UInt64: Int], early: Int)>(([:], 0))

    func take(_ step: Int, of handshake: UInt64) {
        state.withLock { state in
            if state.next[handshake, default: 0] != step { state.early += 1 }
            state.next[handshake] = step + 1
        }
    }

    var early: Int { state.withLock { $0.early } }
}
