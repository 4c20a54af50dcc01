// Promise: where BPF may not be loaded, `tap` is captured by packet sockets, says so, and keeps the promises of `tap`; what
// needs BPF is an error with the reason.

import Foundation
import Glibc
import Lab
import MirrorProgram
import Testing

extension Promises {
    @Suite struct PromisePacketSockets {
        /// A dataplane that root has started without the rights to BPF (CAP_SYS_ADMIN stands for them too).
        private func withoutBPF(_ body: () throws -> Void) throws {
            let wrapper = ["setpriv", "--bounding-set", "-bpf,-perfmon,-sys_admin"]
            try Mirror.$wrapper.withValue(wrapper) { try body() }
        }

        @Test func saysSo() throws {
            try withoutBPF {
                var program = Mirror.program(to: [Mirror.monitor, Mirror.local])
                program.ports.append(
                    .init(id: "preferred", interface: TappedPair.otherPort, capture: .xdp, policy: .prefer))
                program.ports.append(.init(id: "span", interface: TappedPair.spanPort, capture: .span))
                program.taps += ["preferred", "span"].map {
                    .init(id: $0, port: $0, direction: .both, destinations: [Mirror.monitor])
                }
                program.deliveries = [
                    .init(
                        id: "delivery", peers: [.init(TappedPair.monitorAddress)!], encapsulation: .vxlan, tunnelID: 9,
                        interface: TappedPair.localPort)
                ]
                try Mirror.with(program, ready: false) { mirror in
                    let why = "BPF, which cannot be used here: missing CAP_BPF"
                    poll(seconds: 10) { (try? mirror.status().ports[0].hook) != nil }
                    let status = try mirror.status()
                    let (tapped, preferred, span) = (status.ports[0], status.ports[1], status.ports[2])
                    #expect(tapped.state == .capturing && tapped.obtained == .tap && tapped.hook == "af_packet")
                    #expect(tapped.reason == "by a packet socket, since BPF cannot be used here: missing CAP_BPF")
                    #expect(preferred.state == .capturing && preferred.obtained == .tap, "\(preferred)")
                    #expect(preferred.hook == "af_packet" && preferred.reason == "xdp needs \(why)", "\(preferred)")
                    #expect(
                        span.state == .error && span.obtained == nil && span.reason == "span needs \(why)", "\(span)")
                    let delivery = try #require(status.deliveries.first)
                    #expect(delivery.state == .error && delivery.reason == "a delivery needs \(why)", "\(delivery)")
                    let log = mirror.dataplane.process.standardError
                    #expect(
                        log.components(separatedBy: "`tap` ports are captured by a packet socket").count == 2, "\(log)")
                }
            }
        }

        @Test(arguments: [MirrorProgram.Direction.both, .in, .out])
        func copiesAreIdentical(direction: MirrorProgram.Direction) throws {
            try withoutBPF { try PromiseIdentical().tap(direction: direction, capture: .tap) }
        }

        @Test(arguments: [false, true]) func tcpWithOffloads(fromB: Bool) throws {
            try withoutBPF { try PromiseTCP().copiesAreSegments(fromB: fromB) }
        }

        @Test(.withDecoders, arguments: [MirrorProgram.Direction.out, .in])
        func superFrames(direction: MirrorProgram.Direction) throws {
            try withoutBPF { try PromiseWireForm().superFrames(direction: direction) }
        }

        @Test(arguments: [MirrorProgram.Direction.in, .out])
        func tagsThatTheKernelTookOut(direction: MirrorProgram.Direction) throws {
            try withoutBPF { try PromiseFilter().tagsThatTheKernelTookOut(direction: direction, capture: .tap) }
        }

        @Test func filtersAndActions() throws {
            try withoutBPF {
                try PromiseFilter().actionsDoWhatTheySay()
                try PromiseFilter().segmentsAreJudgedOneByOne()
            }
        }

        @Test func copiesAreNotCopied() throws {
            try withoutBPF {
                try PromiseNoLoops().aTappedUplink()
                try PromiseNoLoops().everyEncapsulation(capture: .tap)
                try PromiseNoLoops().ourTupleFromAnotherSender()
            }
        }

        @Test func aQuestionComesBeforeItsAnswer() throws {
            try withoutBPF { try PromiseOrder().acrossDirections(capture: .tap) }
        }

        @Test func anInterfaceThatIsDeletedAndAddedAgain() throws {
            try withoutBPF { try PromiseInterface().deletedAndAddedAgain() }
        }

        @Test func killedUnderLoad() throws {
            try withoutBPF {
                try Mirror.with(Mirror.program(), supervised: true) { mirror in
                    let stream = try Mirror.stream(1, lengths: [128])
                    let originals = try FrameReceiver(in: mirror.lab.b, interface: "eth0", streams: [stream])
                    let copies = try mirror.receiver(Mirror.monitor, [stream])
                    let sender = try FrameSender(stream, in: mirror.lab.a, interface: "eth0", rate: 20_000)
                    try #require(copies.wait(seconds: 5) { $0.frames > 2_000 })
                    for _ in 0..<3 {
                        let pid = try mirror.status().pid
                        try #require(kill(pid, SIGKILL) == 0)
                        try #require(poll(seconds: 5) { (try? mirror.status().pid).map { $0 != pid } ?? false })
                        let count = copies.count
                        try #require(copies.wait(seconds: 10) { $0.frames > count + 25_000 })
                    }
                    let sent = try sender.stop()
                    try mirror.expectOriginals(originals.settle(), sent)
                    let check = copies.settle().streams[0]
                    #expect(check.differing == 0 && check.duplicates == 0, "\(check.firstDifference ?? "")")
                    let longest = check.silences.map { $0.upperBound - $0.lowerBound }.max() ?? 0
                    print(
                        "figure: packet sockets, three kill -9: longest time without a copy \(longest / 1_000_000) ms")
                    try originals.stop()
                    try copies.stop()
                }
            }
        }

        /// More than the worker takes: what is lost in the ring is counted.
        @Test func overload() throws {
            try withoutBPF {
                try Mirror.with(Mirror.program(.out)) { mirror in
                    let stream = try Mirror.stream(1, lengths: [128])
                    let originals = try FrameReceiver(in: mirror.lab.b, interface: "eth0", streams: [stream])
                    let pid = try mirror.status().pid
                    try #require(kill(pid, SIGSTOP) == 0)
                    let sent = try FrameSender(
                        stream, in: mirror.lab.a, interface: "eth0", rate: 30_000, count: 60_000
                    ).wait()
                    kill(pid, SIGCONT)
                    try mirror.expectOriginals(originals.settle(), sent)
                    let ledger = try mirror.ledger(offered: [Mirror.monitor: sent.frames]).destinations[0]
                    let lost = ledger.drops["capture_ring_full"] ?? 0
                    #expect(lost > 10_000 && lost < sent.frames, "\(ledger)")
                    try originals.stop()
                }
            }
        }
    }
}
