// A worker on rings in plain memory: one capture ring full of equal UDP frames, one uplink whose descriptors are
// completed as soon as a turn has queued them. The worker is the real one, or the reference by hand in C.

import CShims
import FastPath
import FrameLoopReference
import Glibc
import MirrorProgram
import Synchronization

/// One worker with a capture ring that never runs dry and an uplink that never runs full.
final class WorkerBench {
    private enum Kind {
        case swift(WorkerThread)
        case reference(OpaquePointer)
    }

    private let frameLength: Int
    private let worker: Kind
    private let capture = MemoryCaptureRing(size: ringBytes)
    private let transmit, completion: RingMapping
    private let counters: CounterBlock
    /// A record's room in the ring, and how many begin in it.
    private let stride: Int
    private let perRound: Int
    private var seen: [[UInt8]]?
    /// Of VXLAN over IPv4.
    private let headerLength = 50
    private static let ringBytes = 1 << 20
    private static let ringEntries: UInt32 = 4096
    private static let batch = 64

    /// - Parameter packet: of the real worker, to give the reference its outer header; nil for the real worker itself.
    init(frameLength: Int, packet: [UInt8]? = nil) {
        self.frameLength = frameLength
        stride = Int(hs_record_room(UInt32(frameLength)))
        perRound = (Self.ringBytes + stride - 1) / stride
        transmit = Self.ring(entryBytes: MemoryLayout<xdp_desc>.stride)
        completion = Self.ring(entryBytes: MemoryLayout<UInt64>.stride)
        counters = CounterBlock.allocate()
        let ring = (capture.mapping, transmit, completion)
        worker = packet.map { .reference(Self.reference(ring, $0)) } ?? .swift(Self.swift(ring, counters))
        writeRecords()
    }

    private typealias Rings = (capture: CaptureRingMapping, transmit: RingMapping, completion: RingMapping)

    private static func swift(_ rings: Rings, _ counters: CounterBlock) -> WorkerThread {
        let uplink = UnsafeMutablePointer<Uplink>.allocate(capacity: 1)
        uplink.initialize(to: Uplink(socket: -1, number: 0, transmit: rings.transmit, completion: rings.completion))
        let tunnel = OuterHeader(
            .init(remote: .init("192.0.2.9")!, tunnelID: 5001), source: .init("192.0.2.1")!,
            sourceMAC: .init("02:00:00:00:00:01")!, destinationMAC: .init("02:00:00:00:00:02")!)
        let table = ForwardingTable(
            serial: 1,
            current: Selection(
                generation: 1, ports: [.init(slot: 0, taps: [(counters: CounterBlock.allocate(), destinations: [0])])]),
            destinations: [
                DestinationPlan(
                    encapsulation: tunnel, frameLimit: 9000, uplink: uplink, fate: nil, counters: counters)
            ],
            uplinks: [uplink], spans: [])
        return WorkerThread(
            umem: UMEM(chunkCount: 8192)!, rings: [rings.capture], wakeUp: .unheard(), epoll: -1, table: table)
    }

    private static func reference(_ rings: Rings, _ packet: [UInt8]) -> OpaquePointer {
        packet.withUnsafeBytes { bytes in
            var memory = reference_memory(
                capture: rings.capture.memory, size: rings.capture.size,
                transmit_producer: rings.transmit.producer, transmit_consumer: rings.transmit.consumer,
                transmit_flags: rings.transmit.flags, transmit_elements: rings.transmit.elements,
                completion_producer: rings.completion.producer, completion_consumer: rings.completion.consumer,
                completion_elements: rings.completion.elements, entries: ringEntries, packet: bytes.baseAddress)
            return reference_make(&memory)
        }
    }

    private func turn() -> Int {
        switch worker {
        case .swift(let thread): thread.turn()
        case .reference(let reference): reference_turn(reference)
        }
    }

    private var frames: UInt64 {
        switch worker {
        case .swift: counters.frames
        case .reference(let reference): reference_frames(reference)
        }
    }

    private var memory: UnsafeMutableRawPointer {
        switch worker {
        case .swift(let thread): thread.area.base
        case .reference(let reference): reference_area(reference)
        }
    }

