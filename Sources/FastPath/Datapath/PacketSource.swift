// The ring of a packet socket (TPACKET_V3, Documentation/networking/packet_mmap.rst): blocks of packets, each of which is
// the kernel's until it has filled it or a millisecond has passed. Stands for the capture rings where BPF may not be
// loaded. Before it: Host/Capture/PacketCapture.swift. After it: PacketReceive.swift.

public import CShims
import Synchronization

/// What the worker needs of a packet socket on one port.
public struct PacketSource: ~Copyable {
    /// Slot of the port in a selection.
    let slot: Int
    /// HS_IN or HS_OUT: the port's view of what its interface receives.
    let received: UInt8
    private let base: UnsafeMutableRawPointer
    private let blockSize: Int
    private let blockCount: Int
    private var block = 0
    /// Packets of the block that are still to be taken, and the next of them.
    private var left: UInt32 = 0
    private(set) var packet: UnsafeRawPointer
    /// What capture.bpf.c would have written of the packet at hand.
    let record = UnsafeMutablePointer<hs_record>.allocate(capacity: 1)

    public init(slot: Int, received: UInt8, base: UnsafeMutableRawPointer, blockSize: Int, blockCount: Int) {
        self.slot = slot
        self.received = received
        self.base = base
        self.blockSize = blockSize
        self.blockCount = blockCount
        packet = UnsafeRawPointer(base)
    }

    deinit { record.deallocate() }

    private var start: UnsafeMutableRawPointer { base + block &* blockSize }

    private var status: UnsafeMutablePointer<Atomic<UInt32>> {
        (start + Int(HS_BLOCK_STATUS)).assumingMemoryBound(to: Atomic<UInt32>.self)
    }

    /// Whether a packet is there, or a block that may have one.
    @inline(__always)
    func hasPackets() -> Bool { left > 0 || status.pointee.load(ordering: .acquiring) & 1 != 0 }

    /// Looks for the next packet.
    @inline(__always)
    mutating func look() -> Bool {
        while left == 0 {
            if status.pointee.load(ordering: .acquiring) & 1 == 0 { return false }
            left = start.load(fromByteOffset: Int(HS_BLOCK_PACKETS), as: UInt32.self)
            let first = start.load(fromByteOffset: Int(HS_BLOCK_FIRST), as: UInt32.self)
            packet = UnsafeRawPointer(start + Int(first))
            if left == 0 { giveBack() }
        }
        return true
    }

    /// Goes past the packet that `look` has found. Its first word says how far the next one is.
    @inline(__always)
    mutating func pass() {
        left &-= 1
        if left == 0 {
            giveBack()
        } else {
            packet += Int(packet.load(as: UInt32.self))
        }
    }

    @inline(__always)
    private mutating func giveBack() {
        status.pointee.store(0, ordering: .releasing)
        block &+= 1
        if block == blockCount { block = 0 }
    }
}

/// The packet sockets of a table, and the outer tuples that tell our own copies.
public struct PacketSources {
    public var sources: [UnsafeMutablePointer<PacketSource>]
    public var own: [hs_tunnel_key]

    public init(sources: [UnsafeMutablePointer<PacketSource>] = [], own: [hs_tunnel_key] = []) {
        self.sources = sources
        self.own = own
    }

    /// The tuples as packet.c looks them up: `mask` + 1 places, at most half of them taken.
    func table() -> (keys: UnsafeMutablePointer<hs_tunnel_key>, mask: UInt32) {
        var size = 2
        while size < own.count * 2 { size *= 2 }
        let keys = UnsafeMutablePointer<hs_tunnel_key>.allocate(capacity: size)
        keys.initialize(repeating: hs_tunnel_key(), count: size)
        let mask = UInt32(size - 1)
        for key in own { withUnsafePointer(to: key) { hs_add_own(keys, mask, $0) } }
        return (keys, mask)
    }
}
