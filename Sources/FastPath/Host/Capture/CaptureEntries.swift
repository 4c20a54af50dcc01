// What is captured under one generation: the map that the capture program looks a slot and direction up in. One such
// map is made for each new program and put in place whole, so that no frame meets half of one.
// Before it: the plan of a program. After it: capture.bpf.c; its counters come back through `counts`.

import CLibBPF
import CShims

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

/// The entries of one generation, in a map of their own.
package final class CaptureEntries {
    package let generation: UInt32
    /// Bit i of a point: tap i of its slot wants the frames of this direction.
    package let taps: [CapturePoint: UInt64]
    private let map: Descriptor
    private let program: CaptureProgram

    package init(_ program: CaptureProgram, generation: UInt32, taps: [CapturePoint: UInt64]) throws(HostError) {
        self.program = program
        self.generation = generation
        self.taps = taps
        let map = try Descriptor("cannot make the map of a program's capture points") {
            bpf_map_create(
                BPF_MAP_TYPE_PERCPU_ARRAY, "hs_captures", 4, UInt32(MemoryLayout<hs_capture>.size),
                UInt32(HS_SLOTS * 2), nil)
        }
        self.map = map
        for (point, bits) in taps {
            let entry = hs_capture(taps: bits, matched: 0, lost: 0, generation: generation, reserved: 0)
            let values = [hs_capture](repeating: entry, count: program.possibleCPUs)
            var key = point.index
            try check("cannot set capture point \(point.slot)") { bpf_map_update_elem(map.raw, &key, values, 0) }
        }
    }

    /// Puts the entries in place. When this returns no program uses the ones before: the kernel waits for that.
    package func install() throws(HostError) {
        var key: UInt32 = 0
        var value = map.raw
        try check("cannot put the new capture points in place") {
            bpf_map_update_elem(program.programMap, &key, &value, 0)
        }
    }

    /// Wire frames that matched at a point, and those of them that found no room in the ring, over all CPUs.
    package func counts(_ point: CapturePoint) -> (matched: UInt64, lost: UInt64) {
        var values = [hs_capture](repeating: hs_capture(), count: program.possibleCPUs)
        var key = point.index
        guard bpf_map_lookup_elem(map.raw, &key, &values) == 0 else { return (0, 0) }
        return values.reduce(into: (0, 0)) { sum, value in
            sum.0 += value.matched
            sum.1 += value.lost
        }
    }
}
