// What a classic BPF program must satisfy before anybody runs it: the rules of the kernel's and libpcap's own checkers
// (net/core/filter.c bpf_check_classic, libpcap bpf_validate), so that no interpreter has to check again.

/// Opcodes of linux/bpf_common.h.
public enum ClassicBPF {
    /// `code & classMask`.
    public static let classMask: UInt16 = 0x07
    public static let ld: UInt16 = 0x00
    public static let ldx: UInt16 = 0x01
    public static let st: UInt16 = 0x02
    public static let stx: UInt16 = 0x03
    public static let alu: UInt16 = 0x04
    public static let jmp: UInt16 = 0x05
    public static let ret: UInt16 = 0x06
    public static let misc: UInt16 = 0x07
    /// Words of scratch memory (BPF_MEMWORDS).
    public static let scratchWords = 16

    /// Every `code` that libpcap can emit: sizes and modes of loads, operations with K or X.
    static let known: Set<UInt16> = [
        0x00, 0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x60, 0x80,  // ld: imm, abs w h b, ind w h b, mem, len
        0x01, 0x61, 0x81, 0xB1,  // ldx: imm, mem, len, msh
        0x02, 0x03,  // st, stx
        0x04, 0x0C, 0x14, 0x1C, 0x24, 0x2C, 0x34, 0x3C, 0x44, 0x4C, 0x54, 0x5C, 0x64, 0x6C, 0x74, 0x7C, 0x84,  // alu
        0x94, 0x9C, 0xA4, 0xAC,  // mod, xor
        0x05, 0x15, 0x1D, 0x25, 0x2D, 0x35, 0x3D, 0x45, 0x4D,  // jmp
        0x06, 0x16,  // ret k, ret a
        0x07, 0x87,  // tax, txa
    ]
}

extension MirrorProgram.PacketFilter {
    /// Bytes that an expression may have.
    public static let longestExpression = 4096

    /// Why an expression is too long, in the words of all who look at it; nil when it is not.
    public static func excess(_ expression: String) -> String? {
        let count = expression.utf8.count
        return count > longestExpression ? "the filter has \(count) bytes; \(longestExpression) is the limit" : nil
    }

    /// Checks the code, where there is code.
    ///
    /// - Throws: the instruction that is wrong.
    func validate(_ owner: String) throws(ProgramError) {
        if let excess = Self.excess(expression) { throw ProgramError("\(owner): column 1: \(excess)") }
        if code.isEmpty { return }
        if code.count > MirrorProgram.instructionsPerFilter {
            throw ProgramError("\(owner): the filter has \(code.count) instructions; 4096 is the limit")
        }
        for (index, instruction) in code.enumerated() {
            if let fault = fault(instruction, index) {
                throw ProgramError("\(owner): instruction \(index) of the filter \(fault)")
            }
        }
        if code[code.count - 1].code & ClassicBPF.classMask != ClassicBPF.ret {
            throw ProgramError("\(owner): the filter does not end with a return")
        }
        if let index = unstoredLoad {
            throw ProgramError(
                "\(owner): instruction \(index) of the filter loads scratch word \(code[index].k), which is not stored on every "
                    + "way to it")
        }
    }

    /// The first load from scratch memory that some way through the program reaches without a store to that word
    /// (check_load_and_stores of net/core/filter.c): what it would find, interpreters do not agree on. Jumps are checked.
    private var unstoredLoad: Int? {
        // By instruction, the words that every jump to it has stored; jumps lead forward only.
        var arriving = [UInt16](repeating: .max, count: code.count)
        var stored: UInt16 = 0
        for (index, instruction) in code.enumerated() {
            stored &= arriving[index]
            let word: UInt16 = 1 << UInt16(truncatingIfNeeded: instruction.k)
            switch instruction.code {
            case ClassicBPF.st, ClassicBPF.stx: stored |= word
            case 0x60, 0x61: if stored & word == 0 { return index }
            case 0x05:
                arriving[index + 1 + Int(instruction.k)] &= stored
                stored = .max
            case let other where other & ClassicBPF.classMask == ClassicBPF.jmp:
                arriving[index + 1 + Int(instruction.jumpTrue)] &= stored
                arriving[index + 1 + Int(instruction.jumpFalse)] &= stored
                stored = .max
            // Nothing comes to what follows but jumps.
            case let other where other & ClassicBPF.classMask == ClassicBPF.ret: stored = .max
            default: break
            }
        }
        return nil
    }

    private func fault(_ instruction: MirrorProgram.FilterInstruction, _ index: Int) -> String? {
        if !ClassicBPF.known.contains(instruction.code) { return "has the unknown code \(instruction.code)" }
        let left = code.count - 1 - index
        switch instruction.code & ClassicBPF.classMask {
        case ClassicBPF.jmp:
            let furthest =
                instruction.code == 0x05
                ? UInt64(instruction.k) : UInt64(max(instruction.jumpTrue, instruction.jumpFalse))
            if furthest >= UInt64(left) { return "jumps behind the end" }
        case ClassicBPF.alu:
            if instruction.code == 0x34 || instruction.code == 0x94, instruction.k == 0 { return "divides by 0" }
            if instruction.code == 0x64 || instruction.code == 0x74, instruction.k > 31 { return "shifts by over 31" }
        case ClassicBPF.st, ClassicBPF.stx:
            if instruction.k >= UInt32(ClassicBPF.scratchWords) { return "stores behind the scratch memory" }
        case ClassicBPF.ld, ClassicBPF.ldx:
            if instruction.code & 0xE0 == 0x60, instruction.k >= UInt32(ClassicBPF.scratchWords) {
                return "loads from behind the scratch memory"
            }
        default: break
        }
        return nil
    }
}
