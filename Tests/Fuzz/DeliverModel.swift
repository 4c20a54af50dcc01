// What deliver.bpf.c has to do with a packet, read from the RFCs and docs/program.md (Deliveries) alone: the judge of
// FuzzDeliver.swift.

import CShims

struct DeliverModel {
    enum Kind: UInt32, CaseIterable { case vxlan, gre, erspan2, erspan3, geneve }

    struct Delivery {
        var kind: Kind
        var isIPv6: Bool
        var id: UInt32
        /// Outer destination that is accepted; nil for any.
        var local: [UInt8]?
        /// 0: none at this time.
        var interface: UInt32
        var counters: UInt32
    }

    enum Reason: Int { case malformed, fragment, interfaceDown, exceedsMTU, failed }
    enum Verdict {
        case next, drop(Reason)
        case deliver([UInt8], UInt32)
    }

    struct Counts {
        var frames: UInt64 = 0, bytes: UInt64 = 0
        var drops = [UInt64](repeating: 0, count: 5)
    }

    private(set) var counts: [Int: Counts] = [:]
    /// By source and destination, 16 bytes each.
    private var numberings: [[UInt8]: Numbering] = [:]
    var gaps: [[UInt8]: UInt64] { numberings.mapValues(\.gaps) }

    mutating func forget() { (counts, numberings) = ([:], [:]) }

    /// Numbers between one pair of addresses: those passed over, as long as they may still come.
    private struct Numbering {
        var last: UInt32
        var missing: Set<UInt32> = []
        var gaps: UInt64 = 0

        mutating func take(_ number: UInt32) {
            let ahead = Int32(bitPattern: number &- last)
            if ahead > 0, ahead < 1 << 24 {
                gaps += UInt64(ahead - 1)
                for back in 1..<64 where back < ahead { missing.insert(number &- UInt32(back)) }
                last = number
                missing = missing.filter { number &- $0 < 64 }
            } else if ahead <= 0, ahead > -64 {
                if missing.remove(number) != nil, gaps > 0 { gaps -= 1 }
            } else {
                (last, missing) = (number, [])
            }
        }
    }

    /// What an outer header leads to.
    private struct Outer {
        var isIPv6: Bool
        var source, remote: [UInt8]
        /// Of the IP payload's first byte behind what was passed over.
        var transport: Int
        var isGRE: Bool
    }

    mutating func judge(_ packet: [UInt8], _ deliveries: [Delivery], mtu: Int, isSuper: Bool) -> Verdict {
        guard let outer = Self.outer(packet), let (kind, id) = Self.tunnel(packet, outer),
            let delivery = deliveries.first(where: {
                $0.kind == kind && $0.id == id && $0.isIPv6 == outer.isIPv6
                    && Self.address(7, outer.isIPv6) == outer.source
            }), delivery.local == nil || delivery.local == outer.remote
        else { return .next }
        var numbered: UInt32?
        let found = Self.inner(packet, outer, kind, &numbered)
        let verdict: Verdict
        switch found {
        case .failure(let fault): verdict = .drop(fault.reason)
        case .success(let frame):
            if let numbered { take(numbered, outer) }
            let tags = Self.tags(frame)
            if delivery.interface == 0 {
                verdict = .drop(.interfaceDown)
            } else if isSuper, !outer.isGRE, Self.isUDP(frame) {
                // USO in UDP, which the kernel could not segment any more.
                verdict = .drop(.failed)
            } else if frame.count > mtu + 14 + 4 * min(tags, 2) {
                verdict = .drop(.exceedsMTU)
            } else {
                verdict = .deliver(frame, delivery.interface)
            }
        }
        let index = Int(delivery.counters)
        switch verdict {
        case .next: break
        case .drop(let reason): counts[index, default: .init()].drops[reason.rawValue] += 1
        case .deliver(let frame, _):
            counts[index, default: .init()].frames += 1
            counts[index, default: .init()].bytes += UInt64(frame.count)
        }
        return verdict
    }

    private mutating func take(_ number: UInt32, _ outer: Outer) {
        func padded(_ octets: [UInt8]) -> [UInt8] { octets + [UInt8](repeating: 0, count: 16 - octets.count) }
        numberings[padded(outer.source) + padded(outer.remote), default: .init(last: number)].take(number)
    }

    // MARK: Reading

    private struct Fault: Error { var reason: Reason }

    private static func outer(_ packet: [UInt8]) -> Outer? {
        guard packet.count >= 34 else { return nil }
        switch packet.big16(12) {
        case 0x0800:
            guard packet[23] == 17 || packet[23] == 47 else { return nil }
            return Outer(
                isIPv6: false, source: Array(packet[26..<30]), remote: Array(packet[30..<34]),
                transport: 14 + Int(packet[14] & 15) * 4, isGRE: packet[23] == 47)
        case 0x86DD:
            guard packet.count >= 54 else { return nil }
            var (next, at) = (packet[20], 54)
            if next == 60 {
                guard packet.count >= 56 else { return nil }
                (next, at) = (packet[54], 54 + (Int(packet[55]) + 1) * 8)
            }
            guard next == 17 || next == 47 else { return nil }
            return Outer(
                isIPv6: true, source: Array(packet[22..<38]), remote: Array(packet[38..<54]), transport: at,
                isGRE: next == 47)
        default: return nil
        }
    }

