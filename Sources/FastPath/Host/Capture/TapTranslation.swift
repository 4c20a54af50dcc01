// Pure: VLAN filter and packet filter of one tap as instructions for the kernel: a piece of FilterTranslation.swift,
// which says what the registers hold. The meaning is that of ClassicFilter.swift, which judges what is left open here.

import CLibBPF
import CShims
import MirrorProgram

/// The filters of one tap. Jumps are to labels until `finish`.
struct TapTranslation {
    private(set) var instructions: [bpf_insn] = []
    private(set) var calls: [Int] = []
    private var jumps: [(at: Int, label: Label)] = []
    private var places: [Label: Int] = [:]
    private var serial = 0

    /// Where jumps go: the instructions of the classic program by index, the two verdicts, and places in between.
    private enum Label: Hashable {
        case classic(Int)
        case match, noMatch, end
        case local(Int)
    }

    /// A tap that the worker judges: always a candidate.
    init(open bit: Int) {
        instructions = [.set(field: FilterView.recheck, 1)] + bpf_insn.constant(.result, 1 << UInt64(bit))
        instructions.append(.or(.matching, .result))
    }

    init(_ tap: MirrorProgram.Tap, bit: Int) {
        instructions = [.set(field: FilterView.touched, 0)]
        if let ranges = tap.vlanFilter?.ranges { translate(ranges, matchesAfter: tap.filter?.code.isEmpty ?? true) }
        if let code = tap.filter?.code, !code.isEmpty { translate(code) }
        let isTaken = Set(jumps.map(\.label))
        if isTaken.contains(.match) {
            place(.match)
            instructions += bpf_insn.constant(.result, 1 << UInt64(bit)) + [.or(.matching, .result)]
        }
        place(.noMatch)
        // What was read may be otherwise in a segment: a candidate, whatever the verdict.
        instructions.append(.load(.result, field: FilterView.touched))
        branch(0x15, .result, imm: 0, to: .end)
        instructions.append(.set(field: FilterView.recheck, 1))
        instructions += bpf_insn.constant(.result, 1 << UInt64(bit)) + [.or(.matching, .result)]
        place(.end)
    }

    /// Resolves the labels.
    ///
    /// - Returns: false where a jump is too far for its 16 bits.
    mutating func finish() -> Bool {
        for (at, label) in jumps {
            guard let place = places[label], let distance = Int16(exactly: place - at - 1) else { return false }
            instructions[at].off = distance
        }
        return true
    }

    /// Calls `load` on a way that no frame goes.
    mutating func callLoadNever() {
        instructions = [
            .load(.result, field: FilterView.shift), .make(0xB5, .result, off: 5, imm: 4),
            .load(.context, fromStack: FilterStack.context, wide: true), .move(.second, from: .view),
            .set(.offset, 0), .set(.size, 4), .callLoad,
        ]
        calls = [6]
    }

    // MARK: VLAN filter

    private mutating func translate(_ ranges: [ClosedRange<UInt16>], matchesAfter: Bool) {
        let after = matchesAfter ? Label.match : .classic(0)
        instructions.append(.load(.result, field: FilterView.vlan))
        for range in Self.merged(ranges) {
            branch(0xA5, .result, imm: Int32(range.lowerBound), to: .noMatch)
            branch(0xB5, .result, imm: Int32(range.upperBound), to: after)
        }
        jump(to: .noMatch)
    }

