// Literal bytes of every encapsulation over IPv4 and IPv6, as they leave the worker: from a record to the TX ring.

import CShims
import FastPath
import MirrorProgram
import Testing

@Suite struct OuterHeaderTests {
    static let lab = EncapsulationLab()
    static let frame = Frames.tcp4(payload: Frames.payload(6))
    static let tagged = Frames.tcp4(payload: Frames.payload(6), tags: [(0x8100, 0xA064)])  // priority 5, VLAN 100
    private var hash: UInt32 { Self.lab.hash(Self.frame) }
    private var sourcePort: [UInt8] { big16(Int(0xC000 | hash >> 16 & 0x3FFF)) }

    /// Ethernet and IP as they must stand in front of `payload` bytes.
    private func outer(_ isIPv6: Bool, _ proto: UInt8, payload: Int) -> [UInt8] {
        let macs: [UInt8] = [2, 0, 0, 0, 0, 0xB, 2, 0, 0, 0, 0, 0xA]
        if isIPv6 {
            let label = hash >> 12
            return macs + [0x86, 0xDD, 0x60, UInt8(label >> 16), UInt8(label >> 8 & 0xFF), UInt8(label & 0xFF)]
                + big16(payload) + [proto, 64] + [0x20, 0x01, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
                + [0x20, 0x01, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]
        }
        var header: [UInt8] = [0x45, 0] + big16(20 + payload) + [0, 0, 0x40, 0, 64, proto, 0, 0]
        header += [192, 0, 2, 1, 192, 0, 2, 9]
        header.replaceSubrange(10..<12, with: big16(Int(internetChecksum(header))))
        return macs + [0x08, 0] + header
    }

    /// A UDP header whose checksum is 0, or what was sent where IPv6 wants one: `isSoundUDP` judges that.
    private func udp(_ isIPv6: Bool, _ port: Int, _ length: Int, _ sent: [UInt8]) -> [UInt8] {
        sourcePort + big16(port) + big16(length) + (isIPv6 ? Array(sent[60..<62]) : [0, 0])
    }

    @Test(arguments: [false, true]) func vxlan(isIPv6: Bool) throws {
        let sent = Self.lab.send(sampleHeader(.vxlan, 5001, isIPv6: isIPv6), Self.frame)
        #expect(
            sent == outer(isIPv6, 17, payload: 76) + udp(isIPv6, 4789, 76, sent)
                + [0x08, 0, 0, 0, 0x00, 0x13, 0x89, 0] + Self.frame)
        #expect(!isIPv6 || isSoundUDP(sent))
    }

