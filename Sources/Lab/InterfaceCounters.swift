// The kernel's own count of an interface: the independent witness next to sender and receiver.

import Foundation

/// Frames and bytes of an interface as the kernel counts them.
public struct InterfaceCounters: Sendable, Hashable {
    public var receivedFrames: UInt64 = 0
    public var receivedBytes: UInt64 = 0
    public var receiveDropped: UInt64 = 0
    public var sentFrames: UInt64 = 0
    public var sentBytes: UInt64 = 0
    public var sendDropped: UInt64 = 0

    /// What was added since an earlier reading.
    public static func - (later: InterfaceCounters, earlier: InterfaceCounters) -> InterfaceCounters {
        InterfaceCounters(
            receivedFrames: later.receivedFrames - earlier.receivedFrames,
            receivedBytes: later.receivedBytes - earlier.receivedBytes,
            receiveDropped: later.receiveDropped - earlier.receiveDropped,
            sentFrames: later.sentFrames - earlier.sentFrames, sentBytes: later.sentBytes - earlier.sentBytes,
            sendDropped: later.sendDropped - earlier.sendDropped)
    }
}

extension Namespace {
    /// Reads the counters of an interface.
    public func counters(of interface: String) throws -> InterfaceCounters {
        // Columns as in net/core/net-procfs.c, dev_seq_printf_stats: eight received, eight sent.
        let table = try run { try String(contentsOfFile: "/proc/thread-self/net/dev", encoding: .utf8) }
        for line in table.split(separator: "\n") {
            let halves = line.split(separator: ":", maxSplits: 1)
            guard halves.count == 2, halves[0].trimmingCharacters(in: .whitespaces) == interface else { continue }
            let columns = halves[1].split(separator: " ").compactMap { UInt64($0) }
            guard columns.count == 16 else { break }
            return InterfaceCounters(
                receivedFrames: columns[1], receivedBytes: columns[0], receiveDropped: columns[3],
                sentFrames: columns[9], sentBytes: columns[8], sendDropped: columns[11])
        }
        throw LabError("namespace '\(name)' has no interface '\(interface)'")
    }
}
