// Target `deliver`: any packet through deliver.bpf.c, compiled as a function with the kernel around it played
// (kernel/deliver.c). Its verdict, the frame it hands over and the gaps it counts are those of DeliverModel.swift.

import CFuzz
import CShims

final class FuzzDeliver {
    private var model = DeliverModel()
    private let verdict = UnsafeMutablePointer<fuzz_verdict>.allocate(capacity: 1)
    private let deliveries: [DeliverModel.Delivery]

    init() {
        var deliveries: [DeliverModel.Delivery] = []
        for isIPv6 in [false, true] {
            for (index, kind) in DeliverModel.Kind.allCases.enumerated() {
                // One of each accepts another address, one has no port now.
                for (id, local, interface) in [(77, nil, 5), (78, 9, 6), (79, nil, 0)] as [(UInt32, UInt8?, UInt32)] {
                    deliveries.append(
                        .init(
                            kind: kind, isIPv6: isIPv6, id: id, local: local.map { DeliverModel.address($0, isIPv6) },
                            interface: interface, counters: UInt32((isIPv6 ? 5 : 0) + index)))
                }
            }
        }
        self.deliveries = deliveries
        for delivery in deliveries {
            var (key, value) = (delivery.key, delivery.value)
            fuzz_accept(&key, &value)
        }
    }

    func take(_ bytes: [UInt8]) {
        var input = Input(bytes)
        let choice = input.byte()
        let repairs = input.byte()
        var packet = input.rest
        packet += [UInt8](repeating: 0, count: max(0, 14 - packet.count))
        // Some hundred bytes more, so that a small input makes a long packet.
        if repairs & 4 != 0 { packet += [UInt8](repeating: 0xA5, count: Int(choice >> 1) * 16) }
        DeliverModel.repair(&packet, lengths: repairs & 1 != 0, checksum: repairs & 2 != 0)
        let mtu: UInt32 = choice & 1 != 0 ? 200 : 1500
        let before = counters
        fuzz_forget()
        model.forget()
        // Twice, and once with another number: what is numbered is watched for gaps.
        for round in 0..<3 {
            if round == 2 { DeliverModel.renumber(&packet, by: UInt32(choice)) }
            let isSuper = repairs & 16 != 0
            let expected = model.judge(packet, deliveries, mtu: Int(mtu), isSuper: isSuper)
            let around = fuzz_surroundings(
                is_tagged: CInt(repairs >> 3 & 1), is_encapsulated: DeliverModel.mayBePartial(expected, packet) ? 1 : 0,
                segment: isSuper ? 1000 : 0, mtu: mtu)
            fuzz_deliver(packet, UInt32(packet.count), around, verdict)
            compare(expected, packet)
        }
        for (index, (now, before)) in zip(counters, before).enumerated() {
            let wanted = model.counts[index] ?? .init()
            expect(now.frames &- before.frames == wanted.frames, "\(index): \(wanted.frames) frames, \(now)")
            expect(now.bytes &- before.bytes == wanted.bytes, "\(index): \(wanted.bytes) bytes, \(now)")
            let drops = [now.drops.0, now.drops.1, now.drops.2, now.drops.3, now.drops.4]
            let old = [before.drops.0, before.drops.1, before.drops.2, before.drops.3, before.drops.4]
            expect(zip(drops, old).map { $0 &- $1 } == wanted.drops, "\(index): \(wanted.drops), \(drops) after \(old)")
        }
        for (pair, wanted) in model.gaps {
            var key = hs_endpoints()
            withUnsafeMutableBytes(of: &key) { $0.copyBytes(from: pair) }
            expect(fuzz_gaps(&key) == wanted, "\(fuzz_gaps(&key)) gaps instead of \(wanted)")
        }
    }

    private var counters: [hs_delivery_counters] { (0..<10).map { fuzz_counters($0)!.pointee } }

    private func compare(_ expected: DeliverModel.Verdict, _ packet: [UInt8]) {
        switch expected {
        case .next: expect(verdict.pointee.action == -1, "not ours, but \(verdict.pointee.action): \(packet)")
        case .drop(let reason):
            expect(verdict.pointee.action == 2, "\(reason), but \(verdict.pointee.action): \(packet)")
        case .deliver(let frame, let interface):
            expect(verdict.pointee.action == 7, "whole, but \(verdict.pointee.action): \(packet)")
            let found = Array(UnsafeBufferPointer(start: verdict.pointee.bytes, count: Int(verdict.pointee.length)))
            expect(found == frame && verdict.pointee.interface == interface, "\(found) instead of \(frame)")
        }
    }
}
