// The rings by themselves, where their indices wrap: 32-bit ones of AF_XDP, byte positions of a capture ring.

import CShims
import FastPath
import Glibc
import MirrorProgram
import Testing

@Suite struct RingTests {
    /// Both indices a little before they wrap.
    private func ring(_ start: UInt32) -> FakeRing<UInt64> {
        let ring = FakeRing<UInt64>(size: 4, filler: 0)
        (ring.words[0], ring.words[16]) = (start, start)
        return ring
    }

    // A ring cannot be copied, and #expect copies: what it says is taken into a constant first.

    @Test(arguments: [0, 3, .max - 1] as [UInt32])
    func aProducerFillsUpAndGoesOnWhenTheKernelHasTaken(start: UInt32) {
        let memory = ring(start)
        var producer = ProducerRing<UInt64>(memory.mapping)
        var rooms: [UInt32] = []
        for value: UInt64 in 1...4 {
            rooms.append(producer.room())
            producer.write(value)
        }
        let full = (producer.hasRoom(1), producer.room(), producer.pending())
        #expect(rooms == [4, 3, 2, 1] && full == (false, 0, 4))
        #expect(memory.words[0] == start, "nothing is seen before it is published")
        producer.publish()
        #expect(memory.words[0] == start &+ 4)
        #expect((0..<4).map { memory.elements[Int((start &+ $0) & 3)] } == [1, 2, 3, 4])
        memory.words[16] &+= 3
        let after = (producer.hasRoom(3), producer.hasRoom(4), producer.pending())
        #expect(after == (true, false, 1))
    }

    @Test(arguments: [0, 3, .max - 1] as [UInt32])
    func aConsumerSeesWhatIsThereAndGivesItBackAtOnce(start: UInt32) {
        let memory = ring(start)
        for index: UInt32 in 0..<3 { memory.elements[Int((start &+ index) & 3)] = UInt64(index + 7) }
        memory.words[0] &+= 3
        var consumer = ConsumerRing<UInt64>(memory.mapping)
        let (there, elements) = (consumer.available(), [consumer.peek(0), consumer.peek(1), consumer.peek(2)])
        #expect(there == 3 && elements == [7, 8, 9])
        consumer.advance(2)
        #expect(memory.words[16] == start, "the room is the kernel's only after release")
        consumer.release()
        let left = consumer.available()
        #expect(memory.words[16] == start &+ 2 && left == 1)
    }

    @Test func theKernelsWishForAWakeUpIsSeen() {
        let memory = ring(0)
        let producer = ProducerRing<UInt64>(memory.mapping)
        let before = producer.needsWakeup()
        memory.words[32] = 1
        let after = producer.needsWakeup()
        #expect(!before && after)
    }

    /// A record that runs over the ring's end is read in one piece, and the next one begins where the ring does.
    @Test func aRecordRunsOverTheEnd() throws {
        let ring = FakeCaptureRing(size: 4096, position: UInt(bitPattern: -1000) & ~7)
        let tap = CounterBlock.allocate()
        let uplink = FakeUplink(number: 1)
        let rig = Rig(rings: [ring])
        let plan = DestinationPlan(
            encapsulation: sampleVXLAN, frameLimit: 9000, uplink: uplink.uplink, fate: nil, counters: .allocate())
        _ = rig.publish(Selection(generation: 1, ports: [.init(slot: 0, taps: [(tap, [0])])]), [plan], [uplink])
        let frames = (1...9).map { Frames.macs + Frames.payload(500 + $0 * 37) }
        var places: [Int] = []
        for frame in frames {
            places.append(ring.push(record(length: frame.count), frame) - ring.mapping.memory)
            rig.run()
        }
        #expect(uplink.sent(rig.area).map { Array($0[50...]) } == frames)
        #expect(ring.mapping.consumed == ring.mapping.produced, "positions wrap with the word")
        #expect(places[2] == MemoryLayout<hs_ring>.size, "the one before ran over the end: \(places)")
    }

    /// A driver that sends without copying begins when it likes: to call it again at once costs system calls and does nothing.
    @Test(arguments: [false, true]) func aDriverIsCalledOnceWithoutCopying(isZeroCopy: Bool) throws {
        var kernel: [Int32] = [-1, -1]
        let type = Int32(SOCK_DGRAM.rawValue)
        try #require(socketpair(AF_UNIX, type, 0, &kernel) == 0)
        defer { for end in kernel { close(end) } }
        let transmit = MemoryRing<xdp_desc>(size: 64, filler: xdp_desc())
        let completion = MemoryRing<UInt64>(size: 64, filler: 0)
        // XDP_RING_NEED_WAKEUP
        transmit.mapping.flags.storeBytes(of: 1, as: UInt32.self)
        let uplink = UnsafeMutablePointer<Uplink>.allocate(capacity: 1)
        uplink.initialize(
            to: Uplink(
                socket: kernel[0], number: 1, transmit: transmit.mapping, completion: completion.mapping,
                isZeroCopy: isZeroCopy))
        let rig = Rig()
        let plan = DestinationPlan(
            encapsulation: sampleVXLAN, frameLimit: 9000, uplink: uplink, fate: nil, counters: .allocate())
        let selection = Selection(generation: 1, ports: [.init(slot: 0, taps: [(.allocate(), [0])])])
        rig.worker.publish(
            ForwardingTable(
                serial: 1, current: selection, destinations: [plan], uplinks: [uplink], limits: [nil], spans: []))
        let frame = Frames.macs + Frames.payload(100)
        rig.rings[0].push(record(length: frame.count), frame)
        #expect(rig.worker.turn() == 1)
        var calls = 0
        while recv(kernel[1], nil, 0, Int32(MSG_DONTWAIT)) == 0 { calls += 1 }
        #expect(isZeroCopy ? calls == 1 : calls > 1, "\(calls)")
    }
}
