// An interface that copies leave through, as the host side holds it for one worker: the bound socket and what the worker
// needs of it.
// Before it: XSKSocket. After it: the forwarding table refers to `pointer`.

import CShims
import FastPath
import MirrorProgram
import Synchronization

/// One TX socket of one worker, AF_XDP or AF_PACKET, or its way to the worker that has one. Let it go only when no table
/// refers to it.
final class UplinkSocket {
    let interface: Int32
    /// Number among the workers' sockets.
    let number: UInt16
    let pointer: UnsafeMutablePointer<Uplink>
    /// No production traffic uses the interface.
    let isDedicated: Bool
    /// The NIC segments super-frames behind the header of a UDP tunnel.
    let segmentsTunnels: Bool
    /// Where the copies go that are handed over; nil where the kernel takes them.
    let owner: WorkerHost?
    /// What that worker needs of it.
    private(set) var handover: UnsafeMutablePointer<Handover>?
    private let socket: XSKSocket?
    private let memory: MemoryUplink?
    private let transmit: RingMapping
    /// Sends what is in `memory` through `packets`.
    private let datagrams: UnsafeMutablePointer<DatagramExit>?
    private let packets: Descriptor?
    private let live: LiveProgram?
    /// Why many copies do not go as XDP frames where they were asked to.
    let obstacleToLive: HostError?
    /// Whether the interface took XDP frames when this was opened for them.
    let tookXDPFrames: Bool
    /// Datagrams are put together: all that leaves here is in tunnels.
    let combines: Bool
    /// Frames may be longer than a chunk.
    let takesLongFrames: Bool
    /// Since when no destination uses it.
    var idleSince: ContinuousClock.Instant?

    /// Copies that wait to be handed over, or to be sent: as many chunks as an uplink may hold.
    private static let memorySize: UInt32 = 2048

    /// Binds to a queue of its own.
    ///
    /// - Parameters:
    ///   - wantsLive: many copies at once are to go as XDP frames.
    ///   - remedy: of XSKSocket.open.
    init(
        _ link: Link, number: UInt16, worker: WorkerHost, workers: Int, isDedicated: Bool, wantsLive: Bool,
        remedy: () -> Bool
    ) throws(HostError) {
        interface = link.index
        self.number = number
        self.isDedicated = isDedicated
        let socket = try Self.open(link, worker, workers, isDedicated ? .transmitAlone : .transmit, remedy)
        self.socket = socket
        transmit = socket.data
        takesLongFrames = socket.takesLongFrames
        (owner, memory, datagrams, packets, combines) = (nil, nil, nil, nil, false)
        var live: LiveProgram?
        var obstacle: HostError?
        tookXDPFrames = wantsLive && LiveProgram.isPossible(toward: link) ?? false
        if wantsLive {
            do throws(HostError) { live = try LiveProgram(toward: link) } catch { obstacle = error }
        }
        (self.live, obstacleToLive) = (live, obstacle)
        segmentsTunnels = link.kind.isEmpty && Ethtool.has("tx-udp_tnl-segmentation", link.name)
        pointer = .allocate(capacity: 1)
        pointer.initialize(
            to: Uplink(
                socket: socket.descriptor.raw, number: number, transmit: socket.data, completion: socket.completion,
                live: live?.exit, isZeroCopy: socket.isZeroCopy))
    }

    /// Hands everything to the worker that has `other`.
    init(to other: UplinkSocket, of owner: WorkerHost, number: UInt16, from worker: WorkerHost) {
        interface = other.interface
        self.number = number
        isDedicated = other.isDedicated
        self.owner = owner
        segmentsTunnels = false
        takesLongFrames = other.takesLongFrames
        (socket, datagrams, packets, live, obstacleToLive, combines) = (nil, nil, nil, nil, nil, false)
        tookXDPFrames = false
        let memory = MemoryUplink(
            number: number, size: Self.memorySize, bell: owner.bell.raw, asleep: owner.doorbell.wakeUp.asleep)
        self.memory = memory
        transmit = memory.transmit.mapping
        pointer = memory.uplink
        let handover = UnsafeMutablePointer<Handover>.allocate(capacity: 1)
        handover.initialize(
            to: Handover(
                transmit: memory.transmit.mapping, completion: memory.completion.mapping, area: worker.area.base,
                exit: other.pointer))
        self.handover = handover
    }

