// Target `frame`: any record of any bytes through the whole worker: classifier, hash, tags, partial checksums,
// segmentation, actions, every encapsulation over both IP versions. What leaves must add up, whatever came in.

import CShims
import FastPath
import MirrorProgram

final class FuzzFrame {
    private let ring = PoisonedRing(ring: FakeCaptureRing())
    private let rig: Rig
    private let uplink = FakeUplink(number: 1, size: 4096)
    /// Of the one destination without an outer header.
    private let local = FakeUplink(number: 2, size: 4096)
    private let counters: [CounterBlock]
    private let lengths: [(header: Int, limit: Int)]

    init() {
        rig = Rig(rings: [ring.ring], chunks: 4096)
        var plans: [DestinationPlan] = []
        for isIPv6 in [false, true] {
            for (index, kind) in MirrorProgram.Encapsulation.allCases.enumerated() {
                let header = sampleHeader(kind, 77, isIPv6: isIPv6) { tunnel in
                    if index % 2 == 1 { tunnel.vlan = 7 }
                    tunnel.udpChecksum = index < 2 ? true : nil
                    if index == 4 { tunnel.oversize = .drop }
                }
                plans.append(
                    DestinationPlan(
                        encapsulation: header, frameLimit: [9000, 1514, 100, 65_000, 1514][index],
                        uplink: uplink.uplink, fate: nil, counters: .allocate(),
                        sequence: header.tunnel.isSequenced ? .allocate() : nil))
            }
        }
        plans.append(
            DestinationPlan(
                encapsulation: nil, frameLimit: 1514, uplink: local.uplink, fate: nil, counters: .allocate()))
        counters = plans.map(\.counters)
        lengths = plans.map { ($0.encapsulation?.length ?? 0, $0.frameLimit) }
        _ = rig.publish(
            Selection(generation: 1, ports: [.init(slot: 0, taps: Self.taps(plans.count), spreads: [])]), plans,
            [uplink, local])
    }

    /// One that copies to everybody, one that cuts, one with VLAN filter and sampling, one with a packet filter.
    private static func taps(_ count: Int) -> [Selection.Tap] {
        var tap = MirrorProgram.Tap(id: "t", port: "p", direction: .both, destinations: [])
        func with(_ destinations: [Int], _ change: (inout MirrorProgram.Tap) -> Void) -> Selection.Tap {
            var changed = tap
            change(&changed)
            return .init(counters: .allocate(), destinations: destinations, actions: (changed, .allocate()))
        }
        // udp, as libpcap compiles it without IPv6: ldh [12]; jeq 0x800; ldb [23]; jeq 17; ret.
        let code = [
            (0x28, 0, 0, 12), (0x15, 0, 3, 0x800), (0x30, 0, 0, 23), (0x15, 0, 1, 17), (0x06, 0, 0, 65535),
            (0x06, 0, 0, 0),
        ]
        .map {
            MirrorProgram.FilterInstruction(
                code: UInt16($0.0), jumpTrue: UInt8($0.1), jumpFalse: UInt8($0.2), k: UInt32($0.3))
        }
        tap.snaplen = nil
        return [
            .init(counters: .allocate(), destinations: Array(0..<count)),
            with([0, 5]) { $0.snaplen = 60 },
            with([1, 6]) {
                $0.vlanFilter = .init("1-200")
                $0.sampling = .init(oneIn: 2, per: .flow)
            },
            with([2, 3]) { $0.filter = .init(expression: "udp", code: code) },
        ]
    }

    func take(_ bytes: [UInt8]) {
        var input = Input(bytes)
        var record = hs_record()
        (record.time, record.generation, record.slot) = (1, 1, 0)
        record.taps = UInt64(input.byte() & 15)
        record.flags = input.byte() & 23
        record.direction = input.byte() & 1
        // SKB_GSO_UDP_L4 is bit 17; the types below it are in the low bits.
        let kind = UInt32(input.word())
        record.gso_type = kind & 0x7FFF | (kind & 0x8000) << 2
        record.gso_size = input.word()
        record.gso_segments = max(1, input.word())
        record.csum_start = input.word()
        record.csum_offset = UInt16(input.byte())
        record.vlan_protocol = input.byte() & 1 == 0 ? 0x8100 : 0x88A8
        record.vlan_tci = input.word()
        let missing = Int(input.byte() & 1) * Int(input.byte())
        var frame = input.rest
        // A large frame out of a small input: the kernel hands over none without an Ethernet header.
        if record.gso_size > 0 { frame += [UInt8](repeating: 0xA5, count: Int(input.byte()) * 32) }
        frame += [UInt8](repeating: 0, count: max(0, 14 - frame.count))
        frame.removeLast(max(0, frame.count - HS_LONGEST_FRAME))
        (record.captured, record.length) = (UInt32(frame.count), UInt32(frame.count + missing))
        let before = counters.map(\.frames)
        ring.with(record, frame) { rig.run() }
        let handed = counters.indices.map { counters[$0].frames - before[$0] }
        let here = local.sent(rig.area)
        expect(UInt64(here.count) == handed.last!, "\(handed.last!) handed over here, \(here.count) left")
        check(uplink.sent(rig.area), handed.dropLast().reduce(0, +))
    }

    /// Everything that was handed over left; outer lengths are those of the packets; the ledger is even.
    private func check(_ sent: [[UInt8]], _ handed: UInt64) {
        expect(UInt64(sent.count) == handed, "\(handed) handed over, \(sent.count) left")
        for frame in sent {
            expect(frame.count >= 14 && frame.count <= lengths.map { $0.header + $0.limit }.max()!, "\(frame.count)")
            guard frame.count >= 60, frame[0..<6].elementsEqual([2, 0, 0, 0, 0, 0x0B]),
                frame[6..<12].elementsEqual([2, 0, 0, 0, 0, 0x0A])
            else { continue }
            let at = frame.big16(12) == 0x8100 ? 18 : 14
            if frame[at] >> 4 == 4, frame.big16(at - 2) == 0x0800,
                frame[(at + 12)..<(at + 16)].elementsEqual([192, 0, 2, 1])
            {
                expect(frame.big16(at + 2) == frame.count - at, "outer IPv4 length \(frame.big16(at + 2))")
                expect(internetChecksum(Array(frame[at..<at + 20])) == 0, "outer IPv4 checksum")
            }
        }
        for (index, block) in counters.enumerated() {
            let drops = DropReason.allCases.reduce(0) { $0 + block.drops($1) }
            expect(block.offered == block.frames + drops, "destination \(index): \(block.offered) offered")
        }
    }
}
