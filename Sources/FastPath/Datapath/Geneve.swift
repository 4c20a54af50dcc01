// The Geneve header (RFC 8926 section 3.4) and the options that tell of a copy: class 0xFFF0 of the range for
// experiments, none of them critical.
//
//   0  version 0 and length of the options in words(1)  O, C(1)  protocol(2): Ethernet
//   4  VNI(3)  reserved(1)
//   8  options: class(2) type(1) length of the value in words(1), value

import MirrorProgram

enum Geneve {
    private static let optionClass: UInt16 = 0xFFF0

    /// Bytes of the header with its options.
    static func length(_ options: Set<MirrorProgram.GeneveOption>) -> Int {
        options.reduce(8) { $0 + 4 + $1.valueLength }
    }

    /// Where an option's value is, from the header's first byte; nil where the option is not wanted.
    static func value(_ wanted: MirrorProgram.GeneveOption, _ options: Set<MirrorProgram.GeneveOption>) -> Int? {
        var at = 8
        for option in MirrorProgram.GeneveOption.allCases where options.contains(option) {
            if option == wanted { return at + 4 }
            at += 4 + option.valueLength
        }
        return nil
    }

    static func writeTemplate(
        _ at: UnsafeMutableRawPointer, vni: UInt32, _ options: Set<MirrorProgram.GeneveOption>
    ) {
        at.put8(UInt8((length(options) - 8) / 4), 0)
        at.put16(GRE.ethernet, 2)
        at.put32(vni << 8, 4)
        for option in options {
            let header = value(option, options)! - 4
            at.put16(optionClass, header)
            at.put8(option.type, header + 2)
            at.put8(UInt8(option.valueLength / 4), header + 3)
        }
    }
}

extension MirrorProgram.GeneveOption {
    fileprivate var type: UInt8 {
        switch self {
        case .sourcePort: 1
        case .direction: 2
        case .timestamp: 3
        }
    }

    fileprivate var valueLength: Int { self == .timestamp ? 8 : 4 }
}
