// Translated filters in a real kernel against libpcap's own interpreter: BPF_PROG_TEST_RUN on frames of every kind, 63
// filters at a time. What the program decides is read from the ring, as the worker reads it.

import CLibBPF
import CShims
import FastPath
import FastPathHost
import FilterCases
import Glibc
import MirrorProgram
import Testing

/// A capture point whose filters are in the kernel.
final class KernelBench {
    static let point = CapturePoint(slot: 3, direction: 1)
    let program: CaptureProgram
    let rings: CaptureRingSet
    let maps: CaptureMaps
    let entries: CaptureEntries
    private let loaded: Descriptor

    init(_ wish: CaptureWish, readsKernelFields: Bool = true) throws {
        program = try CaptureProgram(readsKernelFields: readsKernelFields)
        rings = try CaptureRingSet(size: program.ringSize)
        maps = try CaptureMaps(program, rings)
        let taps = wish.filtered.reduce(wish.unfiltered) { $0 | 1 << UInt64($1.bit) }
        entries = try CaptureEntries(program, generation: 7, taps: [Self.point: taps], wishes: [Self.point: wish])
        try entries.install()
        loaded = try program.load(slot: 3, direction: HS_OUT)
    }

    /// Runs the attached program on a frame.
    ///
    /// - Returns: the records that it left, with their bytes.
    func run(_ frame: [UInt8], superFrame size: UInt32 = 0, times: Int32 = 1) throws -> (
        records: [(hs_record, [UInt8])], nanoseconds: UInt32
    ) {
        let before = rings.rings.map(\.mapping.produced)
        var context = __sk_buff()
        context.gso_size = size
        context.gso_segs = size == 0 ? 0 : UInt32(frame.count) / size + 1
        var options = bpf_test_run_opts()
        options.sz = MemoryLayout<bpf_test_run_opts>.size
        let result = frame.withUnsafeBytes { bytes in
            withUnsafeMutablePointer(to: &context) { context in
                options.data_in = bytes.baseAddress
                options.data_size_in = UInt32(bytes.count)
                options.ctx_in = UnsafeRawPointer(context)
                options.ctx_size_in = UInt32(MemoryLayout<__sk_buff>.size)
                options.`repeat` = times
                return bpf_prog_test_run_opts(loaded.raw, &options)
            }
        }
        try #require(result == 0, "BPF_PROG_TEST_RUN: \(result)")
        let records = zip(rings.rings, before).flatMap { Self.records($0.mapping, from: $1) }
        return (records, options.duration)
    }

    /// Puts the program on an interface.
    func attach(_ interface: String, ingress: Bool) throws -> CaptureHook {
        try CaptureHook(
            loaded, interface: Int32(if_nametoindex(interface)), name: interface, ingress: ingress)
    }

    /// What has come since the last call; records are freed.
    func take() -> [(hs_record, [UInt8])] {
        rings.rings.flatMap { ring in
            Self.records(ring.mapping, from: ring.mapping.consumed)
        }
    }

    private static func records(_ ring: CaptureRingMapping, from: UInt) -> [(hs_record, [UInt8])] {
        var position = from
        var list: [(hs_record, [UInt8])] = []
        while position != ring.produced {
            let record = ring.record(at: position)
            let bytes = UnsafeRawBufferPointer(start: record + 1, count: Int(record.pointee.captured))
            list.append((record.pointee, Array(bytes)))
            position = ring.position(after: position)
        }
        // The worker's part: make room.
        ring.release(position)
        return list
    }
}

func wish(_ filters: [MirrorProgram.PacketFilter], vlans: String? = nil) -> CaptureWish {
    CaptureWish(
        unfiltered: 1,
        filtered: filters.enumerated().map { index, filter in
            (
                bit: index + 1,
                tap: MirrorProgram.Tap(
                    id: "\(index)", port: "p", direction: .out, destinations: ["d"],
                    vlanFilter: vlans.flatMap { .init($0) }, filter: filter)
            )
        })
}

