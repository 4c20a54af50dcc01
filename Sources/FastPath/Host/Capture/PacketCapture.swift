// A packet socket on one port, for a dataplane that may not load BPF: it sees what the interface receives and sends, as
// tcx does, but for what a queueing discipline drops. Before it: the plan of a port. After it: the worker reads the ring
// through `source` (PacketReceive.swift).

import CShims
import FastPath
import Glibc
import MirrorProgram

/// What one packet socket is to capture.
package struct PacketPlace: Hashable {
    package var slot: Int
    package var interface: Int32
    /// Where the interface is; nil for the dataplane's own.
    package var namespace: NetworkNamespace?
    /// The port's view of what the interface receives: HS_IN or HS_OUT.
    package var received: UInt8
    /// Which of both the taps want.
    package var wantsReceived, wantsSent: Bool

    /// - Returns: nil for a port that is not captured as `tap`.
    package init?(_ plan: PortPlan) {
        guard plan.mode == .tap, let hook = plan.hooks.first else { return nil }
        slot = plan.slot
        interface = hook.interface
        namespace = hook.namespace
        received = hook.ingress ? hook.point.direction : 1 - hook.point.direction
        wantsReceived = plan.hooks.contains(where: \.ingress)
        wantsSent = plan.hooks.contains { !$0.ingress }
    }

    package var points: [CapturePoint] {
        (wantsReceived ? [CapturePoint(slot: slot, direction: received)] : [])
            + (wantsSent ? [CapturePoint(slot: slot, direction: 1 - received)] : [])
    }
}

/// A bound packet socket. Publish a table without its source, and only then let it go.
final class PacketCapture {
    let source: UnsafeMutablePointer<PacketSource>
    private let socket: Descriptor
    private let ring: UnsafeMutableRawPointer
    private let length: Int

    /// Bytes of a block: the longest super-frame fits.
    private static let blockSize = 128 << 10
    /// Blocks of all rings together, within `blocks` for each.
    private static let budget = 512
    private static let blocks = 4...32
    /// Milliseconds for which the kernel keeps a block that is not full.
    private static let patience: UInt32 = 1

    /// - Parameters:
    ///   - ports: number of ports that share the memory.
    init(_ place: PacketPlace, name: String, ports: Int, worker: WorkerHost) throws(HostError) {
        let count = min(max(Self.budget / max(1, ports), Self.blocks.lowerBound), Self.blocks.upperBound)
        let socket = try within(place.namespace) { () throws(HostError) in
            // Of no protocol yet: nothing arrives before filter and ring are there.
            try Descriptor("cannot open a packet socket for \(name)") {
                Glibc.socket(AF_PACKET, Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue), 0)
            }
        }
        try Self.configure(socket, place, name, blocks: count)
        let length = count * Self.blockSize
        let ring = try mapPages("the ring of a packet socket", length, PROT_READ | PROT_WRITE, socket.raw, 0)
        self.socket = socket
        self.ring = ring
        self.length = length
        source = .allocate(capacity: 1)
        source.initialize(
            to: PacketSource(
                slot: place.slot, received: place.received, base: ring, blockSize: Self.blockSize, blockCount: count))
        // Edge-triggered: an interface that goes down leaves an error that nobody reads.
        try worker.wake(on: socket, EPOLLIN.rawValue | EPOLLET.rawValue)
        try Self.bind(socket, place, name)
    }

    deinit {
        source.deinitialize(count: 1)
        source.deallocate()
        munmap(ring, length)
    }

    private static func configure(
        _ socket: Descriptor, _ place: PacketPlace, _ name: String, blocks: Int
    ) throws(HostError) {
        try check("cannot filter what a packet socket of \(name) gets") {
            hs_filter_packets(
                socket.raw, place.wantsReceived ? 1 : 0, place.wantsSent ? 1 : 0, place.namespace == nil ? 0 : 1)
        }
        for (option, value) in [(HS_PACKET_VERSION, Int32(HS_TPACKET_V3)), (HS_PACKET_VNET_HDR, 1)] {
            var value = value
            try check("cannot set up a packet socket for \(name)") {
                setsockopt(socket.raw, Int32(HS_SOL_PACKET), Int32(option), &value, 4)
            }
        }
        var request = tpacket_req3()
        request.tp_block_size = UInt32(blockSize)
        request.tp_block_nr = UInt32(blocks)
        request.tp_frame_size = 2048
        request.tp_frame_nr = UInt32(blocks * blockSize / 2048)
        request.tp_retire_blk_tov = patience
        try check("cannot make a ring of \(blocks * blockSize >> 10) KiB for \(name)") {
            setsockopt(
                socket.raw, Int32(HS_SOL_PACKET), Int32(HS_PACKET_RX_RING), &request,
                socklen_t(MemoryLayout<tpacket_req3>.size))
        }
    }

    private static func bind(_ socket: Descriptor, _ place: PacketPlace, _ name: String) throws(HostError) {
        var address = sockaddr_ll()
        address.sll_family = UInt16(AF_PACKET)
        address.sll_protocol = UInt16(HS_ETH_P_ALL).bigEndian
        address.sll_ifindex = place.interface
        try check("cannot bind a packet socket to \(name)") {
            withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    Glibc.bind(socket.raw, $0, socklen_t(MemoryLayout<sockaddr_ll>.size))
                }
            }
        }
    }

    /// Frames that found no room since the last call; the kernel counts a super-frame as one.
    func takeDrops() -> UInt64 {
        var statistics = tpacket_stats_v3()
        var length = socklen_t(MemoryLayout<tpacket_stats_v3>.size)
        let result = getsockopt(
            socket.raw, Int32(HS_SOL_PACKET), Int32(HS_PACKET_STATISTICS), &statistics, &length)
        return result == 0 ? UInt64(statistics.tp_drops) : 0
    }
}
