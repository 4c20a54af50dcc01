// The rows of what the kernel carries, of one generation: written before its entries are put in place, read for their
// counters, gone with it. Before it: CarryPlan.swift. After it: carry_out.h; the counters go to Ledger.swift.

import CLibBPF
import CShims
import Glibc

/// What only the kernel counts of a tap or a destination.
package struct KernelTally: Equatable {
    /// Frames that found no room in a capture ring.
    package var lost: UInt64 = 0
    /// Copies that the kernel sent by itself, their inner bytes, and those that it refused.
    package var frames: UInt64 = 0
    package var bytes: UInt64 = 0
    package var refused: UInt64 = 0

    static func += (sum: inout KernelTally, one: KernelTally) {
        sum.lost += one.lost
        sum.frames += one.frames
        sum.bytes += one.bytes
        sum.refused += one.refused
    }

    fileprivate static func += (sum: inout KernelTally, one: hs_tally) {
        sum.frames += one.frames
        sum.bytes += one.bytes
        sum.refused += one.refused
    }
}

/// Rows of the map `carried` under one generation.
final class CarriedPoints {
    private let map: Int32
    private let generation: UInt32
    private let plans: [CapturePoint: CarryPlan]
    private let possibleCPUs: Int

    /// - Parameter indices: places of the destinations in the tables.
    init(
        _ program: CaptureProgram, generation: UInt32, _ plans: [CapturePoint: CarryPlan], indices: [String: Int]
    ) throws(HostError) {
        map = program.carriedMap
        possibleCPUs = program.possibleCPUs
        self.generation = generation
        self.plans = plans.filter { !$0.value.taps.isEmpty }
        for (point, plan) in self.plans {
            var row = hs_carried()
            row.reaches = UInt32(plan.reaches.count)
            row.taps = UInt32(plan.taps.count)
            withUnsafeMutableBytes(of: &row.reach) { memory in
                let reaches = memory.bindMemory(to: hs_reach.self)
                for (index, reach) in plan.reaches.enumerated() {
                    reaches[index].taps = reach.taps
                    reaches[index].destination = UInt32(indices[reach.destination]!)
                }
            }
            withUnsafeMutableBytes(of: &row.tap) { memory in
                let taps = memory.bindMemory(to: hs_carried_tap.self)
                for (index, tap) in plan.taps.enumerated() { taps[index].bit = tap.bit }
            }
            let values = [hs_carried](repeating: row, count: possibleCPUs)
            var key = key(of: point)
            try check("cannot set what the kernel carries of capture point \(point.slot)") {
                bpf_map_update_elem(map, &key, values, 0)
            }
        }
    }

    deinit {
        for point in plans.keys {
            var key = key(of: point)
            _ = bpf_map_delete_elem(map, &key)
        }
    }

    private func key(of point: CapturePoint) -> UInt64 { UInt64(generation) << 32 | UInt64(point.index) }

    /// Adds what was counted so far, over all CPUs.
    func count(taps: inout [String: KernelTally], destinations: inout [String: KernelTally]) {
        for (point, plan) in plans {
            var values = [hs_carried](repeating: hs_carried(), count: possibleCPUs)
            var key = key(of: point)
            guard bpf_map_lookup_elem(map, &key, &values) == 0 else { continue }
            for value in values {
                withUnsafeBytes(of: value.reach) { memory in
                    for (reach, row) in zip(plan.reaches, memory.bindMemory(to: hs_reach.self)) {
                        destinations[reach.destination, default: KernelTally()] += row.tally
                    }
                }
                withUnsafeBytes(of: value.tap) { memory in
                    for (tap, row) in zip(plan.taps, memory.bindMemory(to: hs_carried_tap.self)) {
                        taps[tap.id, default: KernelTally()] += row.tally
                    }
                }
            }
        }
    }
}
