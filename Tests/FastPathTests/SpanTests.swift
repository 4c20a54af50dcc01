// The `span` source on rings of plain memory: received chunks are sent on as they are.

import CShims
import FastPath
import MirrorProgram
import Testing

@Suite struct SpanTests {
    let tap = CounterBlock.allocate()
    let counters = [CounterBlock.allocate(), CounterBlock.allocate()]
    let uplinks = [FakeUplink(number: 1), FakeUplink(number: 2)]
    let receive = FakeRing<xdp_desc>(size: 64, filler: xdp_desc())
    let fill = FakeRing<UInt64>(size: 64, filler: 0)
    let rig = Rig(chunks: 256)

    private func start(destinations: [Int], limit: Int = 9000, _ header: OuterHeader = sampleVXLAN) {
        let span = UnsafeMutablePointer<SpanSource>.allocate(capacity: 1)
        span.initialize(to: SpanSource(socket: -1, number: 3, slot: 5, receive: receive.mapping, fill: fill.mapping))
        let plans = zip(uplinks, counters).map { uplink, counters in
            DestinationPlan(
                encapsulation: header, frameLimit: limit, uplink: uplink.uplink, fate: nil, counters: counters,
                sequence: header.tunnel.isSequenced ? .allocate() : nil)
        }
        _ = rig.publish(
            Selection(generation: 1, ports: [.init(slot: 5, taps: [(tap, destinations)])]), plans, uplinks,
            spans: [span])
        rig.run()
    }

    /// The kernel receives one frame into chunks of the fill ring.
    private func arrive(_ frame: [UInt8], headroom: Int = 384) {
        var at = 0
        while at < frame.count {
            let address = fill.pop()! + UInt64(headroom)
            let part = min(frame.count - at, 4096 - headroom)
            frame[at..<(at + part)].withUnsafeBytes {
                (rig.area + Int(address)).copyMemory(from: $0.baseAddress!, byteCount: part)
            }
            at += part
            receive.push(xdp_desc(addr: address, len: UInt32(part), options: at < frame.count ? 1 : 0))
        }
    }

    @Test(arguments: [14, 60, 1514, 9014])
    func oneDestinationIsSentFromTheChunkItCameIn(_ length: Int) {
        start(destinations: [0], limit: 9014)
        let frame = Frames.macs + Frames.payload(length - 12)
        arrive(frame)
        let address = receive.elements[0].addr
        rig.run()
        #expect(uplinks[0].transmit.elements[0].addr == address - 50, "the header is in the headroom")
        let sent = uplinks[0].sent(rig.area)
        #expect(sent.count == 1 && Array(sent[0][50...]) == frame && tap.frames == 1)
    }

    @Test(arguments: [60, 9014])
    func furtherDestinationsGetCopies(_ length: Int) {
        start(destinations: [0, 1], limit: 9014)
        let frame = Frames.macs + Frames.payload(length - 12)
        arrive(frame)
        rig.run()
        for (uplink, counter) in zip(uplinks, counters) {
            let sent = uplink.sent(rig.area)
            #expect(sent.count == 1 && Array(sent[0][50...]) == frame && counter.frames == 1)
        }
        rig.run()
        let census = rig.worker.census()
        #expect(census.free + census.fill == 256 && census.fill == 64)
    }

    /// A driver without copies takes out of a fill ring whatever its own ring has room for: each queue has its share.
    @Test func noQueueTakesTheChunksOfAnother() {
        let queues = (0..<2).map { _ in
            (receive: FakeRing<xdp_desc>(size: 256, filler: xdp_desc()), fill: FakeRing<UInt64>(size: 256, filler: 0))
        }
        let spans = queues.enumerated().map { index, queue in
            let span = UnsafeMutablePointer<SpanSource>.allocate(capacity: 1)
            span.initialize(
                to: SpanSource(
                    socket: -1, number: UInt16(3 + index), slot: 5, receive: queue.receive.mapping,
                    fill: queue.fill.mapping))
            return span
        }
        _ = rig.publish(
            Selection(generation: 1, ports: [.init(slot: 5, taps: [(tap, [])])]), [], [], spans: spans)
        var taken = [0, 0]
        for _ in 0..<3 {
            rig.run()
            for (index, queue) in queues.enumerated() { while queue.fill.pop() != nil { taken[index] += 1 } }
        }
        #expect(taken == [96, 96] && rig.worker.census().free == 64)
    }

