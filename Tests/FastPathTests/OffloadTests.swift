// What senders leave to their NIC is done before a copy leaves: tags, partial checksums, segmentation.

import CShims
import FastPath
import MirrorProgram
import Testing

@Suite struct OffloadTests {
    let tap = CounterBlock.allocate()
    let destination = CounterBlock.allocate()
    let uplink = FakeUplink(number: 1, size: 1024)

    /// Sends one record through a worker and gives what left, without the outer headers.
    private func mirrored(_ frame: [UInt8], limit: Int = 9000, _ change: (inout hs_record) -> Void) -> [[UInt8]] {
        let rig = Rig(chunks: 1024)
        let plan = DestinationPlan(
            encapsulation: sampleVXLAN, frameLimit: limit, uplink: uplink.uplink, fate: nil, counters: destination)
        _ = rig.publish(Selection(generation: 1, ports: [.init(slot: 0, taps: [(tap, [0])])]), [plan], [uplink])
        var header = record(length: frame.count)
        change(&header)
        rig.rings[0].push(header, frame)
        rig.run()
        return uplink.sent(rig.area).map { Array($0[50...]) }
    }

    private func tag(_ record: inout hs_record) {
        record.flags |= UInt8(HS_VLAN.rawValue)
        record.vlan_protocol = 0x88A8
        record.vlan_tci = 0x6005
    }

    @Test func aTagThatTheKernelTookOutIsPutBack() {
        let sent = mirrored(Frames.udp4(payload: [1, 2, 3])) { tag(&$0) }
        let untagged = Frames.udp4(payload: [1, 2, 3])
        #expect(sent == [Array(untagged[..<12]) + [0x88, 0xA8, 0x60, 0x05] + untagged[12...]])
    }

    @Test(arguments: [0, 1, 7, 1000, 1001], [false, true])
    func aPartialChecksumIsCompleted(_ payload: Int, tagged: Bool) {
        var frame = Frames.tcp4(payload: Frames.payload(payload))
        frame.replaceSubrange(50..<52, with: big16(Frames.pseudoSum4(frame, network: 14)))
        let sent = mirrored(frame) {
            $0.flags = UInt8(HS_CHECKSUM_PARTIAL.rawValue)
            ($0.csum_start, $0.csum_offset) = (34, 16)
            if tagged { tag(&$0) }
        }
        #expect(Frames.isSound4(tagged ? Array(sent[0][..<12] + sent[0][16...]) : sent[0]))
    }

    @Test func withoutTheKernelsWordPartialIsWhatEqualsThePseudoHeader() {
        var partial = Frames.udp4(payload: Frames.payload(33))
        partial.replaceSubrange(40..<42, with: big16(Frames.pseudoSum4(partial, network: 14)))
        #expect(Frames.isSound4(mirrored(partial) { $0.flags = UInt8(HS_CHECKSUM_UNKNOWN.rawValue) }[0]))
        let wrong = Frames.udp4(payload: Frames.payload(33), checksum: 0xBEEF)
        #expect(mirrored(wrong) { $0.flags = UInt8(HS_CHECKSUM_UNKNOWN.rawValue) } == [wrong])
    }

    @Test func aWrongChecksumStaysWrong() {
        let wrong = Frames.tcp4(payload: Frames.payload(33), checksum: 0xBEEF)
        #expect(mirrored(wrong) { _ in } == [wrong])
    }

    @Test(arguments: [false, true])
    func aTCPSuperFrameLeavesAsOnTheWire(tagged: Bool) {
        let payload = Frames.payload(4000)
        let frame = Frames.tcp4(payload: payload, flags: 0x99, sequence: 0xFFFF_FF00, identification: 0xFFFE)
        let sent = mirrored(frame) {
            ($0.gso_size, $0.gso_segments, $0.gso_type) = (1448, 3, 1)
            $0.flags = UInt8(HS_CHECKSUM_PARTIAL.rawValue)
            if tagged { tag(&$0) }
        }
        #expect(sent.count == 3)
        let plain = sent.map { tagged ? Array($0[..<12] + $0[16...]) : $0 }
        #expect(plain.allSatisfy { Frames.isSound4($0) })
        #expect(plain.flatMap { $0[54...] } == payload)
        #expect(plain.map { $0.big32(38) } == [0xFFFF_FF00, 1192, 2640], "sequence numbers wrap")
        #expect(plain.map { $0.big16(18) } == [0xFFFE, 0xFFFF, 0])
        #expect(plain.map { $0[47] } == [0x90, 0x10, 0x19], "CWR on the first; FIN and PSH on the last")
        #expect(
            destination.offered == 3 && destination.frames == 3 && tap.bytes == UInt64(sent.reduce(0) { $0 + $1.count })
        )
    }

    /// SKB_GSO_TCP_FIXEDID was bit 3 until 6.17 and is bit 30 since.
    @Test(arguments: [1 << 3, 1 << 30] as [UInt32])
    func fixedIdentificationsStayFixed(bit: UInt32) {
        let sent = mirrored(Frames.tcp4(payload: Frames.payload(2000), identification: 77)) {
            ($0.gso_size, $0.gso_segments, $0.gso_type) = (1000, 2, 1 | bit)
        }
        #expect(sent.map { $0.big16(18) } == [77, 77])
    }

    @Test func anIPv6SuperFrameIsSegmented() {
        let payload = Frames.payload(3001)
        let sent = mirrored(Frames.tcp6(payload: payload)) {
            ($0.gso_size, $0.gso_segments, $0.gso_type) = (1000, 4, 1 << 4)
        }
        #expect(sent.count == 4 && sent.allSatisfy { Frames.isSound6($0) })
        #expect(sent.flatMap { $0[74...] } == payload)
    }

    @Test func aUDPSuperFrameIsSegmented() {
        let payload = Frames.payload(2500)
        let sent = mirrored(Frames.udp4(payload: payload)) {
            ($0.gso_size, $0.gso_segments, $0.gso_type) = (1000, 3, 1 << 17)
        }
        #expect(sent.map { $0.big16(38) } == [1008, 1008, 508])
        #expect(sent.allSatisfy { Frames.isSound4($0) } && sent.flatMap { $0[42...] } == payload)
    }

    @Test func aSegmentThatIsTooLongIsTruncated() {
        let sent = mirrored(Frames.tcp4(payload: Frames.payload(3000)), limit: 1464) {
            ($0.gso_size, $0.gso_segments, $0.gso_type) = (1460, 3, 1)
        }
        #expect(sent.map(\.count) == [1464, 1464, 134])
        #expect(destination.truncated == 2 && sent[0].big16(16) == 1500, "the inner lengths are the wire's")
    }

    @Test func aSuperFrameOfHeadersOnlyIsCounted() {
        let sent = mirrored(Frames.tcp4(payload: [])) { ($0.gso_size, $0.gso_segments, $0.gso_type) = (1, 1, 1) }
        #expect(sent.isEmpty && destination.offered == 1 && destination.drops(.malformed) == 1)
    }

    @Test func aSuperFrameOfTooManySegmentsIsCounted() {
        let sent = mirrored(Frames.tcp4(payload: Frames.payload(3000))) {
            ($0.gso_size, $0.gso_segments, $0.gso_type) = (1, 3000, 1)
        }
        #expect(sent.isEmpty && destination.drops(.unsegmentable) == 3000)
    }

    @Test func whatCannotBeSegmentedIsCounted() {
        let tunnelled = mirrored(Frames.tcp4(payload: Frames.payload(3000))) {
            ($0.gso_size, $0.gso_segments, $0.gso_type) = (1000, 3, 1 | 1 << 10)
        }
        #expect(tunnelled.isEmpty && destination.drops(.unsegmentable) == 3)
        let torn = mirrored(Array(Frames.tcp4(payload: [])[..<40])) {
            ($0.gso_size, $0.gso_segments, $0.gso_type) = (1000, 5, 1)
        }
        #expect(torn.isEmpty && destination.drops(.malformed) == 5 && destination.offered == 8)
    }
}