@Suite(.enabled(if: isRoot, Comment(rawValue: needsRoot)), .serialized)
struct KernelFilterTests {
    @Test(arguments: 0..<6) func agreesWithLibpcap(_ seed: Int) throws {
        var dice = Dice(UInt64(seed) &+ 100)
        let filters = Array(CaseFilters.make(63 * 3, &dice).shuffled(using: &dice).prefix(63))
        let bench = try KernelBench(wish(filters), readsKernelFields: seed % 3 != 2)
        try #require(bench.entries.unfiltered.isEmpty, "\(bench.entries.unfiltered)")
        var faults: [String] = []
        var rechecked = 0
        for _ in 0..<200 {
            let frame = CaseFrame.random(&dice).bytes
            if frame.count < Self.shortest(frame) { continue }
            let records = try bench.run(frame).records
            guard records.count == 1 else {
                faults.append("\(records.count) records of \(frame)")
                continue
            }
            let (record, bytes) = records[0]
            #expect(bytes == frame && record.generation == 7 && record.slot == 3)
            let isOpen = record.flags & UInt8(HS_RECHECK.rawValue) != 0
            rechecked += isOpen ? 1 : 0
            for (index, filter) in filters.enumerated() {
                let found = record.taps >> UInt64(index + 1) & 1 != 0
                let expected = filter.reference(frame)
                if found != expected && !(isOpen && found) { faults.append("\(filter.expression): \(found): \(frame)") }
            }
        }
        #expect(faults.isEmpty, "\(faults.count): \(faults.prefix(2))")
        // Whole checksums are told from partial ones by the kernel's own fields only.
        if seed % 3 != 2 { #expect(rechecked == 0) }
    }

    /// What has no whole IP header BPF_PROG_TEST_RUN refuses.
    private static func shortest(_ frame: [UInt8]) -> Int {
        frame.count >= 14 && frame[12] == 0x86 && frame[13] == 0xDD ? 54 : 34
    }

    /// A filter that reads nothing that differs decides for all segments; any other leaves a candidate.
    @Test func leavesSegmentsToTheWorker() throws {
        var dice = Dice(5)
        let filters = Array(CaseFilters.make(63 * 2, &dice).shuffled(using: &dice).prefix(63))
        let bench = try KernelBench(wish(filters))
        try #require(bench.entries.unfiltered.isEmpty, "\(bench.entries.unfiltered)")
        for _ in 0..<100 {
            let frame = superFrame(&dice, payload: 2000 + dice.below(1200))
            let records = try bench.run(frame, superFrame: 1000).records
            let record = try #require(records.first?.0)
            #expect(record.gso_size == 1000)
            let isOpen = record.flags & UInt8(HS_RECHECK.rawValue) != 0
            for (index, filter) in filters.enumerated() {
                let found = record.taps >> UInt64(index + 1) & 1 != 0
                #expect(found || !filter.reference(frame), "\(filter.expression)")
                if !isOpen { #expect(found == filter.reference(frame), "\(filter.expression)") }
            }
        }
        let plain = try KernelBench(wish([compiled("tcp port 80"), compiled("ip6"), compiled("not udp")]))
        let record = try #require(try plain.run(superFrame(&dice, payload: 3000), superFrame: 1000).records.first?.0)
        #expect(record.flags & UInt8(HS_RECHECK.rawValue) == 0, "addresses and ports are those of every segment")
    }

    @Test func frameThatNobodyWantsIsNotCounted() throws {
        let filter = compiled("tcp port 4242")
        let bench = try KernelBench(
            CaptureWish(filtered: [
                (bit: 0, tap: .init(id: "t", port: "p", direction: .out, destinations: [], filter: filter))
            ]))
        var dice = Dice(1)
        for _ in 0..<50 {
            let frame = CaseFrame.random(&dice).bytes
            if frame.count >= Self.shortest(frame) { #expect(try bench.run(frame).records.isEmpty) }
        }
        #expect(bench.entries.counts(KernelBench.point).matched == 0)
    }

    @Test func takesTheVLANsOfItsFilter() throws {
        let tap = MirrorProgram.Tap(
            id: "t", port: "p", direction: .out, destinations: [], vlanFilter: .init("7,100-102,101-189"))
        let bench = try KernelBench(CaptureWish(filtered: [(bit: 63, tap: tap)]))
        for id in [0, 6, 7, 8, 99, 100, 150, 189, 190, 4095] {
            let frame =
                [UInt8](repeating: 2, count: 12) + [0x81, 0, UInt8(id >> 8), UInt8(id & 255)]
                + [UInt8](repeating: 0, count: 60)
            let isWanted = id == 7 || (100...189).contains(id)
            #expect(try bench.run(frame).records.map(\.0.taps) == (isWanted ? [1 << 63] : []), "\(id)")
        }
        #expect(try bench.run([UInt8](repeating: 2, count: 80)).records.isEmpty, "without a tag")
    }

    @Test func copiesNoMoreThanIsWanted() throws {
        let bench = try KernelBench(CaptureWish(unfiltered: 1, longest: 300))
        let frame = [UInt8](repeating: 2, count: 1000)
        let (record, bytes) = try #require(try bench.run(frame).records.first)
        #expect(record.length == 1000 && bytes.count == 300)
        #expect(try bench.run(frame, superFrame: 500).records.first?.1.count == 1000)
    }

    /// Of a filter as long as they get, and of as many taps as a port has.
    @Test func theKernelTakesTheLargest() throws {
        let long = compiled((0..<200).map { "host 10.0.\($0 % 250).\($0 / 250 + 1)" }.joined(separator: " or "))
        let bench = try KernelBench(
            wish([long] + (0..<62).map { compiled("tcp port \($0 + 1) or udp port \($0 + 90)") }))
        #expect(bench.entries.unfiltered.isEmpty, "\(bench.entries.unfiltered)")
        // One whose jumps are too far is left to the worker, and only that one.
        let far = [MirrorProgram.FilterInstruction](
            repeating: .init(code: 0x28, jumpTrue: 0, jumpFalse: 0, k: 12), count: 4000)
        let end = MirrorProgram.FilterInstruction(code: 0x06, jumpTrue: 0, jumpFalse: 0, k: 0)
        let mixed = try KernelBench(wish([.init(expression: "far", code: far + [end]), compiled("arp")]))
        #expect(mixed.entries.unfiltered.isEmpty, "\(mixed.entries.unfiltered)")
        let record = try #require(try mixed.run([UInt8](repeating: 2, count: 80)).records.first?.0)
        #expect(record.taps == 3 && record.flags & UInt8(HS_RECHECK.rawValue) != 0)
    }

    /// What a filter costs the sender of a frame that nobody wants, ns; printed, not judged.
    @Test func cost() throws {
        var words: [String] = []
        let frame =
            [UInt8](repeating: 2, count: 12) + [
                8, 0, 0x45, 0, 0, 100, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
            ]
            + [UInt8](repeating: 3, count: 80)
        for terms in [1, 8] {
            let text = (0..<terms).map { "tcp port \(1000 + $0)" }.joined(separator: " or ")
            let tap = MirrorProgram.Tap(id: "t", port: "p", direction: .out, destinations: [], filter: compiled(text))
            let bench = try KernelBench(CaptureWish(filtered: [(bit: 0, tap: tap)]))
            words.append(
                "\(terms): \(try (0..<5).map { _ in try bench.run(frame, times: 200_000).nanoseconds }.min()!)")
        }
        let taps = try KernelBench(
            CaptureWish(
                filtered: (0..<8).map { index in
                    (
                        bit: index,
                        tap: .init(
                            id: "t", port: "p", direction: .out, destinations: [],
                            filter: compiled("tcp port \(1000 + index)"))
                    )
                }))
        words.append("8 taps: \(try (0..<5).map { _ in try taps.run(frame, times: 200_000).nanoseconds }.min()!)")
        let none = try KernelBench(CaptureWish(unfiltered: 0))
        words.append("no tap: \(try (0..<5).map { _ in try none.run(frame, times: 200_000).nanoseconds }.min()!)")
        print("a filter costs, ns a frame, by terms: \(words.joined(separator: ", "))")
    }

}

func compiled(_ text: String) -> MirrorProgram.PacketFilter {
    .init(expression: text, code: CaseFilters.compile(text))
}
