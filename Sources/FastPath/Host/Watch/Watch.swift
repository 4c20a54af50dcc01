// Somebody looks on: one more destination of some taps, which is in no program, no status and nobody's ledger but its own.
// Its uplink is plain memory. Before it: Dataplane.watch. After it: WatchStream.swift takes the copies.
//
// The worker wraps every copy in Geneve with all options, as it would for a monitor: that is how time and direction come
// along. Here they are taken off again.

import CShims
package import FastPath
import MirrorProgram

/// Copies of some taps for one onlooker. One that does not take them loses them, and nobody else does.
package final class Watch {
    /// A copy as its tap has carried it.
    package struct Frame: Equatable {
        /// Of capture, ns since 1970-01-01 UTC.
        package var time: UInt64
        /// From the port's owner, not toward it.
        package var isOut: Bool
        package var bytes: [UInt8]

        package init(time: UInt64, isOut: Bool, bytes: [UInt8]) {
            self.time = time
            self.isOut = isOut
            self.bytes = bytes
        }
    }

    /// Ids.
    package let taps: Set<String>
    /// Number among the destinations of the worker's tables; the first ones are kept for watches.
    let place: Int
    /// Numbers among the sockets, and what goes with them, by worker.
    let numbers: [UInt16]
    let uplinks: [MemoryUplink]
    let counters: [CounterBlock]
    /// Why it has ended; nil while it has not.
    package private(set) var end: String?

    /// Most at a time, together a quarter of the memory for frames.
    package static let most = 4
    /// Copies that wait to be taken.
    static let ringSize: UInt32 = 512

    init(taps: Set<String>, place: Int, numbers: [UInt16]) {
        self.taps = taps
        self.place = place
        self.numbers = numbers
        uplinks = numbers.map { MemoryUplink(number: $0, size: Self.ringSize) }
        counters = numbers.map { _ in CounterBlock.allocate() }
    }

    deinit { for block in counters { block.deallocate() } }

    /// Copies that were there when the worker had let go.
    private var rest: [Frame] = []

    func finish(_ reason: String) { end = end ?? reason }

    /// Copies that did not get here, for whatever reason.
    package var dropped: UInt64 {
        counters.flatMap { block in DropReason.allCases.map(block.drops) }.reduce(0, +)
    }

    /// Takes what waits, as much as fits into the ring at once: what comes meanwhile has its turn later.
    ///
    /// - Parameter areas: starts of the workers' chunks.
    func take(_ areas: [UnsafeMutableRawPointer]) -> [Frame] {
        defer { rest = [] }
        let frames = zip(uplinks, areas).flatMap { uplink, area in
            uplink.sent(area, atMost: Int(Self.ringSize)).compactMap(Self.frame)
        }
        return rest + (uplinks.count > 1 ? frames.sorted { $0.time < $1.time } : frames)
    }

    /// Takes the last ones out of chunks that are about to be somebody else's. Call it when no table has the uplink.
    func settle(_ areas: [UnsafeMutableRawPointer]) { rest = take(areas) }

    /// - Returns: nil for what is shorter than the outer headers.
    package static func frame(_ packet: [UInt8]) -> Frame? {
        guard packet.count >= header.length, let time = header.place(of: .timestamp),
            let direction = header.place(of: .direction)
        else { return nil }
        return Frame(
            time: packet[time..<time + 8].reduce(0) { $0 << 8 | UInt64($1) }, isOut: packet[direction + 3] == 2,
            bytes: Array(packet[header.length...]))
    }

    /// What stands in front of a copy: documentation's addresses, since it goes nowhere.
    package static let header = OuterHeader(
        MirrorProgram.Tunnel(
            remote: IPAddress("192.0.2.2")!, encapsulation: .geneve, tunnelID: 0, udpChecksum: false),
        source: IPAddress("192.0.2.1")!, sourceMAC: MACAddress("02:00:00:00:00:01")!,
        destinationMAC: MACAddress("02:00:00:00:00:02")!)

    /// Longest frame: the length of the outer packet has 16 bits.
    static let frameLimit = 65535 - header.overhead
}
