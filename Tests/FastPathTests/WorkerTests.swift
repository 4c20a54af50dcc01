// The worker's turn on rings of plain memory: what leaves, in which order, and how it is counted.

import CShims
import FastPath
import MirrorProgram
import Testing

@Suite struct WorkerTests {
    let tap = CounterBlock.allocate()
    let destination = CounterBlock.allocate()
    let uplink = FakeUplink(number: 1)

    private func plan(_ limit: Int = 9000, uplink: FakeUplink? = nil, counters: CounterBlock? = nil) -> DestinationPlan
    {
        DestinationPlan(
            encapsulation: sampleVXLAN, frameLimit: limit, uplink: (uplink ?? self.uplink).uplink, fate: nil,
            counters: counters ?? destination)
    }

    private func oneTap(_ generation: UInt32 = 1) -> Selection {
        Selection(generation: generation, ports: [.init(slot: 0, taps: [(tap, [0])])])
    }

    @Test func aFrameLeavesBehindItsHeader() {
        let rig = Rig()
        _ = rig.publish(oneTap(), [plan()], [uplink])
        let frame = Frames.udp4(payload: Frames.payload(40))
        rig.rings[0].push(record(length: frame.count), frame)
        rig.run()
        let sent = uplink.sent(rig.area)
        #expect(sent.count == 1)
        #expect(Array(sent[0][50...]) == frame)
        #expect(Array(sent[0][42..<50]) == [8, 0, 0, 0, 0, 0x13, 0x89, 0])
        #expect((49152...65535).contains(sent[0].big16(34)))
        #expect(tap.frames == 1 && tap.bytes == UInt64(frame.count) && destination.offered == 1)
        rig.run()
        #expect(rig.worker.census().free == 256, "completions come back")
    }

    @Test(arguments: [14, 59, 60, 1514, 4045, 4046, 4047, 8142, 8143, 9014])
    func everyLengthIsSentWhole(_ length: Int) {
        let rig = Rig()
        _ = rig.publish(oneTap(), [plan(9014)], [uplink])
        let frame = Frames.macs + Frames.payload(length - 12)
        rig.rings[0].push(record(length: length), frame)
        rig.run()
        let sent = uplink.sent(rig.area)
        #expect(sent.count == 1 && Array(sent[0][50...]) == frame)
    }

    @Test func tooLongIsTruncatedAndCounted() {
        let rig = Rig()
        _ = rig.publish(oneTap(), [plan(100)], [uplink])
        let frame = Frames.udp4(payload: Frames.payload(200))
        rig.rings[0].push(record(length: frame.count), frame)
        rig.run()
        let sent = uplink.sent(rig.area)
        #expect(Array(sent[0][50...]) == Array(frame[..<100]))
        #expect(sent[0].big16(16) == 136, "the outer length is that of what is sent")
        #expect(tap.truncated == 1 && destination.truncated == 1)
    }

    @Test func ringsAreMergedByTime() {
        let rig = Rig(rings: 2)
        _ = rig.publish(oneTap(), [plan()], [uplink])
        for (time, ring) in [(1, 0), (4, 0), (5, 0), (2, 1), (3, 1), (6, 1)] {
            rig.rings[ring].push(record(time: UInt64(time), length: 14), Frames.macs + [0, UInt8(time)])
        }
        rig.run()
        #expect(uplink.sent(rig.area).map { $0.last! } == [1, 2, 3, 4, 5, 6])
    }

    /// A CPU may have been held up between a frame's time and the end of its record.
    @Test func anEarlierTimeThatComesLateIsTaken() {
        let rig = Rig(rings: 2)
        _ = rig.publish(oneTap(), [plan()], [uplink])
        for (time, ring) in [(5, 0), (3, 1), (4, 0)] {
            rig.rings[ring].push(record(time: UInt64(time), length: 14), Frames.macs + [0, UInt8(time)])
            rig.run()
        }
        #expect(uplink.sent(rig.area).map { $0.last! } == [5, 3, 4])
    }

    @Test func laterThanTheHorizonWaits() {
        let rig = Rig()
        _ = rig.publish(oneTap(), [plan()], [uplink])
        rig.rings[0].push(record(time: .max, length: 14), Frames.macs + [0, 1])
        #expect(rig.worker.turn() == 0)
        #expect(uplink.sent(rig.area).isEmpty)
    }

