// What tells one attachment of a capture program from another: its constants, a frozen map in the place of .rodata.
// Before it: BPFObject.swift. After it: CaptureProgram.swift and CaptureXDP.swift load with it.

import CLibBPF
import CShims

/// The constants of a capture program as libbpf left them.
struct CaptureConstants {
    private let map: Int32
    private let offsets: [String: Int]
    private let size, ringSize: Int

    /// - Parameters:
    ///   - object: loaded.
    ///   - ringSize: bytes of each capture ring, a power of two.
    init(_ object: BPFObject, ringSize: Int) throws(HostError) {
        (offsets, size) = try object.constants()
        self.ringSize = ringSize
        map = bpf_map__fd(try Self.section(of: object))
    }

    /// Sets the constants of an object that is not loaded yet.
    static func set(
        slot: Int, direction: hs_direction, ringSize: Int, in object: BPFObject
    ) throws(HostError) {
        let (offsets, size) = try object.constants()
        let value = try value(slot, direction, ringSize, offsets, size)
        let section = try section(of: object)
        try check("cannot set the constants of slot \(slot)") { bpf_map__set_initial_value(section, value, size) }
    }

    private static func section(of object: BPFObject) throws(HostError) -> OpaquePointer {
        var map = bpf_object__next_map(object.raw, nil)
        while let candidate = map, !String(cString: bpf_map__name(candidate)).hasSuffix(".rodata") {
            map = bpf_object__next_map(object.raw, candidate)
        }
        guard let map else { throw HostError("the BPF object has no constants") }
        return map
    }

    /// Instructions with the constants of one capture point, and the map that must live until they are loaded.
    func set(
        slot: Int, direction: hs_direction, in instructions: [bpf_insn]
    ) throws(HostError) -> (instructions: [bpf_insn], values: Descriptor) {
        let values = try make(slot: slot, direction: direction)
        return (instructions.replacing(map, by: values.raw, as: BPF_PSEUDO_MAP_VALUE), values)
    }

    /// A frozen map that stands for .rodata: the verifier then takes its values for constants.
    private func make(slot: Int, direction: hs_direction) throws(HostError) -> Descriptor {
        let value = try Self.value(slot, direction, ringSize, offsets, size)
        let map = try BPFObject.value(
            "capture.rodata", bytes: size, flags: UInt32(HS_BPF_F_RDONLY_PROG), "cannot make a BPF map of constants")
        var key: UInt32 = 0
        try check("cannot set the constants of slot \(slot)") { bpf_map_update_elem(map.raw, &key, value, 0) }
        try check("cannot freeze the constants of slot \(slot)") { bpf_map_freeze(map.raw) }
        return map
    }

    private static func value(
        _ slot: Int, _ direction: hs_direction, _ ringSize: Int, _ offsets: [String: Int], _ size: Int
    ) throws(HostError) -> [UInt8] {
        guard let slotOffset = offsets["port_slot"], let directionOffset = offsets["port_direction"],
            let maskOffset = offsets["ring_mask"]
        else {
            throw HostError("the capture program lacks its constants port_slot, port_direction and ring_mask")
        }
        var value = [UInt8](repeating: 0, count: size)
        value.withUnsafeMutableBytes {
            $0.storeBytes(of: UInt32(slot), toByteOffset: slotOffset, as: UInt32.self)
            $0.storeBytes(of: UInt32(ringSize - 1), toByteOffset: maskOffset, as: UInt32.self)
        }
        value[directionOffset] = UInt8(direction.rawValue)
        return value
    }
}
