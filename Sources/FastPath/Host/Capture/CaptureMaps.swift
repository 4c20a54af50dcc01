// The maps that the capture program and we share beside its entries: rings per CPU, the wake-up word, our own tunnels.
// Before it: CaptureProgram.swift and CaptureRingSet.swift. After it: the worker, which gets the mappings.

import CLibBPF
import CShims
import Glibc

/// Rings, wake-up word and loop guard of one dataplane.
package final class CaptureMaps {
    package let rings: CaptureRingSet
    private let wakeupWords: UnsafeMutableRawPointer

    private let program: CaptureProgram?
    /// The tunnels of ours that are known.
    private(set) var ownTunnels: Set<TunnelKey> = []

    /// Hands the rings to the program.
    package init(_ program: CaptureProgram, _ rings: CaptureRingSet) throws(HostError) {
        self.program = program
        self.rings = rings
        try Self.put(rings.rings.filter { $0.cpu < program.possibleCPUs }, program)
        wakeupWords = try mapPages("the wake-up words", pageSize, PROT_READ | PROT_WRITE, program.needWakeupMap, 0)
    }

    /// Of one worker, a 64-bit word: 1 while it sleeps.
    package func needWakeup(worker: Int) -> UnsafeMutableRawPointer {
        wakeupWords + worker * Int(HS_WAKEUP_STRIDE) * MemoryLayout<UInt64>.size
    }

    /// Without BPF: no ring, and a word that nobody else looks at.
    init() {
        program = nil
        rings = .none
        let word = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)
        word.initialize(to: 0)
        wakeupWords = UnsafeMutableRawPointer(word)
    }

    /// In one batch, since the kernel waits for its readers after each call; one by one before Linux 5.15.
    private static func put(_ rings: [CaptureRingSet.Ring], _ program: CaptureProgram) throws(HostError) {
        let map = program.ringsMap
        let keys = rings.map { UInt32($0.worker * program.possibleCPUs + $0.cpu) }
        let values = rings.map(\.descriptor.raw)
        var count = UInt32(rings.count)
        if bpf_map_update_batch(map, keys, values, &count, nil) == 0 { return }
        for (ring, key) in zip(rings, keys) {
            var key = key
            var value = ring.descriptor.raw
            try check("cannot put the capture ring of CPU \(ring.cpu) into place") {
                bpf_map_update_elem(map, &key, &value, 0)
            }
        }
    }

    /// Makes `own_tunnels` hold exactly these; what is right is not touched.
    package func setOwnTunnels(_ wanted: Set<TunnelKey>) throws(HostError) {
        guard let program else {
            ownTunnels = wanted
            return
        }
        for tunnel in wanted.subtracting(ownTunnels) {
            var key = tunnel.key
            var value: UInt32 = 1
            try check("cannot add a tunnel to the loop guard") {
                bpf_map_update_elem(program.ownTunnelsMap, &key, &value, 0)
            }
            ownTunnels.insert(tunnel)
        }
        for tunnel in ownTunnels.subtracting(wanted) {
            var key = tunnel.key
            _ = bpf_map_delete_elem(program.ownTunnelsMap, &key)
            ownTunnels.remove(tunnel)
        }
    }
}
