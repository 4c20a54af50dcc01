// A watch as bytes: pcapng with one interface, whose last block says how many copies there were and how many were lost.
// Before it: ControlService begins it. After it: ControlSocket.swift sends what it gives.

import Glibc
import MirrorProgram

/// What one onlooker is sent behind the reply to `watch`.
package final class WatchStream {
    private let dataplane: Dataplane
    private let watch: Watch
    private var copies: UInt64 = 0
    private var dropped: UInt64 = 0
    private var hasBegun = false

    /// Bytes that wait for an onlooker who does not read; what comes then is lost to it.
    package static let longestQueue = 4 << 20

    init(_ dataplane: Dataplane, _ taps: [String]) throws(HostError) {
        self.dataplane = dataplane
        watch = try dataplane.watch(taps)
    }

    deinit { dataplane.unwatch(watch, "the onlooker has gone") }

    /// Whether the dataplane has ended it.
    package var isOver: Bool { watch.end != nil }

    /// The copies that have come meanwhile.
    ///
    /// - Parameter queued: bytes that wait for the onlooker already.
    package func next(queued: Int) -> [UInt8] {
        var blocks = CaptureBlocks()
        if !hasBegun {
            hasBegun = true
            blocks.section()
            blocks.interface(watch.taps.sorted().joined(separator: ","))
        }
        for frame in dataplane.take(watch) {
            if queued + blocks.bytes.count > Self.longestQueue {
                dropped += 1
                continue
            }
            copies += 1
            blocks.frame(frame.bytes, interface: 0, time: frame.time, isOut: frame.isOut)
        }
        return blocks.bytes
    }

    /// Ends it: the copies that are left, and the last block.
    package func finish(queued: Int) -> [UInt8] {
        let comment = watch.end
        dataplane.unwatch(watch, "the onlooker has enough")
        var blocks = CaptureBlocks()
        blocks.bytes = next(queued: queued)
        let lost = dropped + watch.dropped
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        blocks.statistics(
            received: copies + lost, dropped: lost,
            time: UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec), comment: comment)
        return blocks.bytes
    }
}
