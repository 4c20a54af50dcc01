// The worker's filters against libpcap's own interpreter, on every way by which a frame comes: with a tag in it or beside
// it, as a super-frame, from a span port. What leaves without a filter is the truth that libpcap judges.

import CShims
import FastPath
import FilterCases
import MirrorProgram
import Testing

@Suite struct FilterTests {
    /// 63 filtered taps and one without, each with a destination of its own counters.
    private struct Bench {
        let rig = Rig(chunks: 512)
        let uplink = FakeUplink(number: 1, size: 1024)
        let filters: [MirrorProgram.PacketFilter]
        let counters = (0..<64).map { _ in CounterBlock.allocate() }
        let destination = CounterBlock.allocate()

        init(_ filters: [MirrorProgram.PacketFilter]) {
            self.filters = filters
            var taps = [Selection.Tap(counters: counters[0], destinations: [0])]
            for (index, filter) in filters.enumerated() {
                let tap = MirrorProgram.Tap(
                    id: "\(index)", port: "p", direction: .both, destinations: ["d"], filter: filter)
                taps.append(.init(counters: counters[index + 1], destinations: [0], actions: (tap, .allocate())))
            }
            _ = rig.publish(
                Selection(generation: 1, ports: [.init(slot: 0, taps: taps, spreads: [])]),
                [
                    DestinationPlan(
                        encapsulation: nil, frameLimit: 65535, uplink: uplink.uplink, fate: nil, counters: destination)
                ], [uplink])
        }

        /// Pushes one record and compares every tap's count with libpcap's.
        func judge(_ record: hs_record, _ bytes: [UInt8]) -> [String] {
            let before = counters.map(\.frames)
            rig.rings[0].push(record, bytes)
            rig.run()
            let sent = uplink.sent(rig.area)
            rig.run()
            guard UInt64(sent.count) == counters[0].frames - before[0], !sent.isEmpty else {
                return ["nothing was sent"]
            }
            return filters.indices.compactMap { index in
                let expected = sent.count { filters[index].reference($0) }
                let found = Int(counters[index + 1].frames - before[index + 1])
                return found == expected ? nil : "\(filters[index].expression): \(found), not \(expected): \(bytes)"
            }
        }
    }

    private func candidates(_ length: Int, _ flags: hs_record_flags) -> hs_record {
        var one = record(taps: .max, length: length)
        one.flags = UInt8(flags.rawValue)
        return one
    }

    @Test(arguments: 0..<8) func agreesWithLibpcap(_ seed: Int) {
        var dice = Dice(UInt64(seed) &+ 1)
        let bench = Bench(Array(CaseFilters.make(63 * 3, &dice).shuffled(using: &dice).prefix(63)))
        var faults: [String] = []
        for round in 0..<150 {
            let frame = CaseFrame.random(&dice)
            var one = candidates(frame.bytes.count, round % 2 == 0 ? HS_RECHECK : HS_UNFILTERED)
            var bytes = frame.bytes
            if frame.hasTag, bytes.count >= 18, round % 3 != 0 {
                // As the kernel hands it on: the outermost tag beside the frame.
                one.flags |= UInt8(HS_VLAN.rawValue)
                one.vlan_protocol = UInt16(bytes.big16(12))
                one.vlan_tci = UInt16(bytes.big16(14))
                bytes.removeSubrange(12..<16)
                one.length = UInt32(bytes.count)
                one.captured = one.length
            }
            faults += bench.judge(one, bytes)
        }
        #expect(faults.isEmpty, "\(faults.prefix(3))")
    }

    @Test func judgesSegmentsNotSuperFrames() {
        var dice = Dice(77)
        let bench = Bench(Array(CaseFilters.make(63 * 2, &dice).shuffled(using: &dice).prefix(63)))
        var faults: [String] = []
        for _ in 0..<60 {
            let bytes = superFrame(&dice, payload: 100 + dice.below(6000))
            var one = candidates(bytes.count, HS_RECHECK)
            one.gso_size = UInt16(dice.one(of: [100, 536, 1448]))
            one.gso_segments = 4
            one.gso_type = bytes[12] == 8 ? 1 : 16
            faults += bench.judge(one, bytes)
        }
        #expect(faults.isEmpty, "\(faults.prefix(3))")
    }

    /// The field holds the pseudo-header's sum in the record, and what is sent has the whole one.
    @Test func judgesTheCompletedChecksum() {
        let frame = Frames.udp4(payload: Frames.payload(30))
        var partial = frame
        partial.replaceSubrange(40..<42, with: big16(Frames.pseudoSum4(frame, network: 14)))
        let whole = Int(Frames.checksum(of: partial))
        let code: [MirrorProgram.FilterInstruction] = [
            .init(code: 0x28, jumpTrue: 0, jumpFalse: 0, k: 40),
            .init(code: 0x15, jumpTrue: 0, jumpFalse: 1, k: UInt32(whole)),
            .init(code: 0x06, jumpTrue: 0, jumpFalse: 0, k: 1), .init(code: 0x06, jumpTrue: 0, jumpFalse: 0, k: 0),
        ]
        let bench = Bench([.init(expression: "udp[6:2]", code: code)])
        var one = candidates(partial.count, HS_RECHECK)
        one.flags |= UInt8(HS_CHECKSUM_PARTIAL.rawValue)
        one.csum_start = 34
        one.csum_offset = 6
        #expect(bench.judge(one, partial).isEmpty)
        #expect(bench.counters[1].frames == 1)
    }

    /// Judged in the kernel: the worker does not ask again.
    @Test func takesTheKernelsWord() {
        let bench = Bench([.init(expression: "none", code: [.init(code: 0x06, jumpTrue: 0, jumpFalse: 0, k: 0)])])
        let frame = Frames.udp4(payload: [1])
        bench.rig.rings[0].push(record(taps: 2, length: frame.count), frame)
        bench.rig.run()
        #expect(bench.counters[1].frames == 1)
    }
}

extension Frames {
    /// The checksum of an IPv4 UDP frame without tags or options whose field holds the pseudo-header's sum.
    static func checksum(of partial: [UInt8]) -> UInt16 { internetChecksum(Array(partial[34...])) }
}