    @Test func aRecordIsActedOnUnderTheProgramThatMatchedIt() {
        let rig = Rig()
        let other = FakeUplink(number: 2)
        let (newTap, newDestination) = (CounterBlock.allocate(), CounterBlock.allocate())
        let new = Selection(generation: 2, ports: [.init(slot: 0, taps: [(newTap, [1])])])
        let plans = [plan(), plan(uplink: other, counters: newDestination)]
        _ = rig.publish(new, previous: oneTap(1), plans, [uplink, other])
        for generation: UInt32 in [1, 2, 3] {
            rig.rings[0].push(record(generation: generation, length: 14), Frames.macs + [0, UInt8(generation)])
        }
        rig.run()
        #expect(uplink.sent(rig.area).map { $0.last! } == [1])
        #expect(other.sent(rig.area).map { $0.last! } == [2])
        #expect(rig.worker.strays(.unknownGeneration) == 1)
    }

    @Test func oncePerDestinationAndCountedForBothTaps() {
        let rig = Rig()
        let second = CounterBlock.allocate()
        let selection = Selection(generation: 1, ports: [.init(slot: 3, taps: [(tap, [0]), (second, [0])])])
        _ = rig.publish(selection, [plan()], [uplink])
        rig.rings[0].push(record(taps: 3, length: 14, slot: 3), Frames.macs + [0, 0])
        rig.rings[0].push(record(taps: 2, length: 14, slot: 3), Frames.macs + [0, 0])
        rig.run()
        #expect(uplink.sent(rig.area).count == 2)
        #expect(tap.frames == 1 && second.frames == 2 && destination.frames == 2)
    }

    @Test func aStandingFateIsCountedForEveryCopy() {
        let rig = Rig()
        let unreachable = DestinationPlan(
            encapsulation: nil, frameLimit: 0, uplink: nil, fate: .neighbourUnresolved, counters: destination)
        _ = rig.publish(oneTap(), [unreachable], [])
        rig.rings[0].push(record(length: 14), Frames.macs + [0, 0])
        rig.run()
        #expect(destination.offered == 1 && destination.drops(.neighbourUnresolved) == 1)
        #expect(tap.drops(.neighbourUnresolved) == 1 && tap.frames == 0)
    }

    @Test func aFullRingAndEmptyUMEMAreCountedAndNothingLeaks() {
        let rig = Rig(chunks: 16)
        let small = FakeUplink(number: 1, size: 4)
        _ = rig.publish(oneTap(), [plan(uplink: small)], [small])
        for _ in 0..<6 { rig.rings[0].push(record(length: 14), Frames.macs + [0, 0]) }
        rig.run()
        #expect(destination.frames == 4 && destination.drops(.txRingFull) == 2 && destination.offered == 6)
        #expect(rig.worker.census().transmit == 4)
        #expect(small.sent(rig.area).count == 4)
        rig.run()
        #expect(rig.worker.census().free == 16)
        _ = rig.publish(oneTap(), [plan()], [uplink], wanted: 14)
        for _ in 0..<3 { rig.rings[0].push(record(length: 14), Frames.macs + [0, 0]) }
        rig.run()
        #expect(destination.frames == 6 && destination.drops(.umemExhausted) == 1 && destination.offered == 9)
    }

    @Test func anUplinkThatIsStuckLeavesTheOthersTheirChunks() {
        let rig = Rig(chunks: 64)
        _ = rig.publish(oneTap(), [plan()], [uplink])
        for _ in 0..<40 { rig.rings[0].push(record(length: 14), Frames.macs + [0, 0]) }
        rig.run()
        #expect(destination.frames == 16 && destination.drops(.txRingFull) == 24)
    }

    @Test func chunksChangeHandsWithATable() {
        let rig = Rig(chunks: 8)
        let table = rig.publish(oneTap(), [plan()], [uplink], wanted: 5)
        rig.run()
        #expect(rig.worker.acknowledgedSerial == table.serial)
        #expect(Set(table.grantedChunks).count == 5 && rig.worker.census().free == 3)
        rig.worker.place(table.grantedChunks, inFillRingOf: 9)
        #expect(Set(rig.worker.chunks(heldBy: 9)) == Set(table.grantedChunks))
    }
}
