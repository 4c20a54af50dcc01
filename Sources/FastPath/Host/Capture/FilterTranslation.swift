// Pure: the filters of one capture point as instructions for the kernel, which its capture program runs on every frame
// before anything is copied. Before it: CapturePlan.swift. After it: CaptureProgram.swift puts the result in the place of
// a call in `filtered` of capture.bpf.c, whose `load` reads what lies outside the first bytes of the frame.
//
// Registers: r6 the bits of the taps that match so far, r7 and r8 the classic accumulator and index register, r9 the
// view of the frame (record.h, hs_view). The stack has the context at -8 and the classic scratch memory below.

package import CLibBPF
import CShims
package import MirrorProgram

/// Instructions that leave the bits of the matching taps in r0.
package struct FilterTranslation {
    package private(set) var instructions: [bpf_insn] = []
    /// Which of them call `load`; their `imm` is to be set to the distance.
    package private(set) var calls: [Int] = []

    /// - Parameters:
    ///   - unfiltered: bits of the taps that want every frame.
    ///   - filtered: the others, with their bits, 0 ..< 64. One whose filter is too long is left to the worker.
    package init(unfiltered: UInt64, filtered: [(bit: Int, tap: MirrorProgram.Tap)]) {
        instructions = [
            .store(.context, at: FilterStack.context, wide: true), .move(.view, from: .second),
        ]
        instructions += bpf_insn.constant(.matching, unfiltered)
        for (bit, tap) in filtered {
            var one = TapTranslation(tap, bit: bit)
            if !one.finish() { one = TapTranslation(open: bit) }
            calls += one.calls.map { $0 + instructions.count }
            instructions += one.instructions
        }
        if calls.isEmpty {
            // The verifier wants `load` to be reached.
            var never = TapTranslation(open: 0)
            never.callLoadNever()
            calls += never.calls.map { $0 + instructions.count }
            instructions += never.instructions
        }
        instructions += [.move(.result, from: .matching), .exit]
    }

    /// The instructions with their calls directed.
    ///
    /// - Parameter distance: from the first instruction to that of `load`, negative when it comes before.
    package func linked(distance: Int) -> [bpf_insn] {
        var linked = instructions
        for call in calls { linked[call].imm = Int32(distance - call - 1) }
        return linked
    }
}

/// Places on the stack, from its end.
enum FilterStack {
    static let context: Int16 = -8
    static func word(_ index: UInt32) -> Int16 { -72 + 4 * Int16(index & 15) }
}

/// Registers by what they hold.
enum FilterRegister: UInt8 {
    case result, context, second, offset, size
    case matching = 6
    case accumulator, index, view, stack
}

/// Fields of hs_view.
enum FilterView {
    static let direct = offset(\.direct)
    static let length = offset(\.length)
    static let vlan = offset(\.vlan)
    static let varies = offset(\.varies)
    static let touched = offset(\.touched)
    static let recheck = offset(\.recheck)
    static let shift = offset(\.shift)
    static let bytes = offset(\.bytes)

    private static func offset<Field>(_ field: KeyPath<hs_view, Field>) -> Int16 {
        Int16(MemoryLayout<hs_view>.offset(of: field)!)
    }
}

/// Instructions by what they do (linux/bpf.h).
extension bpf_insn {
    static func make(
        _ code: UInt8, _ to: FilterRegister = .result, _ from: FilterRegister = .result, off: Int16 = 0, imm: Int32 = 0
    ) -> bpf_insn {
        bpf_insn(code: code, dst_reg: to.rawValue, src_reg: from.rawValue, off: off, imm: imm)
    }

    static func move(_ to: FilterRegister, from: FilterRegister) -> bpf_insn { make(0xBF, to, from) }
    /// 32 bits; the upper half becomes 0.
    static func set(_ to: FilterRegister, _ value: UInt32) -> bpf_insn {
        make(0xB4, to, imm: Int32(bitPattern: value))
    }
    static func constant(_ to: FilterRegister, _ value: UInt64) -> [bpf_insn] {
        [
            make(0x18, to, imm: Int32(truncatingIfNeeded: value)),
            make(0x00, imm: Int32(truncatingIfNeeded: value >> 32)),
        ]
    }
    static func add(_ to: FilterRegister, _ from: FilterRegister) -> bpf_insn { make(0x0F, to, from) }
    static func add(_ to: FilterRegister, _ value: Int32) -> bpf_insn { make(0x07, to, imm: value) }
    static func or(_ to: FilterRegister, _ from: FilterRegister) -> bpf_insn { make(0x4F, to, from) }
    /// To the stack.
    static func store(_ from: FilterRegister, at off: Int16, wide: Bool = false) -> bpf_insn {
        make(wide ? 0x7B : 0x63, .stack, from, off: off)
    }
    static func load(_ to: FilterRegister, fromStack off: Int16, wide: Bool = false) -> bpf_insn {
        make(wide ? 0x79 : 0x61, to, .stack, off: off)
    }
    /// A 32-bit field of the view.
    static func load(_ to: FilterRegister, field: Int16) -> bpf_insn { make(0x61, to, .view, off: field) }
    static func store(_ from: FilterRegister, field: Int16) -> bpf_insn { make(0x63, .view, from, off: field) }
    static func set(field: Int16, _ value: Int32) -> bpf_insn { make(0x62, .view, off: field, imm: value) }
    /// 1, 2 or 4 bytes, as they lie in memory.
    static func load(_ to: FilterRegister, from: FilterRegister, _ off: Int16, size: Int) -> bpf_insn {
        make(size == 4 ? 0x61 : size == 2 ? 0x69 : 0x71, to, from, off: off)
    }
    /// Network to host order.
    static func swap(_ to: FilterRegister, size: Int) -> bpf_insn { make(0xDC, to, imm: Int32(size * 8)) }
    /// BPF-to-BPF.
    static let callLoad = bpf_insn(code: 0x85, dst_reg: 0, src_reg: 1, off: 0, imm: 0)
    static let exit = make(0x95)
}
