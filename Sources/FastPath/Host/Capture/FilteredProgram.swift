// `filtered` of capture.bpf.c as libbpf left it: what is loaded for a capture point is this with the filters of the point
// in the place of its one call, and with the entries of the one generation that it serves.
// Before it: BPFObject.swift. After it: CaptureProgram.swift loads what `instructions` returns.

import CLibBPF
import CShims

struct FilteredProgram {
    private let base: [bpf_insn]
    /// The call that the filters take the place of, and where `load` begins.
    private let call, load: Int
    private let entriesMap: Int32

    init(_ object: BPFObject) throws(HostError) {
        let base = try object.instructions("filtered")
        self.base = base
        entriesMap = try object.map("entries")
        let calls = base.indices.filter { base[$0].code == callCode && base[$0].src_reg == UInt8(BPF_PSEUDO_CALL) }
        guard calls.count == 1 else {
            throw HostError("the BPF program 'filtered' has \(calls.count) calls of its own, not 1")
        }
        call = calls[0]
        load = call + 1 + Int(base[call].imm)
    }

    func instructions(_ filters: FilterTranslation, entries: Descriptor) -> [bpf_insn] {
        var whole = base.replacing(entriesMap, by: entries.raw, as: BPF_PSEUDO_MAP_FD)
        whole[call].imm = Int32(base.count - call - 1)
        return whole + filters.linked(distance: load - base.count)
    }
}

extension [bpf_insn] {
    /// With every reference to one map turned to another.
    func replacing(_ map: Int32, by other: Int32, as kind: Int32) -> [bpf_insn] {
        var replaced = self
        for index in indices
        where self[index].code == loadDoubleWord && self[index].src_reg == UInt8(kind) && self[index].imm == map {
            replaced[index].imm = other
        }
        return replaced
    }
}

extension BPFObject {
    /// The final instructions of a loaded program, its subprograms behind it.
    func instructions(_ name: String) throws(HostError) -> [bpf_insn] {
        let program = try program(name)
        return Array(UnsafeBufferPointer(start: bpf_program__insns(program), count: bpf_program__insn_cnt(program)))
    }
}

/// BPF_LD | BPF_IMM | BPF_DW (linux/bpf.h): the instruction of two slots that refers to maps.
private let loadDoubleWord: UInt8 = 0x18
/// BPF_JMP | BPF_CALL.
private let callCode: UInt8 = 0x85
