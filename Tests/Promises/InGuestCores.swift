// Several workers, isolated CPUs and huge pages: inside a guest machine with four CPUs, of which the last is isolated, and
// with huge pages set aside (group `cores` of Tests/run).

import Lab
import MirrorProgram
import Testing

@Suite(.serialized, .inGuest, .timeLimit(.minutes(5))) struct InGuestCores {
    private func copies(_ options: [String], _ expect: (DataplaneStatus) throws -> Void) throws {
        var program = Mirror.program(.out)
        program.ports.append(.init(id: "other", interface: TappedPair.otherPort))
        program.taps.append(.init(id: "other", port: "other", direction: .out, destinations: [Mirror.monitor]))
        try Mirror.with(program, dataplane: options, ready: false) { mirror in
            try mirror.waitUntilReady(seconds: 60)
            try expect(try mirror.status())
            let streams = [try Mirror.stream(1, flows: 4), try Mirror.stream(2, fromB: true, flows: 4)]
            let copies = try mirror.receiver(Mirror.monitor, streams)
            let senders = [
                try FrameSender(
                    streams[0], in: mirror.lab.a, interface: "eth0", rate: 500, count: 2_000, moveEvery: 20),
                try FrameSender(
                    streams[1], in: mirror.lab.b, interface: "eth0", rate: 500, count: 2_000, moveEvery: 30),
            ]
            let sent = try senders.map { try $0.wait() }
            copies.wait(seconds: 30) { $0.frames >= 4_000 }
            let report = try copies.stop()
            for (check, sent) in zip(report.streams, sent) { check.expectWhole(sent, "stream \(check.stream.id)") }
            try mirror.ledger(offered: [Mirror.monitor: 4_000])
        }
    }

    @Test func fourWorkers() throws {
        try copies(["--workers", "4"]) { status in
            #expect(status.workers.count == 4 && status.workers.allSatisfy { $0.scheduling == "nice 0" })
            #expect(status.workers.filter { !$0.ports.isEmpty }.count == 2)
            // Enough of them for three, whichever.
            #expect(status.workers.filter { $0.pages == .huge }.count == 3)
        }
    }

    @Test func pinned() throws {
        try copies(["--cpus", "1,3"]) { status in
            #expect(status.workers.map(\.cpus) == [[1], [3]])
            // Neither yields: one has a CPU of its own, the other an equal share.
            #expect(status.workers.map(\.scheduling) == ["nice 0", "nice 0"])
            #expect(status.workers.allSatisfy { $0.pages == .huge && $0.node == 0 && $0.reason == nil })
        }
    }

    @Test func inRealTime() throws {
        try copies(["--cpus", "3", "--realtime", "--busy-poll"]) { status in
            #expect(status.workers.map(\.scheduling) == ["fifo 1"] && status.workers[0].reason == nil)
            #expect(status.uplinks.first?.busyPoll == true)
        }
    }
}