    @Test func vxlanOverIPv4IsWhatItAlwaysWas() {
        let sent = Self.lab.send(sampleVXLAN, Self.frame)
        #expect(
            Array(sent[..<34])
                == [2, 0, 0, 0, 0, 0xB, 2, 0, 0, 0, 0, 0xA, 0x08, 0x00]
                + [0x45, 0, 0, 96, 0, 0, 0x40, 0, 64, 17, 0xB6, 0x82, 192, 0, 2, 1, 192, 0, 2, 9])
        #expect(sampleVXLAN.length == 50 && sampleVXLAN.overhead == 36)
    }

    @Test(arguments: [false, true]) func greWithKey(isIPv6: Bool) {
        let sent = Self.lab.send(sampleHeader(.gre, 0xDEAD_BEEF, isIPv6: isIPv6), Self.frame)
        #expect(
            sent == outer(isIPv6, 47, payload: 68) + [0x20, 0, 0x65, 0x58, 0xDE, 0xAD, 0xBE, 0xEF] + Self.frame)
    }

    @Test(arguments: [false, true]) func greWithKeyAndNumber(isIPv6: Bool) {
        let header = sampleHeader(.gre, 101, isIPv6: isIPv6, isSequenced: true)
        let sent = Self.lab.send(header, [Self.frame, Self.frame])
        for (number, packet) in sent.enumerated() {
            #expect(
                packet == outer(isIPv6, 47, payload: 72)
                    + [0x30, 0, 0x65, 0x58, 0, 0, 0, 101, 0, 0, 0, UInt8(number)] + Self.frame)
        }
        #expect(sent.count == 2)
    }

    @Test(arguments: [false, true]) func erspanTypeII(isIPv6: Bool) {
        let header = sampleHeader(.erspan2, 0x3A5, isIPv6: isIPv6)
        let sent = Self.lab.send(header, Self.frame)
        #expect(
            sent == outer(isIPv6, 47, payload: 76) + [0x10, 0, 0x88, 0xBE, 0, 0, 0, 0]
                + [0x10, 0, 0x03, 0xA5, 0, 0, 0, 0] + Self.frame)
        // The tag stays in the frame (En 11), and its VLAN and priority are shown in the header.
        let tagged = Self.lab.send(header, Self.tagged)
        #expect(Array(tagged[header.length...]) == Self.tagged)
        #expect(Array(tagged[(header.length - 8)..<header.length]) == [0x10, 0x64, 0xBB, 0xA5, 0, 0, 0, 0])
        // A service tag is the outermost one.
        let service = Self.lab.send(header, Frames.tcp4(payload: [1], tags: [(0x88A8, 0x0007), (0x8100, 0xA064)]))
        #expect(Array(service[(header.length - 8)..<(header.length - 4)]) == [0x10, 0x07, 0x1B, 0xA5])
    }

    @Test(arguments: [false, true], [HS_IN, HS_OUT]) func erspanTypeIII(isIPv6: Bool, direction: hs_direction) {
        let header = sampleHeader(.erspan3, 0x3A5, isIPv6: isIPv6)
        let sent = Self.lab.send(header, Self.frame, direction: direction)
        // 17,000,000,001,234 steps of 100 us since 1970, in 32 bits; P, D and Gra 00.
        let flags: [UInt8] = [0, 0, 0x80, direction == HS_OUT ? 0x08 : 0]
        #expect(
            sent == outer(isIPv6, 47, payload: 80) + [0x10, 0, 0x22, 0xEB, 0, 0, 0, 0]
                + [0x20, 0, 0x03, 0xA5] + [0x1E, 0xF6, 0x14, 0xD2] + flags + Self.frame)
        let tagged = Self.lab.send(header, Self.tagged, direction: direction)
        #expect(Array(tagged[(header.length - 12)..<(header.length - 8)]) == [0x20, 0x64, 0xA3, 0xA5])
    }

    @Test(arguments: [false, true]) func geneve(isIPv6: Bool) {
        let sent = Self.lab.send(sampleHeader(.geneve, 0xABCDEF, isIPv6: isIPv6), Self.frame, direction: HS_OUT)
        #expect(
            sent == outer(isIPv6, 17, payload: 104) + udp(isIPv6, 6081, 104, sent)
                + [0x07, 0, 0x65, 0x58, 0xAB, 0xCD, 0xEF, 0]
                + [0xFF, 0xF0, 1, 1, 0, 0, 0x01, 0x23]  // the capture point
                + [0xFF, 0xF0, 2, 1, 0, 0, 0, 2]  // OUT
                + [0xFF, 0xF0, 3, 2, 0x17, 0x97, 0x9C, 0xFE, 0x3D, 0x85, 0xCD, 0x15] + Self.frame)
        #expect(!isIPv6 || isSoundUDP(sent))
    }

    @Test func geneveWithSomeOptions() {
        let direction = sampleHeader(.geneve, 1) { $0.geneveOptions = [.direction] }
        #expect(
            Array(Self.lab.send(direction, Self.frame)[42...])
                == [0x02, 0, 0x65, 0x58, 0, 0, 1, 0, 0xFF, 0xF0, 2, 1, 0, 0, 0, 1] + Self.frame)
        let none = sampleHeader(.geneve, 1) { $0.geneveOptions = [] }
        #expect(Array(Self.lab.send(none, Self.frame)[42...]) == [0, 0, 0x65, 0x58, 0, 0, 1, 0] + Self.frame)
        let time = sampleHeader(.geneve, 1) { $0.geneveOptions = [.sourcePort, .timestamp] }
        #expect(
            Array(Self.lab.send(time, Self.frame)[50..<70]) == [
                0xFF, 0xF0, 1, 1, 0, 0, 0x01, 0x23, 0xFF, 0xF0, 3, 2, 0x17, 0x97, 0x9C, 0xFE, 0x3D, 0x85, 0xCD, 0x15,
            ])
    }

    @Test(arguments: [false, true]) func whatMayBeSet(isIPv6: Bool) {
        let header = sampleHeader(.vxlan, 7, isIPv6: isIPv6) {
            $0.vlan = 0x234
            $0.dscp = 46
            $0.timeToLive = 3
            $0.udpPort = 8472
            $0.sourcePorts = 1000...1099
        }
        let sent = Self.lab.send(header, Self.frame)
        #expect(Array(sent[12..<18]) == [0x81, 0, 0x02, 0x34] + (isIPv6 ? [0x86, 0xDD] : [0x08, 0]))
        if isIPv6 {
            #expect(sent[18] == 0x6B && sent[19] & 0xF0 == 0x80 && sent[25] == 3)
        } else {
            #expect(sent[19] == 0xB8 && sent[26] == 3 && internetChecksum(Array(sent[18..<38])) == 0)
        }
        let udp = isIPv6 ? 58 : 38
        #expect(sent.big16(udp) == 1000 + Int(hash >> 16 & 63), "64 of the 100 ports are used")
        #expect(sent.big16(udp + 2) == 8472 && Array(sent[header.length...]) == Self.frame)
        #expect(!isIPv6 || isSoundUDP(sent, network: 18))
    }

    @Test func aRangeOfOnePortIsThatPort() {
        let sent = Self.lab.send(sampleHeader(.vxlan, 7) { $0.sourcePorts = 4789...4789 }, Self.frame)
        #expect(sent.big16(34) == 4789)
    }

    @Test func theLongestHeaderFits() {
        let header = sampleHeader(.geneve, 1, isIPv6: true) { $0.vlan = 1 }
        #expect(header.length == 102)
        #expect(Array(Self.lab.send(header, Self.frame)[102...]) == Self.frame)
    }

    /// Lengths at which one, two and three chunks are needed, and odd ones.
    @Test(
        arguments: [60, 61, 3900, 4025, 4026, 4027, 4028, 8120, 8122, 8123, 9014],
        [(MirrorProgram.Encapsulation.vxlan, true), (.geneve, true), (.vxlan, false)])
    func checksumCoversEveryChunk(length: Int, kind: (MirrorProgram.Encapsulation, isIPv6: Bool)) {
        let header = sampleHeader(kind.0, 9, isIPv6: kind.isIPv6) { $0.udpChecksum = kind.isIPv6 ? nil : true }
        let frame = Frames.macs + Frames.payload(length - 12)
        let sent = Self.lab.send(header, frame)
        #expect(Array(sent[header.length...]) == frame)
        #expect(sent.big16(kind.isIPv6 ? 60 : 40) != 0 && isSoundUDP(sent))
        let without = Self.lab.send(
            sampleHeader(kind.0, 9, isIPv6: kind.isIPv6) { $0.udpChecksum = false }, frame)
        #expect(without.big16(kind.isIPv6 ? 60 : 40) == 0)
    }

    /// A checksum that comes out as 0 is sent as 0xFFFF: 0 would mean that there is none (RFC 768).
    @Test func noChecksumIsZero() {
        var frame = Frames.macs + Frames.payload(48)
        let header = sampleHeader(.vxlan, 9, isIPv6: true)
        let sum = Self.lab.send(header, frame).big16(60)
        // Adds to the frame's last word what the checksum is, so that the new sum is that of all ones.
        let word = frame.big16(58) + sum
        frame.replaceSubrange(58..<60, with: big16((word & 0xFFFF) + word >> 16))
        let sent = Self.lab.send(header, frame)
        #expect(sent.big16(60) == 0xFFFF && isSoundUDP(sent))
    }

    @Test func whatIsCutSaysSo() {
        for (kind, at) in [(MirrorProgram.Encapsulation.erspan2, 44), (.erspan3, 44)] {
            let header = sampleHeader(kind, 1)
            let sent = Self.lab.send(header, Self.frame, limit: 40)
            #expect(sent.count == header.length + 40 && sent.big16(at) & 0x0400 != 0)
            // Cut where it was captured.
            let record = Self.lab.send(header, Self.frame, length: 2000)
            #expect(record.count == header.length + 60 && record.big16(at) & 0x0400 != 0)
            #expect(Self.lab.send(header, Self.frame).big16(at) & 0x0400 == 0)
        }
    }

    @Test func aFrameOfFourteenBytesHasNoTag() {
        let header = sampleHeader(.erspan2, 1)
        let frame = Frames.macs + [0x81, 0x00]
        #expect(Array(Self.lab.send(header, frame)[42...]) == [0x10, 0, 0, 1, 0, 0, 0, 0] + frame)
    }

    @Test func tooLongMayMeanDropped() {
        let counters = CounterBlock.allocate()
        let header = sampleHeader(.gre, 1) { $0.oversize = .drop }
        #expect(Self.lab.send(header, [Self.frame], limit: 59, counters: counters).isEmpty)
        #expect(counters.drops(.exceedsMTU) == 1 && counters.truncated == 0 && counters.offered == 1)
        #expect(Self.lab.send(header, [Self.frame], limit: 60, counters: counters).count == 1)
    }
}
