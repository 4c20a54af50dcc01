// An AF_XDP socket by hand over linux/if_xdp.h (Documentation/networking/af_xdp.rst): UMEM registration, four rings,
// bind. Before it: the link and its queue. After it: SpanSource or Uplink of the worker, which get the ring mappings.
//
// Every socket registers the whole of the worker's chunks as a UMEM of its own. The kernel allows that, and it spares
// the restrictions of XDP_SHARED_UMEM (one fill ring for all, one device): a chunk that came in on one socket goes out
// on another by its address alone, and whose turn it is only the worker has to know.

import CShims
package import FastPath
import Glibc
import Synchronization

/// A bound AF_XDP socket on one queue of one interface.
package final class XSKSocket {
    /// What the socket is for.
    package enum Role {
        /// Frames of a `span` port: zero-copy if the driver can.
        case receive
        /// Copies out of an interface that others use too: copy mode, since zero-copy would take over the queue's RX.
        case transmit
        /// Copies out of an interface that nobody else uses: zero-copy if the driver can.
        case transmitAlone
        /// Originals of an `inline` port, both ways: zero-copy if the driver can; frames of one chunk.
        case bothWays
    }

    /// The memory that sockets register.
    package struct Area {
        var base: UnsafeMutableRawPointer
        var bytes: Int
        var chunkSize: Int
        /// The sockets ask the kernel to leave their queues to whoever polls them.
        var busyPolls: Bool

        package init(base: UnsafeMutableRawPointer, bytes: Int, chunkSize: Int, busyPolls: Bool = false) {
            self.base = base
            self.bytes = bytes
            self.chunkSize = chunkSize
            self.busyPolls = busyPolls
        }
    }

    package let descriptor: Descriptor
    package let interface: Int32
    package let queue: Int
    /// As obtained, not as asked for.
    package private(set) var isZeroCopy = false
    /// Why frames are copied where they need not have been; nil where nothing else was tried.
    package private(set) var obstacle: HostError?
    /// Preferred busy polling, where it was asked for and the kernel has it (Linux 5.11).
    package let isBusyPolled: Bool
    /// Frames may be longer than a chunk.
    package let takesLongFrames: Bool
    /// The data ring is RX or TX by role, RX where frames go both ways.
    package let data, fill, completion: RingMapping
    /// TX where frames go both ways.
    package let transmit: RingMapping?
    private let mappings: [(address: UnsafeMutableRawPointer, length: Int)]

    /// Elements of each ring, if no other number is asked for.
    package static let ringSize = 4096
    /// Bytes that stay free in front of a received frame, beyond the kernel's own 256: room for the outer header.
    package static let headroom = 64

    /// Binds to a queue in the best mode that the driver has.
    ///
    /// - Parameters:
    ///   - chunks: addresses for the fill ring, which must have chunks before the first frame comes.
    ///   - ringSize: a power of two.
    ///   - copying: copy mode whatever the driver has.
    ///   - remedy: called once where the driver binds, but would not send as the interface is; returns whether that is another now.
    /// - Throws: `code` EBUSY while the queue's last user is not quite gone, or for as long as there is one.
    package static func open(
        _ role: Role, interface: Int32, name: String, queue: Int, area: Area, chunks: [UInt64] = [],
        ringSize: Int = XSKSocket.ringSize, copying: Bool = false, remedy: () -> Bool = { false }
    ) throws(HostError) -> XSKSocket {
        let copy = Int(XDP_COPY), zeroCopy = Int(XDP_ZEROCOPY)
        let modes =
            switch role {
            case .transmit: [copy | sg, copy]
            case .receive, .transmitAlone: [zeroCopy | sg, zeroCopy, copy | sg, copy]
            case .bothWays: copying ? [copy] : [zeroCopy, copy]
            }
        var last = HostError("no mode was tried")
        var obstacle: HostError?
        var isRemedied = false
        var rest = modes[...]
        // Of a queue that was bound without copying a moment ago, until the kernel's own workers have let it go.
        var patience = 0
        while let mode = rest.first {
            do throws(HostError) {
                let opened = try XSKSocket(
                    role, interface: interface, name: name, queue: queue, area: area, chunks: chunks,
                    ringSize: ringSize, mode: mode)
                opened.obstacle = opened.isZeroCopy ? nil : obstacle
                return opened
            } catch {
                last = error
                if mode & zeroCopy != 0 { obstacle = error }
                if error.code == EBUSY && patience > 0 {
                    patience -= 1
                    usleep(20_000)
                    continue
                }
                if error.code == EBUSY || error.code == ENETDOWN || error.code == ENODEV { break }
                if error.code == ENXIO {
                    patience = 50
                    if !isRemedied {
                        isRemedied = true
                        if remedy() { continue }
                    }
                }
                rest = rest.dropFirst()
            }
        }
        throw last
    }

    private init(
        _ role: Role, interface: Int32, name: String, queue: Int, area: Area, chunks: [UInt64],
        ringSize: Int, mode: Int
    ) throws(HostError) {
        let descriptor = try Descriptor("cannot open an AF_XDP socket") {
            socket(Int32(HS_AF_XDP), Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue), 0)
        }
        self.descriptor = descriptor
        self.interface = interface
        self.queue = queue
        takesLongFrames = mode & sg != 0
        var umem = xdp_umem_reg()
        umem.addr = UInt64(UInt(bitPattern: area.base))
        umem.len = UInt64(area.bytes)
        umem.chunk_size = UInt32(area.chunkSize)
        umem.headroom = role == .receive ? UInt32(Self.headroom) : 0
        try descriptor.set(Int32(XDP_UMEM_REG), &umem, "cannot register \(area.bytes >> 20) MiB of frames' memory")
        let rings = [XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING]
        let receives = role == .receive || role == .bothWays
        for option in rings + (receives ? [XDP_RX_RING] : []) + (role != .receive ? [XDP_TX_RING] : []) {
            var size = UInt32(ringSize)
            try descriptor.set(Int32(option), &size, "cannot make the rings of an AF_XDP socket")
        }
        let mapped = try Self.map(descriptor, role, ringSize)
        data = mapped.data
        transmit = mapped.transmit
        fill = mapped.fill
        completion = mapped.completion
        mappings = mapped.pages
        descriptor.setOption(SOL_SOCKET, Int32(HS_SO_SNDBUFFORCE), 32 << 20)
        descriptor.setOption(SOL_SOCKET, Int32(HS_SO_MARK), Int32(bitPattern: HS_MARK))
        isBusyPolled = area.busyPolls && Self.preferBusyPolling(descriptor)
        Self.supply(fill, chunks)
        try bind(name, mode, role)
    }

    /// Documentation/networking/af_xdp.rst: the driver's NAPI runs in our system calls, and its interrupts keep out as long
    /// as `napi_defer_hard_irqs` and `gro_flush_timeout` of the interface say so; those are the operator's.
    private static func preferBusyPolling(_ descriptor: Descriptor) -> Bool {
        let (microseconds, budget) = (Int32(20), Int32(64))
        return descriptor.setOption(SOL_SOCKET, Int32(HS_SO_PREFER_BUSY_POLL), 1)
            && descriptor.setOption(SOL_SOCKET, Int32(HS_SO_BUSY_POLL), microseconds)
            && descriptor.setOption(SOL_SOCKET, Int32(HS_SO_BUSY_POLL_BUDGET), budget)
    }

    deinit {
        for page in mappings { munmap(page.address, page.length) }
    }

    private func bind(_ name: String, _ mode: Int, _ role: Role) throws(HostError) {
        var address = sockaddr_xdp()
        address.sxdp_family = UInt16(HS_AF_XDP)
        address.sxdp_flags = UInt16(mode | Int(XDP_USE_NEED_WAKEUP))
        address.sxdp_ifindex = UInt32(interface)
        address.sxdp_queue_id = UInt32(queue)
        let raw = descriptor.raw
        try check("cannot bind an AF_XDP socket to queue \(queue) of \(name)") {
            withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    Glibc.bind(raw, $0, socklen_t(MemoryLayout<sockaddr_xdp>.size))
                }
            }
        }
        var options = xdp_options()
        try descriptor.get(Int32(XDP_OPTIONS), &options, "cannot read the mode of an AF_XDP socket")
        isZeroCopy = options.flags & UInt32(XDP_OPTIONS_ZEROCOPY) != 0
        if role == .transmitAlone && refusesToSend {
            throw HostError("\(name) does not send without copying as long as it has no XDP program", code: ENXIO)
        }
    }

    /// Whether the driver would never send what is in the ring, uncounted. So drivers are on an interface without an XDP program
    /// (ndo_xsk_wakeup: ENXIO of igb, ixgbe, i40e and ice, EINVAL of a queue without memory, ENETDOWN of mlx5); they bind all the same.
    package var refusesToSend: Bool { isZeroCopy && [ENXIO, EINVAL, ENETDOWN].contains(hs_kick(descriptor.raw)) }

    /// Frames that the kernel could not put into the RX ring: no room in it, or no chunk in the fill ring.
    package var receiveDrops: UInt64 {
        var statistics = xdp_statistics()
        try? descriptor.get(Int32(XDP_STATISTICS), &statistics, "cannot read the counters of an AF_XDP socket")
        return statistics.rx_dropped + statistics.rx_ring_full
    }

    /// Whether frames wait in the RX ring.
    package var hasReceived: Bool {
        let word = { (address: UnsafeMutableRawPointer) in
            address.assumingMemoryBound(to: Atomic<UInt32>.self).pointee.load(ordering: .acquiring)
        }
        return word(data.producer) != word(data.consumer)
    }

    private typealias Mapped = (
        data: RingMapping, transmit: RingMapping?, fill: RingMapping, completion: RingMapping,
        pages: [(address: UnsafeMutableRawPointer, length: Int)]
    )

    private static func map(
        _ descriptor: Descriptor, _ role: Role, _ ringSize: Int
    ) throws(HostError) -> Mapped {
        var offsets = xdp_mmap_offsets()
        try descriptor.get(Int32(XDP_MMAP_OFFSETS), &offsets, "cannot read where an AF_XDP socket's rings are")
        var pages: [(address: UnsafeMutableRawPointer, length: Int)] = []
        func ring(
            _ name: String, _ offset: xdp_ring_offset, _ element: Int, _ page: UInt64
        ) throws(HostError) -> RingMapping {
            let length = Int(offset.desc) + ringSize * element
            let base = try mapPages(
                "the \(name) ring of an AF_XDP socket", length, PROT_READ | PROT_WRITE, descriptor.raw, Int(page))
            pages.append((base, length))
            return RingMapping(
                producer: base + Int(offset.producer), consumer: base + Int(offset.consumer),
                flags: base + Int(offset.flags), elements: base + Int(offset.desc), size: UInt32(ringSize))
        }
        do throws(HostError) {
            let descriptors = MemoryLayout<xdp_desc>.stride
            let data =
                role == .receive || role == .bothWays
                ? try ring("RX", offsets.rx, descriptors, hs_xdp_receive_offset)
                : try ring("TX", offsets.tx, descriptors, hs_xdp_transmit_offset)
            let transmit =
                role == .bothWays ? try ring("TX", offsets.tx, descriptors, hs_xdp_transmit_offset) : nil
            let fill = try ring("fill", offsets.fr, 8, hs_xdp_fill_offset)
            let completion = try ring("completion", offsets.cr, 8, hs_xdp_completion_offset)
            return (data, transmit, fill, completion, pages)
        } catch {
            for page in pages { munmap(page.address, page.length) }
            throw error
        }
    }

    /// Puts the first chunks into the fill ring of a socket that nobody uses yet.
    private static func supply(_ fill: RingMapping, _ chunks: [UInt64]) {
        let elements = fill.elements.assumingMemoryBound(to: UInt64.self)
        let count = min(chunks.count, Int(fill.size))
        for (index, address) in chunks.prefix(count).enumerated() { elements[index] = address }
        fill.producer.assumingMemoryBound(to: UInt32.self).pointee = UInt32(count)
    }
}

private let sg = Int(HS_XDP_USE_SG)

extension Descriptor {
    fileprivate func set<Value: BitwiseCopyable>(
        _ option: Int32, _ value: inout Value, _ what: @autoclosure () -> String
    ) throws(HostError) {
        let result = setsockopt(raw, Int32(HS_SOL_XDP), option, &value, socklen_t(MemoryLayout<Value>.size))
        if result < 0 { throw .system(what()) }
    }

    fileprivate func get<Value: BitwiseCopyable>(
        _ option: Int32, _ value: inout Value, _ what: @autoclosure () -> String
    ) throws(HostError) {
        var length = socklen_t(MemoryLayout<Value>.size)
        if getsockopt(raw, Int32(HS_SOL_XDP), option, &value, &length) < 0 { throw .system(what()) }
    }
}
