// The capture rings as the program in the kernel writes them: round and round, full, in use, and who is woken. What it writes
// is read as the worker reads it.

import CShims
import FastPath
import FastPathHost
import FilterCases
import Glibc
import MirrorProgram
import Synchronization
import Testing

@Suite(.enabled(if: isRoot, Comment(rawValue: needsRoot)), .serialized)
struct CaptureRingTests {
    private static func frame(_ length: Int, _ filler: UInt8) -> [UInt8] {
        let ethernet: [UInt8] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0]
        return ethernet + [UInt8](repeating: filler, count: length - ethernet.count)
    }

    /// With this thread on one CPU, so that all records go into one ring.
    private static func with(readsKernelFields: Bool = true, _ body: (KernelBench) throws -> Void) throws {
        let bench = try KernelBench(CaptureWish(unfiltered: 1, filtered: []), readsKernelFields: readsKernelFields)
        let cpus = bench.rings.rings.map { Int32($0.cpu) }
        try #require(hs_run_on(0, [cpus[0]], 1) == 0)
        defer { _ = hs_run_on(0, cpus, Int32(cpus.count)) }
        try body(bench)
    }

    /// Three laps, with records of every alignment at the end of each; the second time the positions wrap with their word.
    @Test(arguments: [true, false], [0, UInt64(bitPattern: -5000) & ~7])
    func roundAndRound(readsKernelFields: Bool, start: UInt64) throws {
        try Self.with(readsKernelFields: readsKernelFields) { bench in
            let fields: [PartialKeyPath<hs_ring>] = [\hs_ring.produced, \hs_ring.seen, \hs_ring.consumed]
            for field in fields {
                let at = MemoryLayout<hs_ring>.offset(of: field)!
                bench.rings.rings[0].mapping.memory.storeBytes(of: start, toByteOffset: at, as: UInt64.self)
            }
            var dice = Dice(start &+ (readsKernelFields ? 1 : 2))
            var written = 0
            while written < 3 * bench.program.ringSize {
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
    }

    /// What finds no room is counted, and writes over nothing; with room again all is as before.
    @Test func aFullRingKeepsWhatItHas() throws {
        try Self.with { bench in
            let frame = Self.frame(3000, 7)
            let before = bench.entries.counts(KernelBench.point).lost
            let count = bench.program.ringSize / Int(hs_record_room(3000)) + 500
            let records = try bench.run(frame, times: Int32(count)).records
            let lost = Int(bench.entries.counts(KernelBench.point).lost - before)
            #expect((499...500).contains(lost) && records.count + lost == count, "\(records.count) and \(lost)")
            #expect(records.allSatisfy { $0.1 == frame })
            #expect(try bench.run(frame, times: 100).records.count == 100)
        }
    }

    /// Who comes while a record is being written leaves it alone.
    @Test func aRingInUseIsLeftAlone() throws {
        try Self.with { bench in
            let (memory, frame) = (bench.rings.rings[0].mapping.memory, Self.frame(100, 1))
            let writing = MemoryLayout<hs_ring>.offset(of: \.writing)!
            memory.storeBytes(of: 1, toByteOffset: writing, as: UInt64.self)
            let none = try bench.run(frame, times: 3).records
            #expect(none.isEmpty && bench.entries.counts(KernelBench.point).lost == 3)
            memory.storeBytes(of: 0, toByteOffset: writing, as: UInt64.self)
            #expect(try bench.run(frame, times: 3).records.count == 3)
        }
    }

    /// The first record rings for a worker that sleeps, those after it do not, and what was rung can be cleared.
    @Test func aSleepingWorkerIsWokenOnce() throws {
        try Self.with { bench in
            let (doorbell, frame) = (bench.maps.doorbells[0], Self.frame(100, 1))
            func isRung() -> Bool {
                var descriptor = pollfd(fd: doorbell.descriptor!.raw, events: Int16(POLLIN), revents: 0)
                return poll(&descriptor, 1, 100) == 1
            }
            _ = try bench.run(frame)
            #expect(!isRung(), "nobody sleeps")
            for _ in 0..<2 {
                doorbell.wakeUp.asleep.pointee.store(1, ordering: .sequentiallyConsistent)
                _ = try bench.run(frame)
                #expect(isRung() && doorbell.wakeUp.asleep.pointee.load(ordering: .relaxed) == 0)
                doorbell.wakeUp.clear()
                _ = try bench.run(frame)
                #expect(!isRung())
            }
        }
    }

    /// Before Linux 6.0 an array's value has 4 MiB at most.
    @Test func sizes() {
        #expect(CaptureRingSet.size(rings: 2, most: 4 << 20) == 2 << 20)
        #expect(CaptureRingSet.size(rings: 2, most: .max) == 16 << 20)
        #expect(CaptureRingMapping.byteCount(2 << 20) <= 4 << 20)
    }
}
