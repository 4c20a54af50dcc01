// The rings of the kernel in plain memory, played from the other side: frames are put into a capture ring by whoever has
// them, and what a worker would hand to an uplink is read from its TX ring. For replay, watching and tests, without
// privileges; nothing here runs in the loop, and the worker may be on another thread.

package import CShims
import Synchronization

/// An AF_XDP ring in plain memory.
package final class MemoryRing<Element: BitwiseCopyable> {
    /// Producer at 0, consumer at 16, flags at 32.
    package let words: UnsafeMutablePointer<UInt32>
    package let elements: UnsafeMutablePointer<Element>
    private let size: UInt32

    /// - Parameter size: a power of two.
    package init(size: UInt32, filler: Element) {
        self.size = size
        words = .allocate(capacity: 48)
        words.initialize(repeating: 0, count: 48)
        elements = .allocate(capacity: Int(size))
        elements.initialize(repeating: filler, count: Int(size))
    }

    deinit {
        words.deallocate()
        elements.deallocate()
    }

    package var mapping: RingMapping {
        RingMapping(
            producer: UnsafeMutableRawPointer(words), consumer: UnsafeMutableRawPointer(words + 16),
            flags: UnsafeMutableRawPointer(words + 32), elements: UnsafeMutableRawPointer(elements), size: size)
    }

    /// The kernel's side of a ring that the worker consumes.
    package func push(_ element: Element) {
        let producer = atomic(0)
        let index = producer.pointee.load(ordering: .relaxed)
        elements[Int(index & (size - 1))] = element
        producer.pointee.store(index &+ 1, ordering: .releasing)
    }

    /// The kernel's side of a ring that the worker produces.
    package func pop() -> Element? {
        let consumer = atomic(16)
        let index = consumer.pointee.load(ordering: .relaxed)
        guard index != atomic(0).pointee.load(ordering: .acquiring) else { return nil }
        defer { consumer.pointee.store(index &+ 1, ordering: .releasing) }
        return elements[Int(index & (size - 1))]
    }

    private func atomic(_ word: Int) -> UnsafeMutablePointer<Atomic<UInt32>> {
        UnsafeMutableRawPointer(words + word).assumingMemoryBound(to: Atomic<UInt32>.self)
    }
}

/// A capture ring in plain memory, written as capture.bpf.c does.
package final class MemoryCaptureRing {
    package let mapping: CaptureRingMapping
    private var position: UInt

    /// - Parameters:
    ///   - size: bytes, a power of two.
    ///   - position: where both ends stand at first.
    package init(size: Int = 1 << 18, position: UInt = 0) {
        let bytes = CaptureRingMapping.byteCount(size)
        let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
        mapping = CaptureRingMapping(memory, size: UInt(size))
        self.position = position
        mapping.producer.pointee.store(position, ordering: .relaxed)
        mapping.consumer.pointee.store(position, ordering: .relaxed)
    }

    deinit { mapping.memory.deallocate() }

    /// Puts one record in. Precondition: there is room; at most `HS_LONGEST_FRAME` bytes.
    ///
    /// - Returns: where it lies.
    @discardableResult
    package func push(_ record: hs_record, _ bytes: [UInt8]) -> UnsafeMutableRawPointer {
        var record = record
        record.captured = UInt32(bytes.count)
        let at = mapping.data + Int(position & (mapping.size - 1))
        at.storeBytes(of: record, as: hs_record.self)
        bytes.withUnsafeBytes {
            (at + MemoryLayout<hs_record>.size).copyMemory(from: $0.baseAddress!, byteCount: $0.count)
        }
        position = mapping.position(after: position)
        mapping.producer.pointee.store(position, ordering: .releasing)
        return at
    }

    /// Offers the records of a whole ring once more. Precondition: it is full of them, and all were taken.
    package func offerAgain() {
        position &+= mapping.size
        mapping.producer.pointee.store(position, ordering: .releasing)
    }
}

/// An uplink whose kernel is whoever calls `sent`, or another worker.
package final class MemoryUplink {
    package let transmit: MemoryRing<xdp_desc>
    package let completion: MemoryRing<UInt64>
    package let uplink: UnsafeMutablePointer<Uplink>

    /// - Parameters:
    ///   - number: unique among the sockets of the worker.
    ///   - size: descriptors, a power of two.
    ///   - bell, asleep: of a worker that takes what is queued.
    ///   - datagrams: what sends it.
    package init(
        number: UInt16, size: UInt32 = 256, bell: Int32 = -1, asleep: UnsafeMutableRawPointer? = nil,
        datagrams: UnsafeMutablePointer<DatagramExit>? = nil
    ) {
        transmit = MemoryRing(size: size, filler: xdp_desc())
        completion = MemoryRing(size: size, filler: 0)
        uplink = .allocate(capacity: 1)
        uplink.initialize(
            to: Uplink(
                socket: -1, number: number, transmit: transmit.mapping, completion: completion.mapping, bell: bell,
                asleep: asleep, datagrams: datagrams))
    }

    deinit {
        uplink.deinitialize(count: 1)
        uplink.deallocate()
    }

    /// Takes what was sent, as frames, and completes it.
    ///
    /// - Parameters:
    ///   - area: start of the worker's UMEM.
    ///   - limit: frames that are taken at most.
    package func sent(_ area: UnsafeMutableRawPointer, atMost limit: Int = .max) -> [[UInt8]] {
        var frames: [[UInt8]] = []
        var frame: [UInt8] = []
        while frames.count < limit, let part = transmit.pop() {
            frame += UnsafeRawBufferPointer(start: area + Int(part.addr), count: Int(part.len))
            completion.push(part.addr)
            if part.options & HS_XDP_PKT_CONTD == 0 {
                frames.append(frame)
                frame = []
            }
        }
        return frames
    }
}
