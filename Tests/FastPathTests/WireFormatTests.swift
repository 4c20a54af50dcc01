// The sums behind every checksum, and the properties of the hash that fills the source port and the flow label.

import FastPath
import Testing

@Suite struct WireFormatTests {
    @Test(arguments: [0, 1, 2, 3, 4, 5, 7, 8, 19, 20, 21, 1459, 1460, 65_515])
    func sumsAgreeWithRFC1071(_ count: Int) {
        let bytes = Frames.payload(count)
        let sum = bytes.withUnsafeBytes { buffer in
            count == 0 ? 0 : Checksum.fold(Checksum.sum(buffer.baseAddress!, count))
        }
        #expect(~sum == internetChecksum(bytes))
    }

    private func hash(_ frame: [UInt8]) -> UInt32 {
        frame.withUnsafeBytes { FlowHash.symmetric($0.baseAddress!, frame.count, Layers($0.baseAddress!, frame.count)) }
    }

    @Test func hashIsEqualBothWays() {
        let (a, b): ([UInt8], [UInt8]) = ([10, 0, 0, 1], [10, 0, 0, 2])
        #expect(
            hash(Frames.udp4(payload: [1], source: a, destination: b, ports: (4000, 53)))
                == hash(Frames.udp4(payload: [2, 3], source: b, destination: a, ports: (53, 4000))))
        #expect(
            hash(Frames.tcp6(payload: [], source: 1, destination: 2, ports: (4000, 80)))
                == hash(Frames.tcp6(payload: [1], source: 2, destination: 1, ports: (80, 4000))))
        let arp: [UInt8] = Frames.macs + [8, 6] + Array(repeating: 0, count: 28)
        let answer = Array(Frames.macs[6...]) + Frames.macs[..<6] + [8, 6] + Array(repeating: 1, count: 28)
        #expect(hash(arp) == hash(answer))
    }

    @Test func hashDistinguishesFlows() {
        let hashes = (0..<1000).map { hash(Frames.udp4(payload: [], ports: (1024 + $0, 53))) }
        #expect(Set(hashes).count > 995)
        #expect(Set(hashes.map { $0 >> 16 & 0x3FFF }).count > 900, "the source port has the hash's entropy")
    }

    @Test func hashLooksBehindTags() {
        let plain = Frames.tcp4(payload: [1])
        #expect(hash(plain) == hash(Frames.tcp4(payload: [1], tags: [(0x8100, 5)])))
        #expect(hash(plain) == hash(Frames.tcp4(payload: [1], tags: [(0x88A8, 5), (0x8100, 6)])))
    }

    @Test func fragmentsOfADatagramAgree() {
        let first = hash(Frames.udp4(payload: Frames.payload(16), ports: (1, 2), fragment: 0x2000))
        let second = hash(Frames.udp4(payload: Frames.payload(16), ports: (3, 4), fragment: 0x0001))
        #expect(first == second)
    }

    @Test func layersNeverReadBehindTheFrame() {
        let whole = Frames.tcp6(payload: Frames.payload(20))
        for length in 14...whole.count {
            let layers = whole.withUnsafeBytes { Layers($0.baseAddress!, length) }
            #expect(layers.payload <= length || layers.version == 0 || layers.transport == 0)
        }
    }
}