    /// Reads the whole capture ring in turns of the worker.
    ///
    /// - Returns: ns a frame, over the turns alone.
    func turns() -> Double {
        let before = frames
        var spent: UInt64 = 0
        while frames - before < perRound {
            let begin = now()
            let taken = turn()
            spent += now() - begin
            precondition(taken > 0, "the worker does not take what is in its ring")
            completeAll()
        }
        capture.offerAgain()
        return Double(spent) / Double(perRound)
    }

    /// Copies the same frames from the ring into the same UMEM, behind the same room for a header.
    ///
    /// - Returns: ns a frame, measured over batches as long as a turn.
    func copies() -> Double {
        let area = memory
        var spent: UInt64 = 0
        for first in Swift.stride(from: 0, to: perRound, by: Self.batch) {
            let begin = now()
            for index in first..<min(first + Self.batch, perRound) {
                memcpy(
                    area + (index & 127) * UMEM.chunkSize + headerLength,
                    capture.mapping.record(at: UInt(index * stride)) + 1, frameLength)
            }
            spent += now() - begin
        }
        return Double(spent) / Double(perRound)
    }

    var framesInRound: Int { perRound }

    /// Every packet that one round makes.
    func packets() -> [[UInt8]] {
        seen = []
        _ = turns()
        defer { seen = nil }
        return seen!
    }

    /// The kernel's half of the uplink: everything that is queued has been sent.
    private func completeAll() {
        let producer = word(transmit.producer, as: UInt32.self).pointee.load(ordering: .acquiring)
        let consumer = word(transmit.consumer, as: UInt32.self).pointee.load(ordering: .relaxed)
        let descriptors = transmit.elements.assumingMemoryBound(to: xdp_desc.self)
        let done = completion.elements.assumingMemoryBound(to: UInt64.self)
        for offset in 0..<(producer &- consumer) {
            let index = Int((consumer &+ offset) & (Self.ringEntries - 1))
            done[index] = descriptors[index].addr
            if seen != nil {
                let start = memory + Int(descriptors[index].addr)
                seen!.append(Array(UnsafeRawBufferPointer(start: start, count: Int(descriptors[index].len))))
            }
        }
        word(transmit.consumer, as: UInt32.self).pointee.store(producer, ordering: .releasing)
        word(completion.producer, as: UInt32.self).pointee.store(producer, ordering: .releasing)
    }

    /// Fills the ring: equal frames of 256 UDP flows over IPv4, one record each.
    private func writeRecords() {
        for index in 0..<perRound {
            var record = hs_record()
            record.time = UInt64(index + 1)
            record.taps = 1
            record.generation = 1
            record.length = UInt32(frameLength)
            capture.push(record, frame(flow: UInt8(truncatingIfNeeded: index)))
        }
    }

    private func frame(flow: UInt8) -> [UInt8] {
        let header: [UInt8] = [
            0x02, 0, 0, 0, 0, 4, 0x02, 0, 0, 0, 0, 3, 0x08, 0x00,  // Ethernet
            0x45, 0, UInt8((frameLength - 14) >> 8), UInt8((frameLength - 14) & 0xFF), 0, 0, 0x40, 0, 64, 17, 0, 0,
            198, 51, 100, flow, 203, 0, 113, 1,  // IPv4
            0x10, flow, 0x00, 0x35, UInt8((frameLength - 34) >> 8), UInt8((frameLength - 34) & 0xFF), 0, 0,  // UDP
        ]
        return header + (header.count..<frameLength).map { UInt8(truncatingIfNeeded: $0) }
    }

    private static func ring(entryBytes: Int) -> RingMapping {
        RingMapping(
            producer: area(64), consumer: area(64), flags: area(64), elements: area(Int(ringEntries) * entryBytes),
            size: ringEntries)
    }
}

/// Zeroed memory that lives as long as the process.
private func area(_ bytes: Int) -> UnsafeMutableRawPointer {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 4096)
    memory.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
    return memory
}

/// An index word of a ring.
private func word<Value: AtomicRepresentable>(
    _ address: UnsafeMutableRawPointer, as type: Value.Type
) -> UnsafeMutablePointer<Atomic<Value>> {
    address.assumingMemoryBound(to: Atomic<Value>.self)
}
