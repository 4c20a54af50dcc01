// A `span` port as the host side holds it: the steering program and one socket for each RX queue. Before it: the
// port's link. After it: the worker reads the sockets' RX rings through `sources`.

import CShims
import FastPath
import Glibc

/// One steered port. Detach it, publish a table without it, and only then let it go.
final class SpanPort {
    let place: InterfacePlace
    let name: String
    let slot: Int
    let numbers: [UInt16]
    let worker: WorkerHost
    private(set) var sources: [UnsafeMutablePointer<SpanSource>] = []
    /// Every socket receives without copying.
    var isZeroCopy: Bool { sockets.allSatisfy(\.isZeroCopy) }
    var isBusyPolled: Bool { sockets.allSatisfy(\.isBusyPolled) }
    var queues: Int { sockets.count }
    /// Largest MTU whose frames, with a tag, fit into a chunk behind the kernel's headroom and ours; nil where a frame may
    /// lie in several.
    var mtuLimit: Int? {
        let (kernelHeadroom, header) = (256, 14 + 4)
        return sockets.allSatisfy(\.takesLongFrames)
            ? nil : UMEM.chunkSize - kernelHeadroom - XSKSocket.headroom - header
    }

    private let steer: SteerProgram
    /// Copies are addressed to somebody else: the interface takes them as long as this socket is open, no longer.
    private let promiscuity: Descriptor
    private var sockets: [XSKSocket] = []
    private var seenDrops: UInt64 = 0

    /// Steers every queue of `link`; called inside the namespace of the interface, which the sockets belong to from then on.
    ///
    /// - Parameters:
    ///   - place: of the same interface.
    ///   - numbers: one for each queue.
    ///   - chunks: for the fill rings, shared out evenly and marked as being there.
    init(
        _ link: Link, at place: InterfacePlace, slot: Int, numbers: [UInt16], chunks: [UInt32], worker: WorkerHost,
        ownTunnels: Int32
    ) throws(HostError) {
        self.place = place
        name = link.name
        self.slot = slot
        self.numbers = numbers
        self.worker = worker
        promiscuity = try Self.makePromiscuous(link)
        steer = try SteerProgram(ownTunnels: ownTunnels)
        try steer.attach(interface: link.index, name: link.name)
        let share = chunks.count / max(1, numbers.count)
        for (queue, number) in numbers.enumerated() {
            let part = Array(chunks[(queue * share)..<((queue + 1) * share)])
            let addresses = part.map { UInt64($0) * UInt64(UMEM.chunkSize) }
            let socket = try XSKSocket.open(
                .receive, interface: link.index, name: link.name, queue: queue, area: worker.area, chunks: addresses)
            sockets.append(socket)
            worker.thread.place(part, inFillRingOf: number)
            try worker.wake(on: socket.descriptor)
        }
        for (socket, number) in zip(sockets, numbers) {
            let source = UnsafeMutablePointer<SpanSource>.allocate(capacity: 1)
            source.initialize(
                to: SpanSource(
                    socket: socket.descriptor.raw, number: number, slot: slot, receive: socket.data, fill: socket.fill,
                    isBusyPolled: socket.isBusyPolled))
            sources.append(source)
        }
        for (queue, socket) in sockets.enumerated() { try steer.steer(queue: queue, into: socket.descriptor) }
    }

    deinit {
        steer.detach()
        for source in sources {
            source.deinitialize(count: 1)
            source.deallocate()
        }
    }

    /// Nobody has taken the steering program away.
    var isInPlace: Bool { steer.isInPlace(on: place.index) }

    /// Its interface has other RX queues than it had.
    var hasOtherQueues: Bool {
        let name = name
        let now = try? within(place.namespace) { Ethtool.receiveQueues(name) }
        return now.map { $0 != queues } ?? false
    }

    func restore() throws(HostError) {
        try within(place.namespace) { [self] () throws(HostError) in
            try steer.attach(interface: place.index, name: name)
        }
    }

    /// Gives the port's frames back to the host.
    func detach() { steer.detach() }

    /// Frames that found no room since the last call.
    func takeDrops() -> UInt64 {
        let now = sockets.reduce(0) { $0 + $1.receiveDrops }
        defer { seenDrops = max(now, seenDrops) }
        return now > seenDrops ? now - seenDrops : 0
    }

    private static func makePromiscuous(_ link: Link) throws(HostError) -> Descriptor {
        let type = Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue)
        // Of no protocol: the socket itself receives nothing.
        let holder = try Descriptor("cannot open a packet socket for \(link.name)") { socket(AF_PACKET, type, 0) }
        try check("cannot make \(link.name) promiscuous") { hs_make_promiscuous(holder.raw, link.index) }
        return holder
    }
}