    /// Sends through a packet socket of its own.
    init(packetsTo link: Link, number: UInt16, worker: WorkerHost, combines: Bool) throws(HostError) {
        self.combines = combines
        interface = link.index
        self.number = number
        let packets = try OffloadSocket.open(link.index, link.name)
        self.packets = packets
        let datagrams = UnsafeMutablePointer<DatagramExit>.allocate(capacity: 1)
        let memory = MemoryUplink(number: number, size: Self.memorySize, datagrams: datagrams)
        datagrams.initialize(
            to: DatagramExit(
                socket: packets.raw, transmit: memory.transmit.mapping, completion: memory.completion.mapping,
                area: worker.area.base, combines: combines))
        (self.datagrams, self.memory, transmit, pointer) = (datagrams, memory, memory.transmit.mapping, memory.uplink)
        (isDedicated, segmentsTunnels, takesLongFrames) = (false, false, true)
        (socket, owner, live, obstacleToLive, tookXDPFrames) = (nil, nil, nil, nil, false)
    }

    deinit {
        handover?.deinitialize(count: 1)
        handover?.deallocate()
        datagrams?.deinitialize(count: 1)
        datagrams?.deallocate()
        if memory != nil { return }
        pointer.deinitialize(count: 1)
        pointer.deallocate()
    }

    /// What of MirrorProgram.UplinkKind it is.
    var kind: MirrorProgram.UplinkKind { datagrams != nil ? .udp : live != nil ? .live : .afXDP }

    /// Copies that were handed over and that the kernel did not take then; as the worker has last said.
    var refused: UInt64 { datagrams?.pointee.refused ?? live?.exit.pointee.refused ?? 0 }

    /// Copies that were given to the device as XDP frames; nil for another kind.
    var xdpFrames: UInt64? { live?.exit.pointee.sent }

    /// What the kernel said to the last run of XDP frames, an errno; 0 for nothing. Then there is none before `forgive`.
    var liveError: Int32 { live?.exit.pointee.error ?? 0 }

    func forgive() { live?.exit.pointee.forgive() }

    /// Of the interface; 0 where another worker has the socket.
    var queue: Int { socket?.queue ?? 0 }

    /// The driver sends from the frames' memory itself.
    var isZeroCopy: Bool { socket?.isZeroCopy ?? false }

    /// Why it does not where it was asked to.
    var obstacle: HostError? { socket?.obstacle }

    /// The driver of a dedicated uplink has come to take nothing any more.
    var refusesToSend: Bool { isDedicated && socket?.refusesToSend ?? false }

    var isBusyPolled: Bool { socket?.isBusyPolled ?? false }

    /// Whether the kernel, or the other worker, has taken everything that was queued.
    var isDrained: Bool { queuedFrames == 0 }

    /// Frames that are not taken yet.
    var queuedFrames: UInt64 {
        let word = { (address: UnsafeMutableRawPointer) in
            address.assumingMemoryBound(to: Atomic<UInt32>.self).pointee.load(ordering: .acquiring)
        }
        let descriptors = transmit.elements.assumingMemoryBound(to: xdp_desc.self)
        var frames = live?.exit.pointee.waiting ?? 0
        var index = word(transmit.consumer)
        while index != word(transmit.producer) {
            if descriptors[Int(index & (transmit.size - 1))].options & HS_XDP_PKT_CONTD == 0 { frames += 1 }
            index &+= 1
        }
        return frames
    }

    private static func open(
        _ link: Link, _ worker: WorkerHost, _ workers: Int, _ role: XSKSocket.Role, _ remedy: () -> Bool
    ) throws(HostError) -> XSKSocket {
        var last: HostError?
        let order = QueueAssignment.order(worker: worker.place, workers: workers, queues: link.transmitQueues)
        // Not every queue that a device can have is in use.
        var used = Int.max
        for queue in order where queue < used {
            do throws(HostError) {
                return try XSKSocket.open(
                    role, interface: link.index, name: link.name, queue: queue, area: worker.area, remedy: remedy)
            } catch {
                if last == nil || last!.code == EINVAL { last = error }
                if error.code == EINVAL && queue > 0 { used = queue } else if error.code != EBUSY { break }
            }
        }
        throw last!
    }
}
