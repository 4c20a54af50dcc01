// Copies that go from one worker to another, which has the uplink's one queue: byte for byte, in order, none lost between
// the two and none counted twice.

import CShims
import FastPath
import Glibc
import MirrorProgram
import Testing

@Suite struct HandoverTests {
    private let sender = Rig()
    private let owner = Rig()
    private let exit: FakeUplink
    private let way: FakeUplink
    private let handover: UnsafeMutablePointer<Handover>
    private let tap = CounterBlock.allocate()
    private let destination = CounterBlock.allocate()

    init() { self.init(exitSize: 256, waySize: 64) }

    private init(exitSize: UInt32, waySize: UInt32, bell: Int32 = -1, asleep: UnsafeMutableRawPointer? = nil) {
        exit = FakeUplink(number: 1, size: exitSize)
        way = FakeUplink(number: 2, size: waySize, bell: bell, asleep: asleep)
        handover = .allocate(capacity: 1)
        handover.initialize(
            to: Handover(
                transmit: way.transmit.mapping, completion: way.completion.mapping, area: sender.area, exit: exit.uplink
            ))
        _ = owner.publish(Selection(generation: 1, ports: []), [], [exit], handovers: [handover])
        let plan = DestinationPlan(
            encapsulation: nil, frameLimit: 9_000, uplink: way.uplink, fate: nil, counters: destination)
        let selection = Selection(
            generation: 1, ports: [.init(slot: 0, taps: [(counters: tap, destinations: [0])])])
        _ = sender.publish(selection, [plan], [way])
        owner.run()
        sender.run()
    }

    private func frame(_ number: Int, _ length: Int) -> [UInt8] {
        Frames.macs + [0x88, 0xB5] + (14..<length).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ number) }
    }

    @Test func byteForByteAndInOrder() {
        let frames = (0..<20).map { frame($0, $0 % 3 == 0 ? 5_000 : 60 + $0) }
        for frame in frames { sender.rings[0].push(record(length: frame.count), frame) }
        sender.run()
        owner.run()
        #expect(exit.sent(owner.area) == frames)
        owner.run()
        sender.run()
        #expect(sender.worker.census().free == 256 && owner.worker.census().free == 256)
        #expect(destination.frames == 20 && destination.offered == 20)
    }

    @Test func whatFindsNoRoomIsTheSendersDrop() {
        let lab = HandoverTests(exitSize: 4, waySize: 8)
        for number in 0..<20 { lab.sender.rings[0].push(record(length: 60), frame(number, 60)) }
        lab.sender.run()
        #expect(lab.destination.frames == 8 && lab.destination.drops(.txRingFull) == 12)
        // The owner takes as many as it can send, and leaves the others where they are.
        lab.owner.run()
        #expect(lab.owner.worker.census().transmit == 4)
        var arrived = lab.exit.sent(lab.owner.area)
        lab.owner.run()
        arrived += lab.exit.sent(lab.owner.area)
        #expect(arrived == (0..<8).map { frame($0, 60) })
        lab.owner.run()
        lab.sender.run()
        #expect(lab.sender.worker.census().free == 256 && lab.owner.worker.census().free == 256)
    }

    @Test func aSleepingOwnerIsWokenOnce() {
        let bell = eventfd(0, Int32(EFD_NONBLOCK))
        defer { close(bell) }
        let asleep = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)
        asleep.initialize(to: 0)
        let lab = HandoverTests(exitSize: 64, waySize: 64, bell: bell, asleep: UnsafeMutableRawPointer(asleep))
        var count: UInt64 = 0
        lab.sender.rings[0].push(record(length: 60), frame(1, 60))
        lab.sender.run()
        #expect(read(bell, &count, 8) == -1, "it was awake")
        asleep.pointee = 1
        lab.sender.rings[0].push(record(length: 60), frame(2, 60))
        lab.sender.run()
        #expect(read(bell, &count, 8) == 8 && count == 1 && asleep.pointee == 0)
    }

    @Test func heldFramesWaitInTheirRings() {
        sender.worker.hold(true)
        sender.rings[0].push(record(length: 60), frame(1, 60))
        sender.run()
        #expect(destination.offered == 0)
        sender.worker.hold(false)
        sender.run()
        #expect(destination.frames == 1)
    }
}
