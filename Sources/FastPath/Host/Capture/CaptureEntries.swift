// What is captured under one generation: the map that the capture program looks a slot and direction up in. One such
// map is made for each new program and put in place whole, so that no frame meets half of one.
// Before it: the plan of a program. After it: capture.bpf.c; its counters come back through `counts`.

import CLibBPF
import CShims
package import MirrorProgram

/// A capture point of one generation: slot and direction.
package struct CapturePoint: Hashable {
    package var slot: Int
    package var direction: UInt8

    package init(slot: Int, direction: UInt8) {
        self.slot = slot
        self.direction = direction
    }

    var index: UInt32 { UInt32(slot) * 2 + UInt32(direction) }
}

/// What the taps of a point want beside all of its frames.
package struct CaptureWish {
    /// Bits of the taps that want every frame, and the taps that want some.
    package var unfiltered: UInt64 = 0
    package var filtered: [(bit: Int, tap: MirrorProgram.Tap)] = []
    /// Bytes of a frame that they want at most; 0 for all.
    package var longest: UInt32 = 0

    package init(
        unfiltered: UInt64 = 0, filtered: [(bit: Int, tap: MirrorProgram.Tap)] = [], longest: UInt32 = 0
    ) {
        self.unfiltered = unfiltered
        self.filtered = filtered
        self.longest = longest
    }
}

/// What the capture program has counted at a point, in frames on the wire.
package struct CaptureCounts: Equatable {
    package var matched: UInt64 = 0
    /// Of those, what found no room in a ring.
    package var lost: UInt64 = 0
    /// Of those, what a clone of the frame before, its super-frame's first, would carry as well.
    package var merged: UInt64 = 0

    package init() {}

    /// Clones that would carry them all.
    package var buffers: UInt64 { matched - min(matched, merged) }
}

/// The entries of one generation, in a map of their own.
package final class CaptureEntries {
    package let generation: UInt32
    /// Bit i of a point: tap i of its slot wants the frames of this direction.
    package let taps: [CapturePoint: UInt64]
    /// Nil without BPF: the worker matches by the selection then.
    private let map: Descriptor?
    private let program: CaptureProgram?
    private let carried: CarriedPoints?
    private var places: [Int] = []
    /// Points whose filters the kernel does not take, and why: their frames are all copied, and the worker judges.
    package private(set) var unfiltered: [(point: CapturePoint, error: HostError)] = []

    /// - Parameters:
    ///   - foreign: points in other network namespaces.
    ///   - plans: what the kernel carries, toward destinations at these places.
    ///   - workers: places of the workers that serve the slots; 0 for those that are not there.
    package init(
        _ program: CaptureProgram?, generation: UInt32, taps: [CapturePoint: UInt64],
        wishes: [CapturePoint: CaptureWish] = [:], foreign: Set<CapturePoint> = [],
        carrying plans: [CapturePoint: CarryPlan] = [:], indices: [String: Int] = [:], workers: [Int: Int] = [:]
    ) throws(HostError) {
        self.program = program
        self.generation = generation
        self.taps = taps
        guard let program else {
            map = nil
            carried = nil
            return
        }
        let map = try Descriptor("cannot make the map of a program's capture points") {
            bpf_map_create(
                BPF_MAP_TYPE_PERCPU_ARRAY, "hs_captures", 4, UInt32(MemoryLayout<hs_capture>.size),
                UInt32(HS_SLOTS * 2), nil)
        }
        self.map = map
        carried = try CarriedPoints(program, generation: generation, plans, indices: indices)
        let filters = try placeFilters(wishes, map, program)
        for (point, bits) in taps {
            let filter = filters[point]
            let isOpen = wishes[point]?.filtered.isEmpty == false && filter == nil
            var flags = isOpen ? UInt32(HS_UNFILTERED.rawValue) : 0
            if foreign.contains(point) { flags |= UInt32(HS_FOREIGN.rawValue) }
            let worker = UInt32(workers[point.slot] ?? 0)
            let entry = hs_capture(
                taps: bits, carried: plans[point]?.bits ?? 0, matched: 0, lost: 0, merged: 0, generation: generation,
                filter: UInt32(filter.map { $0 + 1 } ?? 0), longest: wishes[point]?.longest ?? 0, flags: flags,
                rings: worker * UInt32(program.possibleCPUs), worker: worker)
            let values = [hs_capture](repeating: entry, count: program.possibleCPUs)
            var key = point.index
            try check("cannot set capture point \(point.slot)") { bpf_map_update_elem(map.raw, &key, values, 0) }
        }
    }

    deinit { for place in places { program?.vacate(place) } }

    /// Loads and places the filter programs, some at a time: the kernel's verifier takes milliseconds for each.
    private func placeFilters(
        _ wishes: [CapturePoint: CaptureWish], _ map: Descriptor, _ program: CaptureProgram
    ) throws(HostError) -> [CapturePoint: Int] {
        var placed: [CapturePoint: Int] = [:]
        var waiting = Array(wishes.filter { !$0.value.filtered.isEmpty })[...]
        while !waiting.isEmpty {
            let batch = waiting.prefix(Self.loadedAtOnce)
            waiting = waiting.dropFirst(batch.count)
            let loads = try batch.map { item throws(HostError) in
                let translation = FilterTranslation(unfiltered: item.value.unfiltered, filtered: item.value.filtered)
                return (
                    item.key,
                    try Background { () throws(HostError) in
                        try program.load(item.key, entries: map, filters: translation)
                    }
                )
            }
            for (point, load) in loads {
                do throws(HostError) {
                    let loaded = try load.wait()
                    guard let place = try program.place(loaded) else { throw HostError("all places are taken") }
                    places.append(place)
                    placed[point] = place
                } catch {
                    unfiltered.append((point, error))
                }
            }
        }
        return placed
    }

    private static let loadedAtOnce = 8

    /// Puts the entries in place. When this returns no program uses the ones before: the kernel waits for that.
    package func install() throws(HostError) {
        guard let map, let program else { return }
        var key: UInt32 = 0
        var value = map.raw
        try check("cannot put the new capture points in place") {
            bpf_map_update_elem(program.programMap, &key, &value, 0)
        }
    }

    /// Adds what the kernel has carried by itself.
    func countCarried(taps: inout [String: KernelTally], destinations: inout [String: KernelTally]) {
        carried?.count(taps: &taps, destinations: &destinations)
    }

    /// What was counted at a point, over all CPUs.
    package func counts(_ point: CapturePoint) -> CaptureCounts {
        guard let map, let program else { return CaptureCounts() }
        var values = [hs_capture](repeating: hs_capture(), count: program.possibleCPUs)
        var key = point.index
        guard bpf_map_lookup_elem(map.raw, &key, &values) == 0 else { return CaptureCounts() }
        return values.reduce(into: CaptureCounts()) { sum, value in
            sum.matched += value.matched
            sum.lost += value.lost
            sum.merged += value.merged
        }
    }
}