/// Super-frames that are longer than a record.
@Suite struct LongSuperFrameTests {
    @Test(arguments: [false, true]) func theHeadIsSegmented(isIPv6: Bool) {
        let rig = Rig(chunks: 1024)
        let uplink = FakeUplink(number: 1, size: 1024)
        let (tap, destination) = (CounterBlock.allocate(), CounterBlock.allocate())
        _ = rig.publish(
            Selection(generation: 1, ports: [.init(slot: 0, taps: [(tap, [0])])]),
            [
                DestinationPlan(
                    encapsulation: nil, frameLimit: 9000, uplink: uplink.uplink, fate: nil, counters: destination)
            ], [uplink])
        let headers = isIPv6 ? 74 : 54
        let payload = Frames.payload(100_000)
        var frame = isIPv6 ? Frames.tcp6(payload: payload) : Frames.tcp4(payload: payload)
        frame.replaceSubrange((isIPv6 ? 18 : 16)..<(isIPv6 ? 20 : 18), with: [0, 0])
        var one = record(length: frame.count)
        one.captured = 65568
        one.gso_size = 1448
        one.gso_segments = 70
        one.gso_type = isIPv6 ? 16 : 1
        rig.rings[0].push(one, Array(frame.prefix(65568)))
        rig.run()
        let sent = uplink.sent(rig.area)
        let segments = (100_000 + 1447) / 1448
        let whole = (65568 - headers) / 1448
        #expect(sent.count == segments)
        #expect(sent.prefix(whole).allSatisfy { isIPv6 ? Frames.isSound6($0) : Frames.isSound4($0) })
        for (index, segment) in sent.enumerated().dropFirst(whole) {
            let there = max(0, min(1448, 65568 - headers - index * 1448))
            #expect(segment.count == headers + there)
            #expect(Array(segment[headers...]) == Array(payload[(index * 1448)...].prefix(there)))
            #expect(segment.big32(headers - 16) == 1000 + index * 1448, "the sequence number goes on")
        }
        #expect(tap.truncated == UInt64(segments - whole) && destination.frames == UInt64(segments))
    }

    /// RFC 2675: the kernel puts the option into super-frames only, and takes it out of their segments.
    @Test func theJumboPayloadOptionGoes() {
        let rig = Rig(chunks: 1024)
        let uplink = FakeUplink(number: 1, size: 1024)
        let tap = CounterBlock.allocate()
        _ = rig.publish(
            Selection(generation: 1, ports: [.init(slot: 0, taps: [(tap, [0])])]),
            [DestinationPlan(encapsulation: nil, frameLimit: 9000, uplink: uplink.uplink, fate: nil, counters: tap)],
            [uplink])
        var frame = Frames.tcp6(payload: Frames.payload(70_000))
        frame.replaceSubrange(18..<20, with: [0, 0])
        frame[20] = 0
        frame.insert(contentsOf: [6, 0, 0xC2, 4] + big32(70_028), at: 54)
        var one = record(length: frame.count)
        one.captured = 65568
        one.gso_size = 1000
        one.gso_segments = 70
        one.gso_type = 16
        rig.rings[0].push(one, Array(frame.prefix(65568)))
        rig.run()
        let sent = uplink.sent(rig.area)
        #expect(sent.count == 70 && sent[0].count == 1074 && sent[0][20] == 6)
        #expect(Frames.isSound6(sent[0]) && Frames.isSound6(sent[64]))
    }
}
