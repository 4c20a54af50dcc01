// Classic BPF over one wire frame: what the capture program could not decide in the kernel (FilterTranslation.swift), or
// had no part in (span ports, records of a file). The meaning is that of libpcap's pcapint_filter: a load from behind
// the frame, and a division by 0, is a frame that does not match. Before it: FilterValidation.swift has checked the code
// on the cold side. After it: Actions.swift.

import MirrorProgram

/// One instruction as it is run.
struct FilterStep {
    var code: UInt16
    var jumpTrue, jumpFalse: UInt8
    var k: UInt32
}

/// A filter in memory that belongs to a selection; no steps: every frame matches.
struct ClassicFilter {
    var steps: UnsafeMutablePointer<FilterStep>
    var count: Int

    /// - Parameter words: `ClassicBPF.scratchWords` words of scratch memory.
    @inline(never)
    func matches(_ frame: WireFrame, _ words: UnsafeMutablePointer<UInt32>) -> Bool {
        words.update(repeating: 0, count: 16)
        var accumulator: UInt32 = 0
        var index: UInt32 = 0
        var at = 0
        while at < count {
            let step = steps[at]
            at &+= 1
            switch step.code & ClassicOperation.classes {
            case 0, 1:
                let value = load(step, frame, words, index)
                if value < 0 { return false }
                let word = UInt32(truncatingIfNeeded: value)
                if step.code & ClassicOperation.classes == 0 { accumulator = word } else { index = word }
            case 2: words[Int(step.k & 15)] = accumulator
            case 3: words[Int(step.k & 15)] = index
            case 4:
                let operand = step.code & ClassicOperation.withX != 0 ? index : step.k
                let operation = step.code & 0xF0
                if operand == 0 && (operation == 0x30 || operation == 0x90) { return false }
                accumulator = computed(operation, accumulator, operand)
            case 5:
                let operand = step.code & ClassicOperation.withX != 0 ? index : step.k
                at &+= jump(step, accumulator, operand)
            case 6: return (step.code & 0x18 == 0x10 ? accumulator : step.k) != 0
            default: if step.code & 0x80 != 0 { accumulator = index } else { index = accumulator }
            }
        }
        return false
    }

    /// What a load brings, or -1 where it lies behind the frame.
    @inline(__always)
    private func load(
        _ step: FilterStep, _ frame: WireFrame, _ words: UnsafeMutablePointer<UInt32>, _ index: UInt32
    ) -> Int {
        let size = step.code & 0x18 == 0 ? 4 : step.code & 0x18 == 0x08 ? 2 : 1
        switch step.code & 0xE0 {
        case 0x00: return Int(step.k)
        case 0x20: return frame.load(Int(step.k), size)
        case 0x40: return frame.load(Int(step.k) &+ Int(index), size)
        case 0x60: return Int(words[Int(step.k & 15)])
        case 0x80: return frame.wireLength
        default:
            let byte = frame.load(Int(step.k), 1)
            return byte < 0 ? byte : (byte & 0x0F) &* 4
        }
    }

    @inline(__always)
    private func computed(_ operation: UInt16, _ value: UInt32, _ operand: UInt32) -> UInt32 {
        switch operation {
        case 0x00: value &+ operand
        case 0x10: value &- operand
        case 0x20: value &* operand
        case 0x30: value / operand
        case 0x40: value | operand
        case 0x50: value & operand
        case 0x60: operand < 32 ? value &<< operand : 0
        case 0x70: operand < 32 ? value &>> operand : 0
        case 0x80: 0 &- value
        case 0x90: value % operand
        default: value ^ operand
        }
    }

    @inline(__always)
    private func jump(_ step: FilterStep, _ value: UInt32, _ operand: UInt32) -> Int {
        let isTaken: Bool
        switch step.code & 0xF0 {
        case 0x00: return Int(step.k)
        case 0x10: isTaken = value == operand
        case 0x20: isTaken = value > operand
        case 0x30: isTaken = value >= operand
        default: isTaken = value & operand != 0
        }
        return Int(isTaken ? step.jumpTrue : step.jumpFalse)
    }
}

private enum ClassicOperation {
    @inline(__always) static var classes: UInt16 { 0x07 }
    @inline(__always) static var withX: UInt16 { 0x08 }
}

extension WireFrame {
    /// Bytes of the frame on the wire, also those that were not captured.
    @inline(__always) var wireLength: Int { length &+ missing }

    /// `size` bytes (1, 2 or 4) at `offset` in host order, or -1 where they are not there.
    @inline(__always)
    func load(_ offset: Int, _ size: Int) -> Int {
        if offset < 0 || offset > length &- size { return -1 }
        var value = 0
        for index in 0..<size { value = value << 8 | Int(byte(offset &+ index)) }
        return value
    }

    @inline(__always)
    private func byte(_ offset: Int) -> UInt8 {
        if checksumAt >= 0 && offset &- checksumAt >= 0 && offset &- checksumAt < 2 {
            return UInt8(truncatingIfNeeded: offset == checksumAt ? checksum >> 8 : checksum)
        }
        return offset < headLength ? head.byte(offset) : body.byte(offset &- headLength)
    }

    /// The id of the outermost 802.1Q or 802.1ad tag, or -1.
    @inline(__always) var vlan: Int {
        let type = load(12, 2)
        guard type == Int(EtherType.vlan) || type == Int(EtherType.serviceVLAN) else { return -1 }
        let control = load(14, 2)
        return control < 0 ? control : control & 0x0FFF
    }
}
