// A bump in the wire as the host side holds it: the programs and pinned links of two ports, and one socket for each of
// their queues. Before it: two links. After it: the worker carries frames along `lanes`.
//
// The kernel carries the frames from the moment both programs are attached, and the worker from its first heartbeat on.
// So sockets come and go, and this process too, without a hole in the wire.

import CShims
import FastPath
import Glibc
import MirrorProgram

/// Two connected ports. Cut or leave it, publish a table without it, and only then let it go.
package final class InlinePair {
    /// The port and its pair, in this order.
    let links: [Link]
    let numbers: [UInt16]
    let worker: WorkerHost
    /// Elements of each ring of a socket.
    let ringSize: Int
    /// Why the kernel could not carry the frames by itself if it had to; looked at every second.
    private(set) var obstacle: String?
    /// Why frames are copied where the drivers could do without.
    let copyReason: String?

    private let pins: InlinePins
    private let program: InlineProgram
    private var attachments: [Descriptor]
    private var queues: [[Queue]] = [[], []]
    private var seenLosses: [UInt64] = [0, 0]

    /// One socket and what the worker needs of it.
    private struct Queue {
        let socket: XSKSocket
        let source: UnsafeMutablePointer<SpanSource>
        let exit: UnsafeMutablePointer<Uplink>
        let counters: InlineCounters
    }

    /// Elements of each ring for ports of so many queues: a few hundred frames wait at most, and all rings together
    /// leave half of the chunks to the copies.
    static func ringSize(queues: Int) -> Int { min(512, 1024 / max(1, queues.nextPowerOfTwo)) }

    /// Longest frames: one chunk, and what most drivers take without frames of several buffers.
    static let largestMTU = 3506

    /// Connects two ports, or takes over what a run before has left; called inside their namespace, which the sockets belong
    /// to from then on.
    ///
    /// - Parameters:
    ///   - numbers: one for each queue of the first, then of the second.
    ///   - chunks: for the fill rings, as many for each socket, at most `ringSize`.
    /// - Throws: nothing is left of what was not there before.
    init(
        _ links: [Link], numbers: [UInt16], chunks: [UInt32], worker: WorkerHost, pins: InlinePins, ownTunnels: Int32
    ) throws(HostError) {
        self.links = links
        self.numbers = numbers
        self.worker = worker
        self.pins = pins
        let count = numbers.count / 2
        ringSize = Self.ringSize(queues: count)
        copyReason = Self.copyReason(links, drivers: links.map { Ethtool.driver($0.name) })
        program = try InlineProgram(ownTunnels: ownTunnels, interfaces: links.map(\.index))
        var fresh: [Link] = []
        do throws(HostError) {
            var attachments: [Descriptor] = []
            for (side, link) in links.enumerated() {
                attachments.append(try Self.attach(program, side, link, pins, &fresh))
            }
            self.attachments = attachments
            for link in links where try !XDPFeatures.of(link.index, link.name).contains(.transmits) {
                throw HostError(Self.cannotTransmit(link))
            }
            for link in links { try pins.settle(link) }
            try openSockets(count, chunks, worker)
        } catch {
            for link in fresh { pins.remove(link.index) }
            throw error
        }
    }

    deinit {
        for queue in queues.joined() {
            queue.source.deinitialize(count: 1)
            queue.source.deallocate()
            queue.exit.deinitialize(count: 1)
            queue.exit.deallocate()
            queue.counters.deallocate()
        }
    }

    private static func attach(
        _ program: InlineProgram, _ side: Int, _ link: Link, _ pins: InlinePins, _ fresh: inout [Link]
    ) throws(HostError) -> Descriptor {
        if let pinned = pins.link(link.index) {
            try program.replace(side: side, in: pinned, link.name)
            return pinned
        }
        let attachment = try program.attach(side: side, link.index, link.name)
        fresh.append(link)
        try pins.pin(attachment, link.index)
        return attachment
    }

    private func openSockets(_ count: Int, _ chunks: [UInt32], _ worker: WorkerHost) throws(HostError) {
        let share = chunks.count / numbers.count
        for (place, number) in numbers.enumerated() {
            let link = links[place / count]
            let part = Array(chunks[(place * share)..<((place + 1) * share)])
            let addresses = part.map { UInt64($0) * UInt64(UMEM.chunkSize) }
            let socket = try XSKSocket.open(
                .bothWays, interface: link.index, name: link.name, queue: place % count, area: worker.area,
                chunks: addresses, ringSize: ringSize, copying: copyReason != nil)
            worker.thread.place(part, inFillRingOf: number)
            try worker.wake(on: socket.descriptor)
            queues[place / count].append(Self.queue(socket, number))
        }
        for side in 0..<2 {
            for (index, queue) in queues[side].enumerated() {
                try program.steer(side: side, queue: index, into: queue.socket.descriptor)
            }
        }
    }

    private static func queue(_ socket: XSKSocket, _ number: UInt16) -> Queue {
        let raw = socket.descriptor.raw
        let source = UnsafeMutablePointer<SpanSource>.allocate(capacity: 1)
        source.initialize(
            to: SpanSource(
                socket: raw, number: number, slot: 0, receive: socket.data, fill: socket.fill,
                isBusyPolled: socket.isBusyPolled))
        let exit = UnsafeMutablePointer<Uplink>.allocate(capacity: 1)
        exit.initialize(
            to: Uplink(
                socket: raw, number: number, transmit: socket.transmit!, completion: socket.completion,
                isZeroCopy: socket.isZeroCopy))
        return Queue(socket: socket, source: source, exit: exit, counters: .allocate())
    }

    /// Pure: virtio_net sends a redirected frame only with room in front of it for a header of its own, and one that was
    /// received without copying has none (xdp_convert_zc_to_xdp_frame in net/core/xdp.c): it would be lost.
    package static func copyReason(_ links: [Link], drivers: [String?]) -> String? {
        guard let place = drivers.firstIndex(of: "virtio_net") else { return nil }
        return
            "\(links[place].name) is a virtio_net, which takes no redirected frame that was received without copying, "
            + "and without the worker nothing would pass: copy mode"
    }

    private static func cannotTransmit(_ link: Link) -> String {
        link.kind == "veth"
            ? "\(link.name) is a veth whose other end does not take XDP frames: switch GRO on there (ethtool -K … gro on)"
            : "the driver of \(link.name) does not send frames that XDP redirects to it; use another interface"
    }

    // MARK: What the worker gets

    /// - Parameters:
    ///   - slot: of the port in a selection.
    ///   - side: who owns the port: with `peer`, IN is what leaves through its interface.
    func lanes(slot: Int, side: MirrorProgram.Side) -> [InlineLane] {
        (0..<2).flatMap { from in
            zip(queues[from], queues[1 - from]).map { entry, exit in
                InlineLane(
                    source: entry.source, exit: exit.exit, counters: entry.counters,
                    isCopying: !exit.socket.isZeroCopy, slot: slot,
                    direction: UInt8(Self.direction(from: from, side).rawValue))
            }
        }
    }

    private static func direction(from: Int, _ side: MirrorProgram.Side) -> hs_direction {
        (from == 0) == (side == .`self`) ? HS_IN : HS_OUT
    }

    var heartbeat: UnsafeMutableRawPointer { program.heartbeat }

    // MARK: What status and stats get

    /// Every socket of both ports receives and sends without copying.
    var isZeroCopy: Bool { queues.joined().allSatisfy(\.socket.isZeroCopy) }
    var queueCount: Int { numbers.count }
    /// As `promisc on`, of both ports.
    var changes: [String] {
        links.flatMap { link in pins.changes(link.index).map { "\(link.name): \($0.change)" } }
    }

    func statistics(id: String) -> InlineStatistics {
        let all = queues.joined()
        let sum = { (value: (InlineCounters) -> UInt64) in all.reduce(0) { $0 + value($1.counters) } }
        return InlineStatistics(
            id: id, forwarded: sum(\.forwarded), bypassed: program.bypassed(side: 0) + program.bypassed(side: 1),
            drops: [
                .receiveRingFull: all.reduce(0) { $0 + $1.socket.receiveDrops }, .stale: sum(\.stale),
                .txRingFull: sum(\.blocked),
            ])
    }

    /// Frames of a direction, since the last call, of which no copy can have been made.
    func takeLosses(_ direction: UInt8, side: MirrorProgram.Side) -> UInt64 {
        let from = UInt32(direction) == Self.direction(from: 0, side).rawValue ? 0 : 1
        let now = queues[from].reduce(program.bypassed(side: from)) {
            $0 + $1.counters.stale + $1.counters.blocked + $1.socket.receiveDrops
        }
        defer { seenLosses[from] = max(now, seenLosses[from]) }
        return now > seenLosses[from] ? now - seenLosses[from] : 0
    }

    // MARK: Keeping and ending

    /// Puts right what is not as it was left, and looks whether the kernel could do without us; called inside the namespace.
    ///
    /// - Parameter table: what the interfaces are called now.
    /// - Returns: names of the interfaces whose program somebody had detached.
    /// - Throws: a program cannot be put back; this pair is of no use any more.
    func inspect(_ table: LinkTable) throws(HostError) -> [String] {
        obstacle = nil
        var detached: [String] = []
        for (side, link) in links.map({ table[$0.index] ?? $0 }).enumerated() {
            if !XDPLink.isAttached(attachments[side], to: link.index) {
                // What held the old one's pin is none of ours any more.
                pins.unpin(link.index)
                attachments[side] = try program.attach(side: side, link.index, link.name)
                detached.append(link.name)
            }
            do throws(HostError) {
                try pins.keep()
                if !pins.isPinned(link.index) { try pins.pin(attachments[side], link.index) }
                try pins.settle(link)
            } catch {
                obstacle = "nothing would pass after this process's end: \(error)"
            }
            if let features = try? XDPFeatures.of(link.index, link.name), !features.contains(.transmits) {
                obstacle = "without the worker nothing would pass: " + Self.cannotTransmit(link)
            }
        }
        return detached
    }

    /// Takes programs, pins and changed settings back.
    func cut() {
        attachments = []
        for link in links { pins.remove(link.index) }
    }

    /// The kernel carries the frames from now on, also when this process has ended.
    func leave() {
        for side in 0..<2 {
            for index in queues[side].indices { program.release(side: side, queue: index) }
        }
    }

    /// Whether everything that was received has been sent on.
    var isDrained: Bool { queues.joined().allSatisfy { !$0.socket.hasReceived } }

    /// Where the programs stay when this process ends.
    var pinPaths: [String] { links.map { pins.linkPath($0.index) } }
}

extension Int {
    fileprivate var nextPowerOfTwo: Int {
        var power = 1
        while power < self { power *= 2 }
        return power
    }
}