    /// What a packet says that it is: by its port or its GRE protocol.
    private static func tunnel(_ packet: [UInt8], _ outer: Outer) -> (Kind, UInt32)? {
        let at = outer.transport
        if !outer.isGRE {
            guard packet.count >= at + 16 else { return nil }
            // What has neither VXLAN's flag nor Ethernet behind Geneve is left to the kernel.
            guard packet[at + 8] & 8 != 0 || packet.big16(at + 10) == 0x6558 else { return nil }
            let id = UInt32(packet.big16(at + 12)) << 8 | UInt32(packet[at + 14])
            switch packet.big16(at + 2) {
            case 4789: return (.vxlan, id)
            case 6081: return (.geneve, id)
            default: return nil
            }
        }
        guard packet.count >= at + 4 else { return nil }
        let flags = packet.big16(at)
        var next = at + 4 + (flags & 0x8000 != 0 ? 4 : 0)
        switch packet.big16(at + 2) {
        case 0x6558:
            guard flags & 0x2000 != 0, packet.count >= next + 4 else { return nil }
            return (.gre, UInt32(packet.big16(next)) << 16 | UInt32(packet.big16(next + 2)))
        case 0x88BE, 0x22EB:
            next += (flags & 0x2000 != 0 ? 4 : 0) + (flags & 0x1000 != 0 ? 4 : 0)
            guard packet.count >= next + 4 else { return nil }
            return (packet.big16(at + 2) == 0x88BE ? .erspan2 : .erspan3, UInt32(packet.big16(next + 2)) & 0x3FF)
        default: return nil
        }
    }

    /// The frame inside of what says that it is ours.
    private static func inner(
        _ packet: [UInt8], _ outer: Outer, _ kind: Kind, _ number: inout UInt32?
    ) -> Result<[UInt8], Fault> {
        let end: Int
        if outer.isIPv6 {
            guard packet[14] >> 4 == 6 else { return .failure(.init(reason: .malformed)) }
            end = 54 + Int(packet.big16(18))
        } else {
            let length = Int(packet[14] & 15) * 4
            guard packet[14] >> 4 == 4, length >= 20, packet.count >= 14 + length,
                internetChecksum(Array(packet[14..<14 + length])) == 0
            else { return .failure(.init(reason: .malformed)) }
            // The first one of a fragmented packet, or what looks like one of ours.
            if packet.big16(20) & 0x3FFF != 0 { return .failure(.init(reason: .fragment)) }
            end = 14 + Int(packet.big16(16))
        }
        let at = outer.transport
        guard end <= packet.count else { return .failure(.init(reason: .malformed)) }
        let begin = outer.isGRE ? behindGRE(packet, at, kind, &number) : behindUDP(packet, at, end, kind)
        guard let begin, begin + 14 <= end else {
            number = nil
            return .failure(.init(reason: .malformed))
        }
        return .success(Array(packet[begin..<end]))
    }

    private static func behindUDP(_ packet: [UInt8], _ at: Int, _ end: Int, _ kind: Kind) -> Int? {
        guard at + Int(packet.big16(at + 4)) == end else { return nil }
        if kind == .vxlan { return packet[at + 8] & 8 != 0 ? at + 16 : nil }
        // RFC 8926 section 3.4: version, options' length; control and critical bits; protocol.
        guard packet[at + 8] >> 6 == 0, packet[at + 9] & 0xC0 == 0, packet.big16(at + 10) == 0x6558 else { return nil }
        return at + 16 + Int(packet[at + 8] & 0x3F) * 4
    }

    private static func behindGRE(_ packet: [UInt8], _ at: Int, _ kind: Kind, _ number: inout UInt32?) -> Int? {
        let flags = packet.big16(at)
        // Nothing but a key and a number: no checksum, no routing, version 0.
        guard flags & ~0x3000 == 0 else { return nil }
        var next = at + 4 + (flags & 0x2000 != 0 ? 4 : 0)
        if flags & 0x1000 != 0 {
            guard packet.count >= next + 4 else { return nil }
            number = UInt32(packet.big16(next)) << 16 | UInt32(packet.big16(next + 2))
            next += 4
        }
        if kind == .gre { return next }
        guard number != nil, packet.count >= next + 4, packet[next] >> 4 == (kind == .erspan2 ? 1 : 2) else {
            return nil
        }
        if kind == .erspan2 { return next + 8 }
        // draft-foschiano-erspan-03 section 4.3: FT is Ethernet; O says that a subheader follows.
        guard packet.count >= next + 12, packet.big16(next + 10) & 0x7C00 == 0 else { return nil }
        return next + 12 + (packet[next + 11] & 1 != 0 ? 8 : 0)
    }

