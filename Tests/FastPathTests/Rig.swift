// A worker on rings in plain memory: the tests play the kernel. What the worker would hand to an uplink is read from
// its TX ring, byte for byte, without privileges.

import CShims
import FastPath
import MirrorProgram
import Synchronization

typealias FakeRing = MemoryRing

typealias FakeCaptureRing = MemoryCaptureRing

typealias FakeUplink = MemoryUplink

/// A worker with capture rings, uplinks and span queues of plain memory.
final class Rig {
    let rings: [FakeCaptureRing]
    let worker: WorkerThread
    let area: UnsafeMutableRawPointer
    private var serial: UInt64 = 1

    convenience init(rings count: Int = 1, chunks: Int = 256) {
        self.init(rings: (0..<count).map { _ in FakeCaptureRing(size: 1 << 20) }, chunks: chunks)
    }

    init(rings: [FakeCaptureRing], chunks: Int = 256) {
        self.rings = rings
        let umem = UMEM(chunkCount: chunks)!
        let empty = ForwardingTable(
            serial: 0, current: Selection(generation: 0, ports: []), destinations: [], uplinks: [], spans: [])
        area = umem.base
        worker = WorkerThread(
            umem: umem, rings: rings.map(\.mapping), wakeUp: .unheard(), epoll: -1, table: empty)
    }

    func publish(
        _ selection: Selection, previous: Selection? = nil, _ destinations: [DestinationPlan], _ uplinks: [FakeUplink],
        limits: [MirrorProgram.RateLimit?] = [], spans: [UnsafeMutablePointer<SpanSource>] = [],
        handovers: [UnsafeMutablePointer<Handover>] = [], inline: InlineLanes = InlineLanes(),
        packets: PacketSources = PacketSources(), wanted: Int = 0
    ) -> ForwardingTable {
        let table = ForwardingTable(
            serial: serial, current: selection, previous: previous, destinations: destinations,
            uplinks: uplinks.map(\.uplink), limits: limits, spans: spans, handovers: handovers, inline: inline,
            packets: packets,
            wanted: wanted)
        serial += 1
        worker.publish(table)
        return table
    }

    /// Turns until there is nothing left to do.
    func run() { while worker.turn() > 0 {} }
}

/// A tunnel with addresses that are easy to recognise in bytes.
let sampleVXLAN = sampleHeader(.vxlan, 5001)

/// The same of any encapsulation, over either IP version, and with whatever `change` sets.
func sampleHeader(
    _ encapsulation: MirrorProgram.Encapsulation, _ id: UInt32, isIPv6: Bool = false, isSequenced: Bool = false,
    _ change: (inout MirrorProgram.Tunnel) -> Void = { _ in }
) -> OuterHeader {
    let (source, remote) = isIPv6 ? ("2001:db8::1", "2001:db8::9") : ("192.0.2.1", "192.0.2.9")
    var tunnel = MirrorProgram.Tunnel(
        remote: IPAddress(remote)!, encapsulation: encapsulation, tunnelID: id, isSequenced: isSequenced)
    change(&tunnel)
    return OuterHeader(
        tunnel, source: IPAddress(source)!, sourceMAC: MACAddress("02:00:00:00:00:0a")!,
        destinationMAC: MACAddress("02:00:00:00:00:0b")!)
}

func record(
    time: UInt64 = 1, taps: UInt64 = 1, generation: UInt32 = 1, length: Int, slot: UInt16 = 0
) -> hs_record {
    var record = hs_record()
    record.time = time
    record.taps = taps
    record.generation = generation
    record.length = UInt32(length)
    record.captured = UInt32(length)
    record.slot = slot
    return record
}

/// One's complement sum as RFC 1071 defines it, word by word: independent of the code under test.
func internetChecksum(_ bytes: [UInt8]) -> UInt16 {
    var sum: UInt32 = 0
    for index in stride(from: 0, to: bytes.count, by: 2) {
        sum += UInt32(bytes[index]) << 8 | (index + 1 < bytes.count ? UInt32(bytes[index + 1]) : 0)
        sum = (sum & 0xFFFF) + (sum >> 16)
    }
    return UInt16(~sum & 0xFFFF)
}

extension Array where Element == UInt8 {
    func big16(_ offset: Int) -> Int { Int(self[offset]) << 8 | Int(self[offset + 1]) }
    func big32(_ offset: Int) -> Int { big16(offset) << 16 | big16(offset + 2) }
}

func big16(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)] }
func big32(_ value: Int) -> [UInt8] { big16(value >> 16 & 0xFFFF) + big16(value & 0xFFFF) }
