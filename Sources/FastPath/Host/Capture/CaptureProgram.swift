// capture.bpf.c in the kernel: verified once by libbpf, then loaded again for each attachment with its own constants.
// Before it: BPFObject.swift. After it: CaptureAttachment.swift puts what `load` returns on a port.
//
// libbpf's way to set constants is to open and load the whole object again, which parses the kernel's type
// information each time: 32 ms. The instructions that it leaves behind are final but for the descriptor of .rodata, so
// a load of our own changes that one and takes 6 ms.

import CLibBPF
package import CShims
import FastPath
import Glibc

/// The capture program and the maps that all attachments share.
package final class CaptureProgram {
    /// Whether the kernel's own fields (checksum state, GSO type) are read, or judged by the frame's bytes.
    package let readsKernelFields: Bool
    /// Descriptors of the shared maps.
    package let programMap, ringsMap, doorbellsMap, needWakeupMap, ownTunnelsMap, routesMap, carriedMap: Int32
    /// CPUs that the per-CPU maps have room for.
    package let possibleCPUs: Int

    private let object: BPFObject
    private let instructions: [bpf_insn]
    private let filtered: FilteredProgram
    private let filtersMap: Int32
    private var freePlaces = Array((0..<Int(HS_FILTERS)).reversed())
    private let constants: CaptureConstants
    /// Bytes of each ring that it can write to.
    package let ringSize: Int

    /// The best form of the program that this kernel and our capabilities allow.
    ///
    /// - Parameter workers: each has rings of its own, of the size that so many leave (`CaptureRingSet.size`).
    package static func best(workers: Int = 1) throws(HostError) -> CaptureProgram {
        if let program = try? CaptureProgram(readsKernelFields: true, workers: workers) { return program }
        return try CaptureProgram(readsKernelFields: false, workers: workers)
    }

    /// Verifies and loads one form of the program.
    package convenience init(readsKernelFields: Bool, workers: Int = 1) throws(HostError) {
        try self.init(
            readsKernelFields ? "capture" : "capture_plain",
            base64: readsKernelFields ? captureObject : capture_plainObject, readsKernelFields: readsKernelFields,
            workers: workers)
    }

    private init(_ name: String, base64: String, readsKernelFields: Bool, workers: Int) throws(HostError) {
        self.readsKernelFields = readsKernelFields
        let object = try BPFObject(name, base64: base64)
        let cpus = libbpf_num_possible_cpus()
        if cpus < 1 { throw .system("cannot count the CPUs", -cpus) }
        possibleCPUs = Int(cpus)
        let rings = bpf_object__find_map_by_name(object.raw, "rings")
        ringSize = try CaptureRingSet.size(workers: workers)
        // The map of rings takes those only that are as this one.
        let pattern = try CaptureRingSet.makeRing("cannot make a capture ring", size: ringSize)
        try check("cannot prepare the map of capture rings") {
            bpf_map__set_max_entries(rings, UInt32(cpus) * UInt32(workers))
                | bpf_map__set_inner_map_fd(rings, pattern.raw)
        }
        try CaptureConstants.set(slot: 0, direction: HS_IN, ringSize: ringSize, in: object)
        try object.load(name)
        constants = try CaptureConstants(object, ringSize: ringSize)
        instructions = try object.instructions("capture")
        filtered = try FilteredProgram(object)
        programMap = try object.map("program")
        ringsMap = try object.map("rings")
        doorbellsMap = try object.map("doorbells")
        needWakeupMap = try object.map("need_wakeup")
        filtersMap = try object.map("filters")
        ownTunnelsMap = try object.map("own_tunnels")
        routesMap = try object.map("routes")
        carriedMap = try object.map("carried")
        self.object = object
    }

    /// Loads the program for one capture point.
    ///
    /// - Parameter slot: 0 ..< HS_SLOTS.
    package func load(slot: Int, direction: hs_direction) throws(HostError) -> Descriptor {
        let (instructions, values) = try constants.set(slot: slot, direction: direction, in: instructions)
        return try withExtendedLifetime(values) { () throws(HostError) in
            try Descriptor("the kernel does not take the capture program of slot \(slot)") {
                bpf_prog_load(
                    BPF_PROG_TYPE_SCHED_CLS, "capture", "Dual BSD/GPL", instructions, instructions.count, nil)
            }
        }
    }

    /// Loads the program that `capture` leaves the frames of a point to when its taps have filters.
    ///
    /// - Parameters:
    ///   - entries: the map of the one generation that it serves.
    ///   - filters: what stands in for the taps' filters.
    package func load(
        _ point: CapturePoint, entries: Descriptor, filters: FilterTranslation
    ) throws(HostError) -> Descriptor {
        let (instructions, values) = try constants.set(
            slot: point.slot, direction: hs_direction(UInt32(point.direction)),
            in: filtered.instructions(filters, entries: entries))
        return try withExtendedLifetime(values) { () throws(HostError) in
            try Descriptor("the kernel does not take the filters of slot \(point.slot)") {
                bpf_prog_load(
                    BPF_PROG_TYPE_SCHED_CLS, "filtered", "Dual BSD/GPL", instructions, instructions.count, nil)
            }
        }
    }

    /// Puts a filter program where `capture` finds it.
    ///
    /// - Returns: its place, or nil when there is none left.
    func place(_ program: Descriptor) throws(HostError) -> Int? {
        guard let place = freePlaces.popLast() else { return nil }
        var key = UInt32(place)
        var value = program.raw
        do throws(HostError) {
            try check("cannot put a filter program in place") { bpf_map_update_elem(filtersMap, &key, &value, 0) }
        } catch {
            freePlaces.append(place)
            throw error
        }
        return place
    }

    /// Takes a filter program out. Call it when no entry that is in place refers to it.
    func vacate(_ place: Int) {
        var key = UInt32(place)
        _ = bpf_map_delete_elem(filtersMap, &key)
        freePlaces.append(place)
    }
}
