// An interface that copies leave through, as the host side holds it: the bound socket and what the worker needs of it.
// Before it: XSKSocket. After it: the forwarding table refers to `pointer`.

import CShims
import FastPath
import Synchronization

/// One TX socket. Let it go only when no table refers to it.
final class UplinkSocket {
    let interface: Int32
    /// Number among the worker's sockets.
    let number: UInt16
    let pointer: UnsafeMutablePointer<Uplink>
    /// No production traffic uses the interface.
    let isDedicated: Bool
    private let socket: XSKSocket
    /// Since when no destination uses it.
    var idleSince: ContinuousClock.Instant?

    /// Queues that are tried when others hold the first ones.
    private static let mostQueues = 64

    init(_ link: Link, number: UInt16, area: XSKSocket.Area, isDedicated: Bool) throws(HostError) {
        interface = link.index
        self.number = number
        self.isDedicated = isDedicated
        socket = try Self.open(link, area, isDedicated ? .transmitAlone : .transmit)
        pointer = .allocate(capacity: 1)
        pointer.initialize(
            to: Uplink(
                socket: socket.descriptor.raw, number: number, transmit: socket.data, completion: socket.completion))
    }

    deinit {
        pointer.deinitialize(count: 1)
        pointer.deallocate()
    }

    /// The driver sends from the frames' memory itself.
    var isZeroCopy: Bool { socket.isZeroCopy }

    var isBusyPolled: Bool { socket.isBusyPolled }

    /// Whether frames may be longer than a chunk.
    var takesLongFrames: Bool { socket.takesLongFrames }

    /// Whether the kernel has taken everything that was queued.
    var isDrained: Bool { queuedFrames == 0 }

    /// Frames that the kernel has not taken yet.
    var queuedFrames: UInt64 {
        let word = { (address: UnsafeMutableRawPointer) in
            address.assumingMemoryBound(to: Atomic<UInt32>.self).pointee.load(ordering: .acquiring)
        }
        let descriptors = socket.data.elements.assumingMemoryBound(to: xdp_desc.self)
        var frames: UInt64 = 0
        var index = word(socket.data.consumer)
        while index != word(socket.data.producer) {
            if descriptors[Int(index & (socket.data.size - 1))].options & HS_XDP_PKT_CONTD == 0 { frames += 1 }
            index &+= 1
        }
        return frames
    }

    private static func open(
        _ link: Link, _ area: XSKSocket.Area, _ role: XSKSocket.Role
    ) throws(HostError) -> XSKSocket {
        var last: HostError?
        for queue in 0..<min(max(1, link.transmitQueues), mostQueues) {
            do throws(HostError) {
                return try XSKSocket.open(role, interface: link.index, name: link.name, queue: queue, area: area)
            } catch {
                // The first queue's answer is the one to tell of: further queues may simply not exist.
                last = last ?? error
                if error.code != EBUSY { break }
            }
        }
        throw last!
    }
}