    /// Every encapsulation in the headroom, with a first chunk of odd length, so that the checksum's pieces are odd too.
    @Test(arguments: MirrorProgram.Encapsulation.allCases, [60, 3800, 9014])
    func everyHeaderFitsIntoTheHeadroom(_ encapsulation: MirrorProgram.Encapsulation, _ length: Int) {
        for isIPv6 in [false, true] {
            let header = sampleHeader(encapsulation, 9, isIPv6: isIPv6) {
                $0.udpChecksum = encapsulation.usualUDPPort == nil ? nil : true
            }
            start(destinations: [0], limit: 9014, header)
            let frame = Frames.macs + [0x81, 0, 0xA0, 0x64] + Frames.payload(length - 16)
            arrive(frame, headroom: 385)
            rig.run()
            let sent = uplinks[0].sent(rig.area)
            #expect(sent.count == 1 && Array(sent[0][header.length...]) == frame)
            #expect(
                sent[0] == EncapsulationLab().send(header, frame, limit: 9014) || encapsulation == .erspan3
                    || encapsulation == .geneve, "as from a copy, but for the time")
            #expect(encapsulation.usualUDPPort == nil || isSoundUDP(sent[0]))
            rig.run()
        }
    }

    @Test func aReceivedFrameHasThisTurnsTime() throws {
        let offset: UInt64 = 1_700_000_000_000_000_000
        rig.worker.setRealTime(offset: offset)
        start(destinations: [0], sampleHeader(.geneve, 9))
        arrive(Frames.macs + [0, 0])
        let before = offset + hs_clock()
        rig.run()
        let sent = try #require(uplinks[0].sent(rig.area).first)
        let time = UInt64(sent.big32(70)) << 32 | UInt64(sent.big32(74))
        #expect(time >= before && time <= offset + hs_clock())
        #expect(sent.big32(54) == 5 && sent.big32(62) == 1, "slot and IN")
    }

    @Test func cutAndDroppedInPlace() {
        start(destinations: [0], limit: 100, sampleHeader(.erspan2, 9))
        arrive(Frames.macs + Frames.payload(200))
        rig.run()
        #expect(uplinks[0].sent(rig.area).map { [$0.count, $0.big16(44) & 0x0400] } == [[150, 0x0400]])
        start(destinations: [0], limit: 100, sampleHeader(.vxlan, 9) { $0.oversize = .drop })
        arrive(Frames.macs + Frames.payload(200))
        rig.run()
        #expect(uplinks[0].sent(rig.area).isEmpty && counters[0].drops(.exceedsMTU) == 1)
        #expect(rig.worker.census().receive == 0)
    }

    @Test func truncationFreesTheTailChunks() {
        start(destinations: [0], limit: 1000)
        arrive(Frames.macs + Frames.payload(9000))
        rig.run()
        #expect(uplinks[0].sent(rig.area).map(\.count) == [1050] && tap.truncated == 1)
        rig.run()
        #expect(rig.worker.census().receive == 0 && rig.worker.census().transmit == 0)
    }

    @Test func aHalfReceivedChainWaits() {
        start(destinations: [0])
        arrive(Frames.macs + Frames.payload(5000))
        receive.words[0] -= 1
        rig.run()
        #expect(uplinks[0].sent(rig.area).isEmpty)
        receive.words[0] += 1
        rig.run()
        #expect(uplinks[0].sent(rig.area).count == 1)
    }

    @Test func withoutATapChunksGoBack() {
        start(destinations: [])
        arrive(Frames.macs + [0, 0])
        rig.run()
        #expect(uplinks[0].sent(rig.area).isEmpty)
        #expect(rig.worker.census().free + rig.worker.census().fill == 256)
    }
}
