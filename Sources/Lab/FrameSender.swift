// A paced sender of numbered frames, on a thread of its own in a namespace. After it: the tapped port, and
// FrameReceiver.swift where the frames or their copies arrive.

import CShims
import Foundation
import Glibc
import Synchronization

/// Sends the frames of a stream at a steady rate from the moment it is made.
public final class FrameSender: Sendable {
    public let stream: FrameStream
    private let live = Mutex(SendReport())
    private let stopping = Atomic<Bool>(false)
    private let thread = Mutex<NamespaceThread<Void>?>(nil)

    /// Starts sending.
    ///
    /// - Parameters:
    ///   - rate: frames a second; what is late is sent at once, at most 64 frames in a row.
    ///   - count: number of frames; nil sends until `stop()`.
    ///   - moveEvery: number of frames after which the thread moves to the next CPU; nil leaves that to the kernel.
    public init(
        _ stream: FrameStream, in namespace: Namespace, interface: String, rate: Double, count: UInt64? = nil,
        moveEvery: UInt64? = nil
    ) throws {
        self.stream = stream
        let socket = try PacketSocket(in: namespace, interface: interface)
        let started = NamespaceThread(in: namespace) { [self] in
            try send(through: socket, rate: rate, count: count ?? .max, moveEvery: moveEvery)
        }
        thread.withLock { $0 = started }
    }

    /// What has been sent so far.
    public var report: SendReport { live.withLock { $0 } }

    /// Waits until every frame is sent.
    @discardableResult
    public func wait() throws -> SendReport {
        try thread.withLock { $0! }.wait()
        return report
    }

    /// Ends the stream.
    @discardableResult
    public func stop() throws -> SendReport {
        stopping.store(true, ordering: .relaxed)
        return try wait()
    }

    private func send(through socket: PacketSocket, rate: Double, count: UInt64, moveEvery: UInt64?) throws {
        lab_set_timer_slack(1_000)
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 66 * 1024, alignment: 64)
        defer { room.deallocate() }
        let interval = 1e9 / rate
        let begin = nowNanoseconds()
        var schedule = begin
        var sequence: UInt64 = 0
        var moves = 0
        while sequence < count, !stopping.load(ordering: .relaxed) {
            let due = min(count, UInt64(Double(nowNanoseconds() - schedule) / interval) + 1)
            if sequence < due {
                let last = min(due, sequence + 64)
                // The due time of frames further behind is forgotten: a stall must not end in a flood, and a backlog of the
                // kernel holds 1,000 frames (net.core.netdev_max_backlog).
                if due - last > 256 { schedule = nowNanoseconds() - UInt64(Double(last) * interval) }
                while sequence < last {
                    if let moveEvery, sequence % moveEvery == 0 {
                        Self.move(to: moves)
                        moves += 1
                    }
                    try sendOne(sequence, through: socket, room, moves)
                    sequence += 1
                }
            } else {
                Self.sleep(until: schedule + UInt64(Double(sequence) * interval))
            }
        }
    }

    private func sendOne(
        _ sequence: UInt64, through socket: PacketSocket, _ room: UnsafeMutableRawBufferPointer, _ moves: Int
    ) throws {
        let now = nowNanoseconds()
        let length = stream.write(sequence, time: now, to: room)
        let taken = try socket.send(UnsafeRawBufferPointer(start: room.baseAddress, count: length))
        live.withLock { report in
            if taken {
                report.frames += 1
                report.bytes += UInt64(length)
            } else {
                report.refused.append(sequence)
            }
            if report.began == 0 { report.began = now }
            report.ended = now
            report.nextSequence = sequence + 1
            report.moves = moves
        }
    }

    private static func move(to turn: Int) {
        let cpus = ProcessInfo.processInfo.processorCount
        _ = lab_run_on_cpus(1 << UInt64(turn % min(cpus, 64)))
    }

    private static func sleep(until nanoseconds: UInt64) {
        var time = timespec(tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
        clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &time, nil)
    }
}
