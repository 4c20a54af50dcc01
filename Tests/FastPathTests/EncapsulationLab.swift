// One tunnel at a time through a worker on rings of plain memory, and an independent judge of what left.

import CShims
import FastPath
import MirrorProgram

/// Sends frames through a worker and gives the packets that left.
struct EncapsulationLab {
    /// ns since 1970 at which every frame was captured, and where.
    static let time: UInt64 = 1_700_000_000_123_456_789
    static let slot = 0x123

    func send(
        _ header: OuterHeader, _ frame: [UInt8], limit: Int = 9100, direction: hs_direction = HS_IN, length: Int? = nil
    ) -> [UInt8] {
        send(header, [frame], limit: limit, direction: direction, length: length).first ?? []
    }

    /// - Parameter length: what the records say of the frames' length, where it is not that of what was captured.
    func send(
        _ header: OuterHeader, _ frames: [[UInt8]], limit: Int = 9100, direction: hs_direction = HS_IN,
        length: Int? = nil, counters: CounterBlock = .allocate()
    ) -> [[UInt8]] {
        let uplink = FakeUplink(number: 1)
        let rig = Rig()
        rig.worker.setRealTime(offset: Self.time - 1)
        let plan = DestinationPlan(
            encapsulation: header, frameLimit: limit, uplink: uplink.uplink, fate: nil, counters: counters,
            sequence: header.tunnel.isSequenced ? .allocate() : nil)
        _ = rig.publish(
            Selection(generation: 1, ports: [.init(slot: Self.slot, taps: [(.allocate(), [0])])]), [plan], [uplink])
        for frame in frames {
            var record = record(length: frame.count, slot: UInt16(Self.slot))
            record.length = UInt32(length ?? frame.count)
            record.direction = UInt8(direction.rawValue)
            rig.rings[0].push(record, frame)
        }
        rig.run()
        return uplink.sent(rig.area)
    }

    func hash(_ frame: [UInt8]) -> UInt32 {
        frame.withUnsafeBytes { FlowHash.symmetric($0.baseAddress!, frame.count, Layers($0.baseAddress!, frame.count)) }
    }
}

/// Whether the UDP checksum of a packet with its IP header at `network` adds up, and so do its lengths.
func isSoundUDP(_ packet: [UInt8], network: Int = 14) -> Bool {
    let isIPv6 = packet[network] >> 4 == 6
    let transport = network + (isIPv6 ? 40 : 20)
    let length = packet.big16(transport + 4)
    guard transport + length == packet.count, packet.big16(transport + 6) != 0 else { return false }
    let addresses = isIPv6 ? packet[(network + 8)..<transport] : packet[(network + 12)..<transport]
    return internetChecksum(Array(addresses) + big32(length) + [0, 0, 0, 17] + Array(packet[transport...])) == 0
}
