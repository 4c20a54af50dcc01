// Sequence numbers: one row for all tunnels between two addresses, without a gap that is not a loss, and across tables.

import CShims
import FastPath
import MirrorProgram
import Testing

@Suite struct SequenceTests {
    let uplink = FakeUplink(number: 1, size: 16)
    let counters = CounterBlock.allocate()
    let sequence = SequenceWord.allocate()
    let rig = Rig(chunks: 256)
    let frame = Frames.udp4(payload: [1, 2])

    private func plan(_ header: OuterHeader) -> DestinationPlan {
        DestinationPlan(
            encapsulation: header, frameLimit: 1500, uplink: uplink.uplink, fate: nil, counters: counters,
            sequence: sequence)
    }

    private func publish(_ headers: [OuterHeader]) {
        let tap = (counters: CounterBlock.allocate(), destinations: Array(headers.indices))
        _ = rig.publish(Selection(generation: 1, ports: [.init(slot: 0, taps: [tap])]), headers.map(plan), [uplink])
    }

    private func capture(_ count: Int) {
        for _ in 0..<count { rig.rings[0].push(record(length: frame.count), frame) }
    }

    /// Sequence numbers of what left.
    private func numbers() -> [Int] {
        uplink.sent(rig.area).map { $0.big32($0.big16(36) == 0x6558 ? 42 : 38) }
    }

    @Test func oneRowForAllTunnelsBetweenTwoAddresses() {
        publish([
            sampleHeader(.gre, 1, isSequenced: true), sampleHeader(.erspan2, 2), sampleHeader(.erspan3, 3),
        ])
        capture(3)
        rig.run()
        #expect(numbers() == Array(0..<9))
    }

    @Test func goesOnWithTheNextTable() {
        publish([sampleHeader(.erspan2, 2)])
        capture(3)
        rig.run()
        #expect(numbers() == [0, 1, 2])
        // Another next hop: the same two addresses.
        var header = sampleHeader(.erspan2, 2)
        header.destinationMAC = MACAddress("02:00:00:00:00:0c")!
        publish([header])
        capture(2)
        rig.run()
        #expect(numbers() == [3, 4] && sequence.next == 5)
    }

    @Test func onlyWhatIsQueuedIsNumbered() {
        publish([sampleHeader(.erspan2, 2)])
        capture(20)
        rig.run()
        #expect(counters.drops(.txRingFull) == 4 && counters.frames == 16)
        #expect(numbers() == Array(0..<16))
        capture(1)
        rig.run()
        #expect(numbers() == [16], "a copy that found no room left no gap")
    }

    @Test func wrapsAround() {
        publish([sampleHeader(.gre, 1, isSequenced: true)])
        sequence.set(.max)
        capture(2)
        rig.run()
        #expect(numbers() == [0xFFFF_FFFF, 0])
    }
}
