// A capture ring whose records end where readable memory ends: AddressSanitizer sees the first byte that is read
// behind what was captured. The ring itself is that of Sources/FastPath/Datapath/MemoryRings.swift.

import CShims
import FastPath

@_silgen_name("__asan_poison_memory_region")
private func poison(_ at: UnsafeRawPointer, _ bytes: Int)
@_silgen_name("__asan_unpoison_memory_region")
private func unpoison(_ at: UnsafeRawPointer, _ bytes: Int)

/// One record at a time in a ring of plain memory.
struct PoisonedRing {
    /// Fits behind any record: a ring has room for the longest one behind its end.
    private static let fence = 4096
    let ring: MemoryCaptureRing

    /// Puts a record into the ring, lets `run` take it, and makes the memory behind it readable again.
    func with(_ record: hs_record, _ bytes: [UInt8], _ run: () -> Void) {
        let end = ring.push(record, bytes) + MemoryLayout<hs_record>.size + bytes.count
        poison(end, Self.fence)
        run()
        unpoison(end, Self.fence)
    }
}
