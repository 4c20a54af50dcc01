// Pure: what of a capture point the kernel carries by itself, and what it leaves to the worker and why.
// Before it: CapturePlan.swift. After it: CarriedPoints.swift writes it for capture.bpf.c (carry_out.h).
//
// A frame reaches each destination once, so a destination that a tap of the worker's wants at the same point is the
// worker's for all.

import CShims
package import MirrorProgram

/// The kernel's part of one capture point.
package struct CarryPlan: Equatable {
    package struct Reach: Equatable {
        package var destination: String
        /// Bits of the taps that want it.
        package var taps: UInt64
    }

    /// Bits and ids of the taps.
    package private(set) var taps: [(bit: UInt64, id: String)] = []
    package private(set) var reaches: [Reach] = []
    /// By tap, why the worker carries one whose engine should be the kernel.
    package private(set) var obstacles: [String: String] = [:]

    package var bits: UInt64 { taps.reduce(0) { $0 | $1.bit } }

    package static func == (one: CarryPlan, other: CarryPlan) -> Bool {
        one.reaches == other.reaches && one.obstacles == other.obstacles && one.taps.elementsEqual(other.taps, by: ==)
    }

    /// - Parameters:
    ///   - chosen: the taps that select the point's frames, by their bits.
    ///   - prefersKernel: what `auto` means here.
    package init(
        _ port: MirrorProgram.Port, _ chosen: [(offset: Int, element: MirrorProgram.Tap)],
        _ destinations: [String: MirrorProgram.Destination], prefersKernel: Bool
    ) {
        var candidates = chosen.filter { _, tap in
            if tap.engine == .user || tap.engine == .auto && !prefersKernel { return false }
            obstacles[tap.id] = tap.obstacleToKernel(port, tap.destinations.compactMap { destinations[$0] })
            return obstacles[tap.id] == nil
        }
        var isSettled = false
        while !isSettled {
            let bits = Set(candidates.map(\.offset))
            let taken = Set(
                chosen.filter { !bits.contains($0.offset) }.flatMap { Self.members($0.element, destinations) })
            for (_, tap) in candidates {
                guard let shared = tap.destinations.first(where: taken.contains) else { continue }
                obstacles[tap.id] = "destination '\(shared)' is also that of a tap which the worker carries"
            }
            let count = candidates.count
            candidates.removeAll { obstacles[$0.element.id] != nil }
            isSettled = candidates.count == count
        }
        let wanted = Set(candidates.flatMap(\.element.destinations)).sorted()
        if candidates.count > Int(HS_REACHES) || wanted.count > Int(HS_REACHES) {
            for (_, tap) in candidates {
                obstacles[tap.id] =
                    "port '\(port.id)' has more than \(HS_REACHES) taps or destinations for it in one direction"
            }
            return
        }
        taps = candidates.map { (bit: 1 << UInt64($0.offset), id: $0.element.id) }
        reaches = wanted.map { id in
            let bits = candidates.filter { $0.element.destinations.contains(id) }
            return Reach(destination: id, taps: bits.reduce(0) { $0 | 1 << UInt64($1.offset) })
        }
    }

    /// The destinations of a tap, those behind a spread too.
    static func members(
        _ tap: MirrorProgram.Tap, _ destinations: [String: MirrorProgram.Destination]
    ) -> [String] {
        tap.destinations.flatMap { id in
            if case .spread(let members) = destinations[id]?.target { return members }
            return [id]
        }
    }
}
