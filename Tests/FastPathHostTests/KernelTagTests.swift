// Tags that the kernel took out of a frame (skb->vlan_tci) in front of filters in a real kernel: the verdict is libpcap's on
// the frame as it was on the wire. Ingress: the kernel's receive path takes a tag out; egress: a bridge leaves it out.

import CShims
import FastPathHost
import FilterCases
import Glibc
import MirrorProgram
import Testing

@Suite(.enabled(if: isRoot, Comment(rawValue: needsRoot)), .serialized)
struct KernelTagTests {
    private static let filters = [
        "vlan 100 and tcp port 80", "tcp port 80", "vlan", "vlan 7", "vlan 7 and vlan 100 and tcp port 80", "not vlan",
        "ether[12:2] = 0x8100", "ether[14:2] & 0xfff = 100", "ip", "vlan 100 and ip[8] = 64", "greater 101", "less 104",
    ]

    /// TCP to port 80 or UDP, 100 bytes without tags.
    private static func frame(_ transport: UInt8, _ tags: [(type: Int, control: Int)]) -> [UInt8] {
        let addresses: [UInt8] = [2, 0, 0, 0, 0, 0xB, 2, 0, 0, 0, 0, 0xA]
        var network: [UInt8] =
            [0x45, 0] + big16(86) + [0, 0, 0, 0, 64, transport, 0, 0, 198, 18, 0, 1, 198, 19, 0, 2]
        // br_netfilter drops what has a wrong one.
        network.replaceSubrange(10..<12, with: big16(Int(DeliverTests.internetChecksum(network))))
        network += big16(40_000) + big16(80)
        return addresses + tags.flatMap { big16($0.type) + big16($0.control) } + big16(0x0800) + network
            + [UInt8](repeating: 0x50, count: 62)
    }

    @Test(arguments: [true, false]) func verdictsAreThoseOnTheWholeFrame(ingress: Bool) throws {
        try inNamespace {
            for (one, other) in [("v0", "v1"), ("w0", "w1")] {
                try ip("link add \(one) type veth peer name \(other)")
                try ip("link set \(one) up")
                try ip("link set \(other) up")
            }
            try ip("link add br0 type bridge")
            try ip("link set br0 up")
            for name in ["v0", "w0"] { try ip("link set \(name) master br0") }
            let filters = Self.filters.map(compiled)
            var wanted = wish(filters)
            let list = MirrorProgram.Tap(
                id: "list", port: "p", direction: .out, destinations: [], vlanFilter: .init("7,99-100"))
            wanted.filtered.append((bit: 40, tap: list))
            let bench = try KernelBench(wanted)
            try #require(bench.entries.unfiltered.isEmpty, "\(bench.entries.unfiltered)")
            let hook = try bench.attach("v0", ingress: ingress)
            #expect(hook.isInPlace())
            let tags: [[(type: Int, control: Int)]] = [
                [], [(0x8100, 0xA064)], [(0x8100, 101)], [(0x88A8, 7)], [(0x88A8, 7), (0x8100, 100)],
                [(0x8100, 100), (0x8100, 101)], [(0x8100, 0xE000)],
            ]
            for transport in [6, 17] as [UInt8] {
                for tags in tags {
                    let frame = Self.frame(transport, tags)
                    var found: (hs_record, [UInt8])?
                    // A bridge forwards nothing until its ports have carriers.
                    _ = try eventually(.seconds(2)) {
                        try CaptureTests.send(frame, ingress ? "v1" : "w1")
                        found = bench.take().first { $0.1.prefix(12).elementsEqual(frame.prefix(12)) }
                        return found != nil
                    }
                    let (record, bytes) = try #require(found, "\(tags)")
                    try Self.judge(record, bytes, frame, tags.first, filters)
                }
            }
        }
    }

    private static func judge(
        _ record: hs_record, _ bytes: [UInt8], _ frame: [UInt8], _ tag: (type: Int, control: Int)?,
        _ filters: [MirrorProgram.PacketFilter]
    ) throws {
        // The tag really was out of the frame, and the record knows it.
        let isOut = record.flags & UInt8(HS_VLAN.rawValue) != 0
        #expect(isOut == (tag != nil))
        #expect(bytes == (tag == nil ? frame : Array(frame[..<12] + frame[16...])))
        if let tag { #expect(Int(record.vlan_protocol) == tag.type && Int(record.vlan_tci) == tag.control) }
        #expect(record.flags & UInt8(HS_RECHECK.rawValue) == 0, "decided in the kernel")
        for (index, filter) in filters.enumerated() {
            let isTaken = record.taps >> UInt64(index + 1) & 1 != 0
            #expect(isTaken == filter.reference(frame), "\(filter.expression) on \(frame)")
        }
        let isListed = tag.map { [7, 99, 100].contains($0.control & 0xFFF) } ?? false
        #expect((record.taps >> 40 & 1 != 0) == isListed)
    }
}
