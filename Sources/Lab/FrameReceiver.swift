// The counting receiver, on a thread of its own in a namespace: where originals arrive, or behind the kernel's vxlan
// device where copies do. Before it: FrameSender.swift. It feeds StreamCheck.swift and PcapFile.swift.

import CShims
public import Foundation
import Synchronization

/// What a receiver has seen.
public struct ReceiveReport: Sendable {
    /// One for each expected stream, in the order given.
    public var streams: [StreamCheck]
    /// Frames of no expected stream, and their bytes.
    public var otherFrames: UInt64 = 0
    public var otherBytes: UInt64 = 0
    /// Frames that were lost on the way to this receiver because its own buffer was full: the witness was blind, and a
    /// figure with such a hole proves nothing.
    public var missed: UInt64 = 0

    /// Everything that arrived.
    public var frames: UInt64 { streams.reduce(otherFrames) { $0 + $1.frames } }
    public var bytes: UInt64 { streams.reduce(otherBytes) { $0 + $1.bytes } }
}

/// Receives, counts and compares the frames of an interface from the moment it is made.
public final class FrameReceiver: Sendable {
    private let live: Mutex<ReceiveReport>
    private let stopping = Atomic<Bool>(false)
    private let thread = Mutex<NamespaceThread<Void>?>(nil)

    /// Starts receiving.
    ///
    /// - Parameters:
    ///   - streams: what is expected; all else is counted as other.
    ///   - pcap: a file that keeps every frame that arrives.
    ///   - onFrame: also handed every frame, on the receiver's thread, in order of arrival.
    public init(
        in namespace: Namespace, interface: String, streams: [FrameStream] = [], pcap: URL? = nil,
        onFrame: (@Sendable (borrowing CapturedFrame) -> Void)? = nil
    ) throws {
        live = Mutex(ReceiveReport(streams: streams.map(StreamCheck.init)))
        let socket = try PacketSocket(in: namespace, interface: interface, receiveBuffer: 128 << 20)
        let file = try pcap.map { try PcapFile($0) }
        let started = NamespaceThread(in: namespace) { [self] in receive(from: socket, file, onFrame) }
        thread.withLock { $0 = started }
    }

    /// What has arrived so far.
    public var report: ReceiveReport { live.withLock { $0 } }

    /// Number of frames that have arrived so far; cheaper to ask for than the whole report.
    public var count: UInt64 { live.withLock { $0.frames } }

    /// Waits until what arrived satisfies a condition.
    ///
    /// - Returns: whether it came in time.
    @discardableResult
    public func wait(seconds: Double, until condition: (ReceiveReport) -> Bool) -> Bool {
        poll(seconds: seconds) { live.withLock { condition($0) } }
    }

    /// Waits until nothing has arrived for `quiet` seconds.
    ///
    /// - Returns: what has arrived by then, or by the deadline.
    public func settle(quiet: Double = 0.3, seconds: Double = 10) -> ReceiveReport {
        var (last, since) = (UInt64.max, nowNanoseconds())
        poll(seconds: seconds, every: 0.02) {
            let frames = live.withLock { $0.frames }
            if frames != last { (last, since) = (frames, nowNanoseconds()) }
            return nowNanoseconds() - since > UInt64(quiet * 1e9)
        }
        return report
    }

    /// Takes what is still waiting and ends.
    @discardableResult
    public func stop() throws -> ReceiveReport {
        stopping.store(true, ordering: .relaxed)
        try thread.withLock { $0! }.wait()
        return report
    }

    private func receive(
        from socket: PacketSocket, _ file: PcapFile?, _ onFrame: (@Sendable (borrowing CapturedFrame) -> Void)?
    ) {
        let batch = ReceiveBatch()
        while true {
            let last = stopping.load(ordering: .relaxed)
            let count = live.withLock { report in
                let count = socket.receive(into: batch) { frame in
                    Self.take(frame, into: &report)
                    file?.append(frame)
                    onFrame?(frame)
                }
                if count == 0 { report.missed += socket.takeDropped() }
                return count
            }
            if count > 0 { continue }
            if last {
                file?.flush()
                return
            }
            socket.waitReadable(milliseconds: 20)
        }
    }

    private static func take(_ frame: borrowing CapturedFrame, into report: inout ReceiveReport) {
        for index in report.streams.indices where report.streams[index].take(frame.bytes, at: frame.nanoseconds) {
            return
        }
        report.otherFrames += 1
        report.otherBytes += UInt64(frame.bytes.count)
    }
}