    /// By rising id, none next to another.
    static func merged(_ ranges: [ClosedRange<UInt16>]) -> [ClosedRange<UInt16>] {
        ranges.sorted { $0.lowerBound < $1.lowerBound }.reduce(into: []) { list, range in
            if let last = list.last, range.lowerBound <= last.upperBound + 1 {
                list[list.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
            } else {
                list.append(range)
            }
        }
    }

    // MARK: Packet filter

    private mutating func translate(_ code: [MirrorProgram.FilterInstruction]) {
        let isReached = Self.reached(code)
        place(.classic(0))
        instructions += [.set(.accumulator, 0), .set(.index, 0)]
        for word in Set(code.filter { ($0.code & 0xE7) == 0x60 || ($0.code & 0xE7) == 0x61 }.map(\.k)).sorted() {
            instructions.append(.store(.accumulator, at: FilterStack.word(word)))
        }
        for (at, one) in code.enumerated() where isReached[at] {
            if at > 0 { place(.classic(at)) }
            translate(one, at)
        }
    }

    /// The verifier refuses instructions that no way leads to.
    private static func reached(_ code: [MirrorProgram.FilterInstruction]) -> [Bool] {
        var isReached = [Bool](repeating: false, count: code.count + 1)
        isReached[0] = true
        for (at, one) in code.enumerated() where isReached[at] {
            switch one.code & ClassicBPF.classMask {
            case ClassicBPF.ret: break
            case ClassicBPF.jmp where one.code == 0x05: isReached[min(code.count, at + 1 + Int(one.k))] = true
            case ClassicBPF.jmp:
                isReached[min(code.count, at + 1 + Int(one.jumpTrue))] = true
                isReached[min(code.count, at + 1 + Int(one.jumpFalse))] = true
            default: isReached[at + 1] = true
            }
        }
        return isReached
    }

    private mutating func translate(_ one: MirrorProgram.FilterInstruction, _ at: Int) {
        let register: FilterRegister = one.code & 1 == 0 ? .accumulator : .index
        switch one.code & ClassicBPF.classMask {
        case ClassicBPF.ld, ClassicBPF.ldx: load(register, one)
        case ClassicBPF.st, ClassicBPF.stx: instructions.append(.store(register, at: FilterStack.word(one.k)))
        case ClassicBPF.alu: compute(one)
        case ClassicBPF.jmp: translateJump(one, at)
        case ClassicBPF.ret:
            if one.code == 0x16 { branch(0x56, .accumulator, imm: 0, to: .match) }
            jump(to: one.code == 0x06 && one.k != 0 ? .match : .noMatch)
        default:
            instructions.append(
                one.code & 0x80 != 0 ? .move(.accumulator, from: .index) : .move(.index, from: .accumulator))
        }
    }

    private mutating func load(_ register: FilterRegister, _ one: MirrorProgram.FilterInstruction) {
        let size = one.code & 0x18 == 0 ? 4 : one.code & 0x18 == 0x08 ? 2 : 1
        switch one.code & 0xE0 {
        case 0x00: instructions.append(.set(register, one.k))
        case 0x20: loadFixed(register, one.k, size)
        case 0x40: loadIndexed(one.k, size)
        case 0x60: instructions.append(.load(register, fromStack: FilterStack.word(one.k)))
        case 0x80:
            instructions += [
                .load(register, field: FilterView.length), .load(.result, field: FilterView.touched),
                .load(.context, field: FilterView.varies), .or(.result, .context),
                .store(.result, field: FilterView.touched),
            ]
        default:  // the length of an IPv4 header
            loadFixed(.index, one.k, 1)
            instructions += [.make(0x54, .index, imm: 0x0F), .make(0x64, .index, imm: 2)]
        }
    }

    private mutating func loadFixed(_ register: FilterRegister, _ offset: UInt32, _ size: Int) {
        let done = local()
        if Int(offset) + size <= Int(HS_DIRECT) {
            let far = local()
            instructions.append(.load(.result, field: FilterView.direct))
            branch(0xA5, .result, imm: Int32(offset) + Int32(size), to: far)
            instructions.append(.load(register, from: .view, FilterView.bytes + Int16(offset), size: size))
            if size > 1 { instructions.append(.swap(register, size: size)) }
            jump(to: done)
            place(far)
        }
        instructions.append(.set(.offset, offset))
        callLoad(register, size)
        place(done)
    }

    /// The sum of offset and index does not wrap: beyond 32 bits is behind every frame.
    private mutating func loadIndexed(_ offset: UInt32, _ size: Int) {
        let far = local()
        let done = local()
        instructions += [
            .move(.offset, from: .index), .set(.second, offset), .add(.offset, .second),
            .load(.result, field: FilterView.direct),
        ]
        branch(0x25, .offset, imm: Int32(HS_DIRECT) - Int32(size), to: far)
        instructions += [.move(.second, from: .offset), .add(.second, Int32(size))]
        branch(0x2D, .second, .result, to: far)
        instructions += [
            .move(.second, from: .view), .add(.second, .offset),
            .load(.accumulator, from: .second, FilterView.bytes, size: size),
        ]
        if size > 1 { instructions.append(.swap(.accumulator, size: size)) }
        jump(to: done)
        place(far)
        callLoad(.accumulator, size)
        place(done)
    }

    /// `offset` holds where.
    private mutating func callLoad(_ register: FilterRegister, _ size: Int) {
        instructions += [
            .load(.context, fromStack: FilterStack.context, wide: true), .move(.second, from: .view),
            .set(.size, UInt32(size)), .callLoad,
        ]
        calls.append(instructions.count - 1)
        branch(0xC5, .result, imm: 0, to: .noMatch)  // less than 0
        instructions.append(.move(register, from: .result))
    }

    /// The codes of the 32-bit operations are the classic ones.
    private mutating func compute(_ one: MirrorProgram.FilterInstruction) {
        let operation = one.code & 0xF0
        let code = UInt8(one.code)
        guard one.code & 0x08 != 0, operation != 0x80 else {
            let operand = operation == 0x80 ? 0 : Int32(bitPattern: one.k)
            instructions.append(.make(code, .accumulator, imm: operand))
            return
        }
        if operation == 0x30 || operation == 0x90 {
            branch(0x16, .index, imm: 0, to: .noMatch)
            instructions.append(.make(code, .accumulator, .index))
        } else if operation == 0x60 || operation == 0x70 {
            instructions += [
                .make(0xA6, .index, off: 2, imm: 32), .set(.accumulator, 0), .make(0x05, off: 1),
                .make(code, .accumulator, .index),
            ]
        } else {
            instructions.append(.make(code, .accumulator, .index))
        }
    }

    private mutating func translateJump(_ one: MirrorProgram.FilterInstruction, _ at: Int) {
        if one.code == 0x05 {
            jump(to: .classic(at + 1 + Int(one.k)))
            return
        }
        let yes = Label.classic(at + 1 + Int(one.jumpTrue))
        let no = Label.classic(at + 1 + Int(one.jumpFalse))
        if yes == no {
            jump(to: yes)
            return
        }
        // Class JMP32; equal, greater, greater or equal and "has a bit of" have their classic codes.
        let code = UInt8(one.code & 0xF8) | 0x06
        if one.code & 0x08 == 0 {
            branch(code, .accumulator, imm: Int32(bitPattern: one.k), to: yes)
        } else {
            branch(code, .accumulator, .index, to: yes)
        }
        if one.jumpFalse != 0 { jump(to: no) }
    }

    // MARK: Labels

    private mutating func local() -> Label {
        serial += 1
        return .local(serial)
    }

    private mutating func place(_ label: Label) { places[label] = instructions.count }

    private mutating func jump(to label: Label) { branch(0x05, .result, imm: 0, to: label) }

    private mutating func branch(
        _ code: UInt8, _ register: FilterRegister, _ other: FilterRegister = .result, imm: Int32 = 0, to label: Label
    ) {
        jumps.append((instructions.count, label))
        instructions.append(.make(code, register, other, imm: imm))
    }
}
