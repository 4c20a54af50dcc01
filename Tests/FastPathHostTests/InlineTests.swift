// A bump in the wire in a real kernel: which way a frame takes, what a link leaves behind, which ports are refused.

import CShims
import FastPath
import FastPathHost
import Glibc
import Testing

@Suite(.enabled(if: isRoot, Comment(rawValue: needsRoot)), .serialized)
struct InlineTests {
    /// Two veths in the calling thread's namespace: `p` and `q` are the ports, `pe` and `qe` their far ends.
    private static func makeWire(takesXDP: Bool = true) throws -> [Link] {
        for (port, end) in [("p", "pe"), ("q", "qe")] {
            try ip("link add \(port) type veth peer name \(end)")
            try command("ethtool -K \(end) gro \(takesXDP ? "on" : "off")")
            for name in [port, end] { try ip("link set \(name) addrgenmode none up") }
        }
        return ["p", "q"].map { Link(index: Int32(if_nametoindex($0)), name: $0) }
    }

    /// Sends numbered frames into one end and says which came out of the other.
    private struct Witness {
        let from = lab_packet_socket(if_nametoindex("pe"), 0)
        let to = lab_packet_socket(if_nametoindex("qe"), 1 << 20)

        func send(_ number: UInt8) {
            let frame = [2, 0, 0, 0, 0, 11, 2, 0, 0, 0, 0, 10, 0x88, 0xB5, number] + [UInt8](repeating: 7, count: 45)
            #expect(Glibc.send(from, frame, frame.count, 0) == frame.count)
        }

        func arrives(_ number: UInt8, within limit: Duration = .seconds(2)) -> Bool {
            eventually(limit) {
                var frame = [UInt8](repeating: 0, count: 2048)
                let count = recv(to, &frame, frame.count, Int32(MSG_DONTWAIT))
                return count == 60 && frame[12] == 0x88 && frame[14] == number
            }
        }
    }

    @Test func theKernelCarriesWhatNobodyReads() throws {
        try inNamespace {
            let links = try Self.makeWire()
            let capture = try CaptureProgram.best()
            let program = try InlineProgram(ownTunnels: capture.ownTunnelsMap, interfaces: links.map(\.index))
            let attached = try links.enumerated().map { try program.attach(side: $0, $1.index, $1.name) }
            for link in links { #expect(try XDPFeatures.of(link.index, link.name).contains([.native, .transmits])) }
            let wire = Witness()
            wire.send(1)
            #expect(wire.arrives(1) && program.bypassed(side: 0) == 1 && program.bypassed(side: 1) == 0)

            let bytes = 256 * 4096
            let memory = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
            defer { munmap(memory, bytes) }
            let beat = program.heartbeat.assumingMemoryBound(to: UInt64.self)
            beat.pointee = hs_clock() + 1_000_000_000
            wire.send(2)
            #expect(wire.arrives(2), "a fresh heartbeat, but no socket")
            do {
                let socket = try XSKSocket.open(
                    .bothWays, interface: links[0].index, name: "p", queue: 0,
                    area: XSKSocket.Area(base: memory, bytes: bytes, chunkSize: 4096),
                    chunks: (0..<64).map { UInt64($0) * 4096 }, ringSize: 64)
                try program.steer(side: 0, queue: 0, into: socket.descriptor)
                beat.pointee = hs_clock() + 1_000_000_000
                wire.send(3)
                #expect(eventually { socket.hasReceived })
                #expect(!wire.arrives(3, within: .milliseconds(50)), "it is the reader's")
                beat.pointee = hs_clock() - UInt64(HS_INLINE_PATIENCE)
                wire.send(4)
                #expect(wire.arrives(4), "a stale heartbeat")
                beat.pointee = hs_clock() + 1_000_000_000
            }
            wire.send(5)
            #expect(wire.arrives(5), "the socket is closed")
            #expect(program.bypassed(side: 0) == 4)
            withExtendedLifetime(attached) {}
        }
    }

    @Test func aPinnedLinkOutlivesItsMakerAndIsTakenOver() throws {
        try inNamespace {
            let links = try Self.makeWire()
            let capture = try CaptureProgram.best()
            let wire = Witness()
            var path = ""
            do {
                let pins = try InlinePins()
                path = pins.path
                let program = try InlineProgram(ownTunnels: capture.ownTunnelsMap, interfaces: links.map(\.index))
                for (side, link) in links.enumerated() {
                    #expect(pins.link(link.index) == nil)
                    try pins.pin(try program.attach(side: side, link.index, link.name), link.index)
                    try pins.settle(link)
                    #expect(pins.changes(link.index).contains(.promisc))
                    #expect(try !InterfaceSetting.promisc.isWrong(link.name))
                }
                #expect(throws: HostError.self, "one at a time") { try InlinePins() }
            }
            wire.send(1)
            #expect(wire.arrives(1) && InlinePins.isThere)
            let pins = try InlinePins()
            let next = try InlineProgram(ownTunnels: capture.ownTunnelsMap, interfaces: links.map(\.index))
            for (side, link) in links.enumerated() {
                try next.replace(side: side, in: try #require(pins.link(link.index)), link.name)
            }
            wire.send(2)
            #expect(wire.arrives(2) && next.bypassed(side: 0) == 1)
            pins.sweep(keeping: [InterfacePlace(links[0].index)])
            #expect(pins.isPinned(links[0].index) && !pins.isPinned(links[1].index))
            for link in links { pins.remove(link.index) }
            pins.leave()
            #expect(try InterfaceSetting.promisc.isWrong("p"))
            #expect(access(path, F_OK) != 0)
        }
    }

    @Test func aVethWhoseFarEndDoesNotTakeXDP() throws {
        try inNamespace {
            let links = try Self.makeWire(takesXDP: false)
            let capture = try CaptureProgram.best()
            let program = try InlineProgram(ownTunnels: capture.ownTunnelsMap, interfaces: links.map(\.index))
            let attached = try links.enumerated().map { try program.attach(side: $0, $1.index, $1.name) }
            #expect(try !XDPFeatures.of(links[0].index, "p").contains(.transmits))
            withExtendedLifetime(attached) {}
        }
    }

    @Test func whatNeedsNoTry() {
        var links = [Link(index: 1, name: "p"), Link(index: 2, name: "q")]
        (links[0].mtu, links[1].mtu) = (1500, 1500)
        #expect(Dataplane.obstacle(links, queues: [4, 4]) == nil)
        #expect(
            Dataplane.obstacle(links, queues: [4, 2])
                == "p has 4 RX queues and q has 2; set them alike (ethtool -L)")
        #expect(
            Dataplane.obstacle(links, queues: [32, 32])
                == "p has 32 RX queues; inline serves 16 at most (ethtool -L)")
        links[1].mtu = 1400
        #expect(Dataplane.obstacle(links, queues: [1, 1]) == "p has an MTU of 1500 and q of 1400; set them alike")
        links[1].mtu = 9000
        #expect(
            Dataplane.obstacle(links, queues: [1, 1])
                == "q has an MTU of 9000; inline carries frames up to an MTU of 3506")
        #expect(InlinePair.copyReason(links, drivers: ["igb", nil]) == nil)
        #expect(InlinePair.copyReason(links, drivers: ["igb", "virtio_net"])?.hasPrefix("q is a virtio_net") == true)
    }
}
