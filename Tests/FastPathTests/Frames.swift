// Frames made by hand for the tests, and the checks of an independent reader: no code under test is used here.

enum Frames {
    static let macs: [UInt8] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]

    /// Deterministic payload that differs at every offset.
    static func payload(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) } }

    /// Ethernet, tags, IPv4, TCP; header checksum right, TCP checksum as given.
    static func tcp4(
        payload: [UInt8], tags: [(UInt16, UInt16)] = [], flags: UInt8 = 0x18, sequence: Int = 1000,
        identification: Int = 7, source: [UInt8] = [10, 0, 0, 1], destination: [UInt8] = [10, 0, 0, 2],
        ports: (Int, Int) = (4000, 80), checksum: Int = 0
    ) -> [UInt8] {
        let segment =
            big16(ports.0) + big16(ports.1) + big32(sequence) + big32(0x0102_0304) + [0x50, flags] + big16(512)
            + big16(checksum) + [0, 0] + payload
        return ethernet(tags, 0x0800)
            + ipv4(segment.count, 6, identification: identification, source, destination) + segment
    }

    static func udp4(
        payload: [UInt8], source: [UInt8] = [10, 0, 0, 1], destination: [UInt8] = [10, 0, 0, 2],
        ports: (Int, Int) = (4000, 53), checksum: Int = 0, fragment: Int = 0
    ) -> [UInt8] {
        let datagram = big16(ports.0) + big16(ports.1) + big16(8 + payload.count) + big16(checksum) + payload
        return ethernet([], 0x0800)
            + ipv4(datagram.count, 17, identification: 9, source, destination, fragment: fragment) + datagram
    }

    static func tcp6(
        payload: [UInt8], flags: UInt8 = 0x18, sequence: Int = 1000, source: UInt8 = 1, destination: UInt8 = 2,
        ports: (Int, Int) = (4000, 80)
    ) -> [UInt8] {
        let segment =
            big16(ports.0) + big16(ports.1) + big32(sequence) + big32(0) + [0x50, flags] + big16(512) + big16(0)
            + [0, 0] + payload
        return ethernet([], 0x86DD) + [0x60, 0, 0, 0] + big16(segment.count) + [6, 64] + address6(source)
            + address6(destination) + segment
    }

    static func address6(_ last: UInt8) -> [UInt8] { [0xFD] + Array(repeating: 0, count: 14) + [last] }

    static func ethernet(_ tags: [(UInt16, UInt16)], _ type: Int) -> [UInt8] {
        macs + tags.flatMap { big16(Int($0.0)) + big16(Int($0.1)) } + big16(type)
    }

    static func ipv4(
        _ payload: Int, _ transport: UInt8, identification: Int, _ source: [UInt8], _ destination: [UInt8],
        fragment: Int = 0
    ) -> [UInt8] {
        var header =
            [0x45, 0] + big16(20 + payload) + big16(identification) + big16(fragment) + [64, transport, 0, 0] + source
            + destination
        header.replaceSubrange(10..<12, with: big16(Int(internetChecksum(header))))
        return header
    }

    /// The sum of the pseudo-header as a sender leaves it in the checksum field for its NIC.
    static func pseudoSum4(_ frame: [UInt8], network: Int) -> Int {
        let length = frame.big16(network + 2) - 20
        return Int(
            ~internetChecksum(Array(frame[(network + 12)..<(network + 20)]) + [0, frame[network + 9]] + big16(length)))
    }

    /// Whether IPv4 header and TCP or UDP checksum of an untagged frame at `network` add up.
    static func isSound4(_ frame: [UInt8], network: Int = 14) -> Bool {
        let length = frame.big16(network + 2)
        guard network + length == frame.count else { return false }
        let transport = Array(frame[(network + 20)..<(network + length)])
        let pseudo = Array(frame[(network + 12)..<(network + 20)]) + [0, frame[network + 9]] + big16(transport.count)
        return internetChecksum(Array(frame[network..<(network + 20)])) == 0
            && internetChecksum(pseudo + transport) == 0
    }

    static func isSound6(_ frame: [UInt8], network: Int = 14) -> Bool {
        let length = frame.big16(network + 4)
        guard network + 40 + length == frame.count else { return false }
        let transport = Array(frame[(network + 40)...])
        let pseudo = Array(frame[(network + 8)..<(network + 40)]) + big32(length) + [0, 0, 0, frame[network + 6]]
        return internetChecksum(pseudo + transport) == 0
    }
}
