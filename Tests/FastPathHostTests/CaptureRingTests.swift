// The capture rings as the program in the kernel writes them: round and round, full, and in use. What it writes is read as
// the worker reads it.

import CShims
import FastPath
import FastPathHost
import FilterCases
import Glibc
import MirrorProgram
import Testing

@Suite(.enabled(if: isRoot, Comment(rawValue: needsRoot)), .serialized)
struct CaptureRingTests {
    private static func frame(_ length: Int, _ filler: UInt8) -> [UInt8] {
        let ethernet: [UInt8] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0]
        return ethernet + [UInt8](repeating: filler, count: length - ethernet.count)
    }

    private static func bench() throws -> KernelBench {
        try KernelBench(CaptureWish(unfiltered: 1, filtered: []))
    }

    private static var ringSize: Int {
        get throws { try CaptureRingSet.size(workers: 1) }
    }

    /// Three laps, with records of every alignment at the end of each.
    @Test(arguments: [true, false]) func roundAndRound(readsKernelFields: Bool) throws {
        let bench = try KernelBench(CaptureWish(unfiltered: 1, filtered: []), readsKernelFields: readsKernelFields)
        var dice = Dice(readsKernelFields ? 1 : 2)
        var written = 0
        while written < 3 * (try Self.ringSize) {
            let length = 64 + Int(dice.next() % 3400)
            let frame = Self.frame(length, UInt8(truncatingIfNeeded: written))
            let records = try bench.run(frame, times: 200).records
            try #require(records.count == 200, "\(records.count) records of \(length) B at \(written)")
            #expect(records.allSatisfy { $0.1 == frame && $0.0.captured == UInt32(length) && $0.0.taps == 1 })
            let times = records.map(\.0.time)
            #expect(times == times.sorted())
            written += 200 * Int(hs_record_room(UInt32(length)))
        }
    }

    /// What finds no room is counted, and writes over nothing; with room again all is as before.
    @Test func aFullRingKeepsWhatItHas() throws {
        let bench = try Self.bench()
        let frame = Self.frame(3000, 7)
        let room = Int(hs_record_room(3000))
        let (size, before) = (try Self.ringSize, bench.entries.counts(KernelBench.point))
        // On whichever CPU: all of them go into one ring, as the kernel runs one call on one CPU.
        let count = size / room + 500
        let records = try bench.run(frame, times: Int32(count)).records
        let lost = bench.entries.counts(KernelBench.point).lost - before.lost
        #expect(lost >= 499 && lost <= 500 && records.count + Int(lost) == count, "\(records.count) and \(lost)")
        #expect(records.allSatisfy { $0.1 == frame })
        #expect(try bench.run(frame, times: 100).records.count == 100)
    }

    /// Who comes while a record is being written leaves it alone.
    @Test func aRingInUseIsLeftAlone() throws {
        let bench = try Self.bench()
        let writing = MemoryLayout<hs_ring>.offset(of: \.writing)!
        let frame = Self.frame(100, 1)
        for ring in bench.rings.rings { ring.mapping.memory.storeBytes(of: 1, toByteOffset: writing, as: UInt64.self) }
        #expect(try bench.run(frame, times: 3).records.isEmpty)
        #expect(bench.entries.counts(KernelBench.point).lost == 3)
        for ring in bench.rings.rings { ring.mapping.memory.storeBytes(of: 0, toByteOffset: writing, as: UInt64.self) }
        #expect(try bench.run(frame, times: 3).records.count == 3)
    }

    /// Before Linux 6.0 an array's value has 4 MiB at most.
    @Test func sizes() {
        #expect(CaptureRingSet.size(rings: 2, most: 4 << 20) == 2 << 20)
        #expect(CaptureRingSet.size(rings: 2, most: .max) == 16 << 20)
        #expect(CaptureRingMapping.byteCount(2 << 20) <= 4 << 20)
        #expect(MemoryLayout<hs_record>.size + Int(HS_LONGEST_FRAME) <= Int(HS_RING_OVERRUN))
    }
}
