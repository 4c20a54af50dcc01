// A `span` port as the host side holds it: the steering program and one socket for each RX queue. Before it: the
// port's link. After it: the worker reads the sockets' RX rings through `sources`.

import CShims
import FastPath
import Glibc

/// One steered port. Detach it, publish a table without it, and only then let it go.
final class SpanPort {
    let interface: Int32
    let slot: Int
    let numbers: [UInt16]
    private(set) var sources: [UnsafeMutablePointer<SpanSource>] = []
    /// Every socket receives without copying.
    var isZeroCopy: Bool { sockets.allSatisfy(\.isZeroCopy) }
    var queues: Int { sockets.count }

    private let steer: SteerProgram
    /// Copies are addressed to somebody else: the interface takes them as long as this socket is open, no longer.
    private let promiscuity: Descriptor
    private var sockets: [XSKSocket] = []
    private var seenDrops: UInt64 = 0

    /// Steers every queue of `link`.
    ///
    /// - Parameters:
    ///   - numbers: one for each queue.
    ///   - chunks: for the fill rings, shared out evenly and marked as being there.
    init(
        _ link: Link, slot: Int, numbers: [UInt16], chunks: [UInt32], worker: WorkerHost, ownTunnels: Int32
    ) throws(HostError) {
        interface = link.index
        self.slot = slot
        self.numbers = numbers
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
                    socket: socket.descriptor.raw, number: number, slot: slot, receive: socket.data, fill: socket.fill))
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

    /// Number of RX queues of an interface (linux/ethtool.h, ETHTOOL_GCHANNELS); 1 where the driver does not tell.
    static func receiveQueues(_ name: String) -> Int {
        let type = Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard let control = try? Descriptor("no socket", { socket(AF_INET, type, 0) }) else { return 1 }
        var channels = ethtool_channels()
        channels.cmd = UInt32(ETHTOOL_GCHANNELS)
        var request = ifreq()
        withUnsafeMutableBytes(of: &request.ifr_ifrn) { $0.copyBytes(from: name.utf8.prefix(15)) }
        let result = withUnsafeMutablePointer(to: &channels) { channels in
            withUnsafeMutableBytes(of: &request.ifr_ifru) {
                $0.storeBytes(of: UInt(bitPattern: channels), as: UInt.self)
            }
            return ioctl(control.raw, UInt(SIOCETHTOOL), &request)
        }
        return result == 0 ? max(1, Int(channels.rx_count + channels.combined_count)) : 1
    }
}
