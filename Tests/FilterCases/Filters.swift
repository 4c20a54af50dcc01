// Filters that the tests try: written by hand, put together at random, and programs that no compiler makes.

public import MirrorProgram
import PacketFilter

public enum CaseFilters {
    /// One of each kind of primitive, and some that people write.
    public static let written = [
        "tcp", "udp", "icmp", "icmp6", "arp", "ip", "ip6", "ip proto 47", "ip proto 132", "ether proto 0x88cc",
        "tcp port 80", "udp port 53", "port 443", "src port 22", "dst port 8080", "portrange 20-100",
        "host 10.0.0.1", "src host 10.0.1.2", "dst net 10.0.1.0/24", "net 10.0.0.0/16", "ip6 host fd00::1",
        "ether host 02:00:00:00:00:01", "ether src 02:00:00:00:00:02", "ether broadcast", "ip multicast",
        "len > 100", "less 64", "greater 200", "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
        "tcp[13] = 0x18", "ip[6:2] & 0x3fff != 0", "ip[8] < 65", "tcp[20:4] = 0x47455420", "udp[8:2] > 1000",
        "vlan", "vlan 100", "vlan and tcp", "vlan 5 and vlan 100", "vlan 189 and udp port 53", "not vlan",
        "ip[2:2] > 60", "((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0",
        "ether[0] & 1 = 0 and ip[0] & 0xf = 5", "ip6[40] = 0", "ip6 proto 58", "tcp port 80 or udp port 53 or arp",
        "not (host 10.0.0.1 and port 22)", "llc", "ether[12:4] = 0x81000064", "tcp[4:4] % 3 = 1",
        "ip[4:2] / 7 > 3000 and ip[4:2] * 3 != 9",
    ]

    /// `count` filters, all of them compiled: first the written ones, then combinations, then programs at random.
    public static func make(_ count: Int, _ dice: inout Dice) -> [MirrorProgram.PacketFilter] {
        var filters: [MirrorProgram.PacketFilter] = []
        while filters.count < count {
            let text: String
            if filters.count < written.count {
                text = written[filters.count]
            } else if filters.count % 3 == 0 {
                filters.append(.init(expression: "program", code: program(&dice)))
                continue
            } else {
                let not = dice.below(2) == 0 ? "not " : ""
                text = "(\(dice.one(of: written))) \(dice.one(of: ["and", "or"])) \(not)(\(dice.one(of: written)))"
            }
            if let code = try? FilterCompiler.compile(text) { filters.append(.init(expression: text, code: code)) }
        }
        return filters
    }

    /// A valid program of every kind of instruction; scratch memory is written before it is read.
    private static func program(_ dice: inout Dice) -> [MirrorProgram.FilterInstruction] {
        typealias Instruction = MirrorProgram.FilterInstruction
        var code = (0..<4).map { Instruction(code: 2, jumpTrue: 0, jumpFalse: 0, k: UInt32($0)) }
        code.insert(Instruction(code: 0x80, jumpTrue: 0, jumpFalse: 0, k: 0), at: 0)
        let length = 8 + dice.below(30)
        let kinds: [UInt16] = [
            0x00, 0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x60, 0x80, 0x01, 0x61, 0x81, 0xB1, 0x02, 0x03, 0x04, 0x0C, 0x14,
            0x1C, 0x24, 0x2C, 0x34, 0x3C, 0x44, 0x4C, 0x54, 0x5C, 0x64, 0x6C, 0x74, 0x7C, 0x84, 0x94, 0x9C, 0xA4, 0xAC,
            0x15, 0x1D, 0x25, 0x2D, 0x35, 0x3D, 0x45, 0x4D, 0x07, 0x87, 0x16, 0x05,
        ]
        for at in 0..<length {
            let kind = dice.one(of: kinds)
            let left = length - at
            var k = UInt32(dice.below(140))
            if kind & 7 == 2 || kind & 7 == 3 || kind & 0xE7 == 0x60 || kind & 0xE7 == 0x61 { k &= 3 }
            if kind & 7 == 4 { k = kind & 0xE0 == 0x60 ? k & 31 : max(1, k) }
            if kind & 7 == 5 && kind != 0x05 && dice.below(2) == 0 { k = UInt32(truncatingIfNeeded: dice.next()) }
            if kind == 0x05 { k = UInt32(dice.below(left)) }
            code.append(
                Instruction(
                    code: kind, jumpTrue: UInt8(dice.below(left)), jumpFalse: UInt8(dice.below(left)), k: k))
        }
        for index in code.indices where code[index].code & 7 != 5 {
            code[index].jumpTrue = 0
            code[index].jumpFalse = 0
        }
        return code + [Instruction(code: 0x16, jumpTrue: 0, jumpFalse: 0, k: 0)]
    }
}
