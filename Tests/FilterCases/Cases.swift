// Frames, filters and the verdicts of libpcap's own interpreter, for the tests that hold ours against it: the worker's
// (FastPathTests) and the kernel's (FastPathHostTests). Deterministic: the same cases in every run.

/// SplitMix64.
public struct Dice: RandomNumberGenerator {
    private var state: UInt64

    public init(_ seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }

    public mutating func one<Element>(of list: [Element]) -> Element { list.randomElement(using: &self)! }
    public mutating func below(_ limit: Int) -> Int { Int.random(in: 0..<limit, using: &self) }
    public mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) }
    }
}

/// A frame as it leaves.
public struct CaseFrame: Sendable {
    public var bytes: [UInt8]
    /// Where its IP header is; nil for other frames.
    public var network: Int?
    public var hasTag: Bool

    public static func random(_ dice: inout Dice) -> CaseFrame {
        let tags = dice.one(of: [0, 0, 0, 1, 1, 2])
        var bytes = [2, 0, 0, 0, 0, UInt8(1 + dice.below(3)), 2, 0, 0, 0, 0, UInt8(1 + dice.below(3))]
        for tag in 0..<tags {
            bytes += tags == 2 && tag == 0 ? [0x88, 0xA8] : [0x81, 0x00]
            bytes += [UInt8(dice.below(16)) << 4 | UInt8(dice.below(2)), dice.one(of: [5, 100, 189, 7])]
        }
        let network = bytes.count + 2
        switch dice.below(8) {
        case 0...3: bytes += [0x08, 0x00] + ipv4(&dice)
        case 4, 5: bytes += [0x86, 0xDD] + ipv6(&dice)
        case 6: bytes += [0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, UInt8(1 + dice.below(2))] + dice.bytes(20)
        default: bytes += dice.one(of: [[0x88, 0xCC], [0x88, 0xB5], [0x00, 0x26]]) + dice.bytes(dice.below(60))
        }
        if dice.below(8) == 0 { bytes = Array(bytes.prefix(14 + dice.below(max(1, bytes.count - 14)))) }
        return CaseFrame(bytes: bytes, network: bytes.count > network ? network : nil, hasTag: tags > 0)
    }

    private static func address(_ dice: inout Dice) -> [UInt8] { [10, 0, dice.one(of: [0, 1]), UInt8(dice.below(4))] }

    private static func transport(_ protocolNumber: UInt8, _ dice: inout Dice) -> [UInt8] {
        let ports: [[UInt8]] = [[0, 80], [0, 53], [1, 187], [0x1F, 0x90], [0, 22], [0x12, 0xB5]]
        var bytes = dice.one(of: ports) + dice.one(of: ports)
        switch protocolNumber {
        case 6: bytes += dice.bytes(8) + [0x50, dice.one(of: [0x02, 0x12, 0x10, 0x18, 0x04])] + dice.bytes(6)
        case 17: bytes += [0, UInt8(8 + dice.below(20))] + dice.bytes(2)
        default: bytes = [dice.one(of: [8, 0, 3, 128])] + dice.bytes(7)
        }
        return bytes + dice.bytes(dice.one(of: [0, 1, 6, 40, 200, 1000]))
    }

    private static func ipv4(_ dice: inout Dice) -> [UInt8] {
        let number: UInt8 = dice.one(of: [6, 6, 17, 17, 1, 47, 132])
        let options = dice.one(of: [0, 0, 0, 4, 12])
        let payload = transport(number, &dice)
        let fragment: [UInt8] = dice.one(of: [[0, 0], [0, 0], [0x40, 0], [0x20, 0], [0x20, 5], [0, 9]])
        let length = 20 + options + payload.count
        return [0x40 | UInt8(5 + options / 4), dice.one(of: [0, 0x10])] + [UInt8(length >> 8), UInt8(length & 255)]
            + dice.bytes(2) + fragment + [64, number, 0, 0] + address(&dice) + address(&dice) + dice.bytes(options)
            + payload
    }

    private static func ipv6(_ dice: inout Dice) -> [UInt8] {
        let number: UInt8 = dice.one(of: [6, 6, 17, 58])
        var first = number
        var extensions: [UInt8] = []
        switch dice.below(6) {
        case 0:
            extensions = [number, 0] + dice.bytes(6)
            first = dice.one(of: [0, 60, 43])
        case 1:
            extensions = [number, 0, 0, dice.one(of: [0, 1, 9])] + dice.bytes(4)
            first = 44
        default: break
        }
        let payload = extensions + transport(number, &dice)
        let address = { (last: UInt8) in [0xFD] + [UInt8](repeating: 0, count: 14) + [last] }
        return [0x60, 0, 0, 0, UInt8(payload.count >> 8), UInt8(payload.count & 255), first, 64]
            + address(UInt8(1 + dice.below(3))) + address(UInt8(1 + dice.below(3))) + payload
    }
}

/// A TCP super-frame over IPv4 or IPv6; its checksums are of no meaning.
public func superFrame(_ dice: inout Dice, payload: Int) -> [UInt8] {
    let isIPv6 = dice.below(2) == 0
    let tcp =
        [0x1F, 0x90, 0, dice.one(of: [80, 22])] + dice.bytes(8) + [0x50, dice.one(of: [0x18, 0x10])] + [
            2, 0, 0, 0, 0, 0,
        ]
        + dice.bytes(payload)
    let macs: [UInt8] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]
    if isIPv6 {
        return macs + [0x86, 0xDD, 0x60, 0, 0, 0, UInt8(tcp.count >> 8), UInt8(tcp.count & 255), 6, 64, 0xFD]
            + [UInt8](repeating: 0, count: 14) + [1, 0xFD] + [UInt8](repeating: 0, count: 14) + [2] + tcp
    }
    let length = tcp.count + 20
    return macs + [8, 0, 0x45, 0, UInt8(length >> 8), UInt8(length & 255)] + dice.bytes(2) + [0x40, 0, 64, 6, 0, 0]
        + [10, 0, 0, 1, 10, 0, 0, 2] + tcp
}
