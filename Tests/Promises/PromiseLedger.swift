// Promise: nothing vanishes. Offered = handed on + drops by reason; handed on = what the kernel's device received;
// the UMEM's chunks are all somewhere; under overload and while the dataplane is stopped too, and no original is lost
// by it.

import Glibc
import Lab
import MirrorProgram
import Testing

extension Promises {
    @Suite struct PromiseLedger {
        /// Two taps on one port share a destination: it gets each frame once, and both taps count it.
        @Test func oncePerDestination() throws {
            var program = Mirror.program(.both, to: [Mirror.monitor, Mirror.second])
            program.taps = [
                .init(id: "both", port: Mirror.port, direction: .both, destinations: [Mirror.monitor]),
                .init(id: "out", port: Mirror.port, direction: .out, destinations: [Mirror.monitor, Mirror.second]),
            ]
            try Mirror.with(program) { mirror in
                let (forth, back) = (try Mirror.stream(1), try Mirror.stream(2, fromB: true))
                let monitor = try mirror.receiver(Mirror.monitor, [forth, back])
                let second = try mirror.receiver(Mirror.second, [forth, back])
                let out = try FrameSender(forth, in: mirror.lab.a, interface: "eth0", rate: 5_000, count: 2_000).wait()
                let into = try FrameSender(back, in: mirror.lab.b, interface: "eth0", rate: 5_000, count: 1_000).wait()
                monitor.wait(seconds: 5) { $0.frames >= 3_000 }
                second.wait(seconds: 5) { $0.frames >= 2_000 }
                let statistics = try mirror.ledger(offered: [Mirror.monitor: 3_000, Mirror.second: 2_000])
                let (first, other) = (try monitor.stop(), try second.stop())
                first.streams[0].expectWhole(out, "monitor, OUT")
                first.streams[1].expectWhole(into, "monitor, IN")
                other.streams[0].expectWhole(out, "second, OUT")
                #expect(other.streams[1].frames == 0)
                let taps = Dictionary(uniqueKeysWithValues: statistics.taps.map { ($0.id, $0) })
                #expect(taps["both"]?.frames == 3_000)
                #expect(taps["out"]?.frames == 4_000)
                #expect(taps["both"]?.bytes == 3_000 * 128)
            }
        }

        /// As much as the sender can: drops are allowed, uncounted ones are not, and originals are none of them.
        @Test(arguments: [MirrorProgram.CaptureMode.tap, .span]) func overload(capture: MirrorProgram.CaptureMode)
            throws
        {
            try Mirror.with(Mirror.program(capture == .tap ? .both : .in, capture: capture)) { mirror in
                let source = capture == .tap ? mirror.lab.a : mirror.lab.feeder
                let stream = try Mirror.stream(1, lengths: [70])
                let before = try mirror.lab.monitor.counters(of: TappedPair.vxlan)
                let originals = try FrameReceiver(in: mirror.lab.b, interface: "eth0", streams: [stream])
                let sent = try FrameSender(stream, in: source, interface: "eth0", rate: 1e6, count: 300_000).wait()
                let report = originals.settle()
                try originals.stop()
                // The bridge's own way can be full as well: what it costs, the kernel counts where it happens.
                let full = try mirror.lab.b.counters(of: "eth0").receiveDropped
                if capture == .tap { #expect(report.streams[0].lost(of: sent) == report.missed + full) }
                // A frame that the device refused may have been captured before it was refused.
                let statistics = try mirror.ledger(offered: sent.refused.isEmpty ? [Mirror.monitor: sent.frames] : [:])
                let ledger = try #require(statistics.destinations.first)
                #expect(ledger.offered >= sent.frames)
                let received = try mirror.lab.monitor.counters(of: TappedPair.vxlan) - before
                // Full backlogs are the kernel's to name: in front of the underlay a frame has not reached the vxlan
                // device yet; one that is dropped behind it was counted as received.
                let underlay = try mirror.lab.monitor.counters(of: TappedPair.underlay)
                #expect(ledger.frames == received.receivedFrames + underlay.receiveDropped, "\(received) \(underlay)")
            }
        }

        /// SIGSTOP is the worst kind of worker: it holds everything and does nothing.
        @Test func aStoppedDataplaneHoldsNobodyUp() throws {
            try Mirror.with(Mirror.program()) { mirror in
                let stream = try Mirror.stream(1, lengths: [1000])
                let originals = try FrameReceiver(in: mirror.lab.b, interface: "eth0", streams: [stream])
                let copies = try mirror.receiver(Mirror.monitor, [stream])
                let sender = try FrameSender(stream, in: mirror.lab.a, interface: "eth0", rate: 20_000)
                copies.wait(seconds: 5) { $0.frames > 1_000 }
                let pid = try mirror.status().pid
                kill(pid, SIGSTOP)
                defer { kill(pid, SIGCONT) }
                let atStop = sender.report.frames
                poll(seconds: 10) { sender.report.frames > atStop + 60_000 }
                kill(pid, SIGCONT)
                let during = sender.report.frames
                #expect(during > atStop + 60_000)
                poll(seconds: 5) { sender.report.frames > during + 5_000 }
                let sent = try sender.stop()
                try mirror.expectOriginals(originals.settle(), sent)
                let ledger = try #require(try mirror.ledger(offered: [Mirror.monitor: sent.frames]).destinations.first)
                let report = copies.settle()
                #expect(report.missed == 0)
                // What waited in the ring comes in one burst, which can be too much for the monitor's own kernel.
                let underlay = try mirror.lab.monitor.counters(of: TappedPair.underlay)
                let vxlan = try mirror.lab.monitor.counters(of: TappedPair.vxlan)
                #expect(ledger.frames == vxlan.receivedFrames + underlay.receiveDropped, "\(vxlan) \(underlay)")
                #expect(report.frames == vxlan.receivedFrames - vxlan.receiveDropped, "\(vxlan)")
                #expect(report.streams[0].differing == 0)
                #expect(report.streams[0].reordered == 0)
                #expect(report.streams[0].contains(sent.nextSequence - 1), "copies go on after SIGCONT")
                try originals.stop()
                try copies.stop()
            }
        }
    }
}
