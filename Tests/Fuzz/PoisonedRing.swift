// A capture ring whose records end where readable memory ends: AddressSanitizer sees the first byte that is read
// behind what was captured. The ring itself is that of Tests/FastPathTests/Rig.swift.

import CShims

@_silgen_name("__asan_poison_memory_region")
private func poison(_ at: UnsafeRawPointer, _ bytes: Int)
@_silgen_name("__asan_unpoison_memory_region")
private func unpoison(_ at: UnsafeRawPointer, _ bytes: Int)

/// One record at a time in a ring of plain memory.
struct PoisonedRing {
    private static let fence = 4096
    let ring: FakeCaptureRing

    /// Puts a record into the ring, lets `run` take it, and makes the memory behind it readable again.
    func with(_ record: hs_record, _ bytes: [UInt8], _ run: () -> Void) {
        let needed = MemoryLayout<hs_record>.size + bytes.count + 16 + Self.fence
        let left = ring.size - Int(ring.positions[16] & UInt(ring.size - 1))
        if left < needed {
            // Discarded room up to the end of the ring, as the kernel leaves it.
            let at = ring.data + Int(ring.positions[16] & UInt(ring.size - 1))
            at.storeBytes(of: UInt32(left - 8) | 0x4000_0000, as: UInt32.self)
            ring.positions[16] &+= UInt(left)
        }
        let begin = ring.data + Int(ring.positions[16] & UInt(ring.size - 1))
        ring.push(record, bytes)
        let end = begin + 8 + MemoryLayout<hs_record>.size + bytes.count
        poison(end, Self.fence)
        run()
        unpoison(end, Self.fence)
    }
}
