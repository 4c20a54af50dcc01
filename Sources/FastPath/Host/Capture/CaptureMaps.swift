// The maps that the capture program and we share beside its entries: rings per CPU, what wakes a worker, our own tunnels.
// Before it: CaptureProgram.swift and CaptureRingSet.swift. After it: the worker, which gets the mappings.

import CLibBPF
import CShims
package import FastPath
import Glibc

/// Rings, wake-up words and loop guard of one dataplane.
package final class CaptureMaps {
    /// What the capture program wakes one worker by.
    package struct Doorbell {
        /// A BPF ring buffer, to be slept on; nil without BPF.
        package let descriptor: Descriptor?
        package let wakeUp: WakeUp
    }

    package let rings: CaptureRingSet
    /// By worker.
    package let doorbells: [Doorbell]

    private let program: CaptureProgram?
    /// The tunnels of ours that are known.
    private(set) var ownTunnels: Set<TunnelKey> = []

    /// Hands the rings to the program.
    package init(_ program: CaptureProgram, _ rings: CaptureRingSet) throws(HostError) {
        self.program = program
        self.rings = rings
        let words = try mapPages("the wake-up words", pageSize, PROT_READ | PROT_WRITE, program.needWakeupMap, 0)
        let workers = (rings.rings.map(\.worker).max() ?? 0) + 1
        doorbells = try (0..<workers).map { worker throws(HostError) in
            try Self.doorbell(
                worker, asleep: words + worker * Int(HS_WAKEUP_STRIDE) * MemoryLayout<UInt64>.size)
        }
        // Each waits for the kernel's readers: side by side.
        let bells = doorbells.enumerated().map { ($0, $1.descriptor!) }
        let bellsMap = program.doorbellsMap
        let hung = try Background { () throws(HostError) in try Self.put(bells, into: bellsMap, "a doorbell") }
        let placed = Result { () throws(HostError) in
            try Self.put(
                rings.rings.filter { $0.cpu < program.possibleCPUs }
                    .map { ($0.worker * program.possibleCPUs + $0.cpu, $0.descriptor) },
                into: program.ringsMap, "a capture ring")
        }
        try hung.wait()
        try placed.get()
    }

    /// Without BPF: no ring, and a word that nobody else looks at.
    init() {
        program = nil
        rings = .none
        doorbells = [Doorbell(descriptor: nil, wakeUp: .unheard())]
    }

    private static func doorbell(_ worker: Int, asleep: UnsafeMutableRawPointer) throws(HostError) -> Doorbell {
        let bell = try Descriptor("cannot make the ring buffer that wakes worker \(worker)") {
            bpf_map_create(BPF_MAP_TYPE_RINGBUF, "hs_doorbell", 0, 0, UInt32(pageSize), nil)
        }
        // kernel/bpf/ringbuf.c: the consumer's page can be written, the producer's behind it cannot.
        let consumer = try mapPages("a doorbell's consumer page", pageSize, PROT_READ | PROT_WRITE, bell.raw, 0)
        let producer = try mapPages("a doorbell's producer page", pageSize, PROT_READ, bell.raw, pageSize)
        return Doorbell(
            descriptor: bell, wakeUp: WakeUp(asleep: asleep, consumer: consumer, producer: producer))
    }

    /// Maps into a map of maps, in one batch, since the kernel waits for its readers after each call; one by one before Linux 5.15.
    private static func put(
        _ entries: [(place: Int, descriptor: Descriptor)], into map: Int32, _ what: String
    ) throws(HostError) {
        let keys = entries.map { UInt32($0.place) }
        let values = entries.map(\.descriptor.raw)
        var count = UInt32(entries.count)
        if bpf_map_update_batch(map, keys, values, &count, nil) == 0 { return }
        for (key, value) in zip(keys, values) {
            var (key, value) = (key, value)
            try check("cannot put \(what) into place \(key)") { bpf_map_update_elem(map, &key, &value, 0) }
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