    /// IPv4 or IPv6 behind at most two tags, and UDP right behind it.
    private static func isUDP(_ frame: [UInt8]) -> Bool {
        let at = 14 + 4 * min(tags(frame), 2)
        switch frame.big16(at - 2) {
        case 0x0800: return frame.count > at + 9 && frame[at + 9] == 17
        case 0x86DD: return frame.count > at + 6 && frame[at + 6] == 17
        default: return false
        }
    }

    /// The kernel leaves checksums to a device in frames with whole IP and UDP headers only, and pads none of them.
    static func mayBePartial(_ verdict: Verdict, _ packet: [UInt8]) -> Bool {
        guard case .deliver(let frame, _) = verdict, packet.suffix(frame.count).elementsEqual(frame) else {
            return false
        }
        let at = 14 + 4 * min(tags(frame), 2)
        return frame.big16(at - 2) == 0x0800 && frame.count >= at + 28
            || frame.big16(at - 2) == 0x86DD && frame.count >= at + 48
    }

    /// Whole tags behind the addresses.
    private static func tags(_ frame: [UInt8]) -> Int {
        var count = 0
        while frame.count >= 14 + 4 * count + 2, [0x8100, 0x88A8].contains(frame.big16(12 + 4 * count)),
            frame.count >= 14 + 4 * (count + 1)
        { count += 1 }
        return count
    }
}

extension DeliverModel.Delivery {
    /// The entry of the map, as DeliveryPlan.swift makes it.
    var key: hs_tunnel_key {
        var key = hs_tunnel_key()
        withUnsafeMutableBytes(of: &key.source) { $0.copyBytes(from: DeliverModel.address(7, isIPv6)) }
        key.version = isIPv6 ? 6 : 4
        switch kind {
        case .vxlan: (key.udp_port, key.tunnel_id) = (UInt16(4789).bigEndian, (id << 8).bigEndian)
        case .geneve: (key.udp_port, key.tunnel_id) = (UInt16(6081).bigEndian, (id << 8).bigEndian)
        case .gre: (key.gre_protocol, key.tunnel_id) = (UInt16(0x6558).bigEndian, id.bigEndian)
        case .erspan2: (key.gre_protocol, key.tunnel_id) = (UInt16(0x88BE).bigEndian, id.bigEndian)
        case .erspan3: (key.gre_protocol, key.tunnel_id) = (UInt16(0x22EB).bigEndian, id.bigEndian)
        }
        return key
    }

    var value: hs_delivery {
        var value = hs_delivery()
        if let local { withUnsafeMutableBytes(of: &value.local) { $0.copyBytes(from: local) } }
        (value.interface, value.counters, value.encapsulation) = (interface, counters, kind.rawValue)
        return value
    }
}

extension DeliverModel {
    /// 192.0.2.n, 2001:db8::n.
    static func address(_ last: UInt8, _ isIPv6: Bool) -> [UInt8] {
        isIPv6 ? [0x20, 1, 0xD, 0xB8] + [UInt8](repeating: 0, count: 11) + [last] : [192, 0, 2, last]
    }

    /// Lengths and checksum as they should be, so that what is behind them is reached.
    static func repair(_ packet: inout [UInt8], lengths: Bool, checksum: Bool) {
        guard let outer = outer(packet), packet.count <= 65_000 else { return }
        func put(_ value: Int, _ at: Int) {
            packet.replaceSubrange(at..<at + 2, with: [UInt8(value >> 8), UInt8(value & 255)])
        }
        if lengths {
            put(outer.isIPv6 ? packet.count - 54 : packet.count - 14, outer.isIPv6 ? 18 : 16)
            if !outer.isGRE, packet.count >= outer.transport + 8 {
                put(packet.count - outer.transport, outer.transport + 4)
            }
        }
        let header = 14 + Int(packet[14] & 15) * 4
        if checksum, !outer.isIPv6, header >= 34, packet.count >= header {
            put(0, 24)
            put(Int(internetChecksum(Array(packet[14..<header]))), 24)
        }
    }

    /// Adds to a number where one is.
    static func renumber(_ packet: inout [UInt8], by difference: UInt32) {
        guard let outer = outer(packet), outer.isGRE, packet.count >= outer.transport + 4 else { return }
        let flags = packet.big16(outer.transport)
        let at = outer.transport + 4 + (flags & 0x2000 != 0 ? 4 : 0)
        guard flags & 0x9000 == 0x1000, packet.count >= at + 4 else { return }
        let number = (UInt32(packet.big16(at)) << 16 | UInt32(packet.big16(at + 2))) &+ difference
        packet.replaceSubrange(at..<at + 4, with: (0..<4).map { UInt8(truncatingIfNeeded: number >> (24 - 8 * $0)) })
    }
}
