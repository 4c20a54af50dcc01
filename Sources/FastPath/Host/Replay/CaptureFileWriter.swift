// Capture files out: pcap with nanoseconds, or pcapng with one interface for each destination. Before it: Replay.swift and
// CaptureBlocks.swift.

import Glibc

/// Writes Ethernet frames.
struct CaptureFileWriter {
    private let descriptor: Descriptor
    private let path: String
    private let isNG: Bool
    private var buffer = CaptureBlocks()

    /// - Parameters:
    ///   - path: `-` for standard output; `.pcapng` at its end makes it one.
    ///   - interfaces: names of what frames leave through, in the order of `interface`.
    init(path: String, interfaces: [String]) throws(HostError) {
        self.path = path
        isNG = path.hasSuffix(".pcapng")
        descriptor = try Descriptor("cannot write \(path)") {
            path == "-" ? dup(1) : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        }
        guard isNG else {
            buffer.put(0xA1B2_3C4D, 4)
            buffer.put(2, 2)
            buffer.put(4, 2)
            buffer.put(0, 4)
            buffer.put(0, 4)
            buffer.put(CaptureBlocks.snaplen, 4)
            buffer.put(1, 4)
            return
        }
        buffer.section()
        for name in interfaces { buffer.interface(name) }
    }

    /// - Parameter time: ns since 1970-01-01 UTC.
    mutating func write(_ frame: [UInt8], interface: Int, time: UInt64) throws(HostError) {
        if isNG {
            buffer.frame(frame, interface: interface, time: time)
        } else {
            buffer.put(time / 1_000_000_000, 4)
            buffer.put(time % 1_000_000_000, 4)
            buffer.put(UInt64(frame.count), 4)
            buffer.put(UInt64(frame.count), 4)
            buffer.bytes += frame
        }
        if buffer.bytes.count > 1 << 18 { try flush() }
    }

    /// Call it at the end.
    mutating func flush() throws(HostError) {
        var left = buffer.bytes[...]
        while !left.isEmpty {
            let count = left.withUnsafeBytes { Glibc.write(descriptor.raw, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            if count < 0 { throw .system("cannot write \(path)") }
            left = left.dropFirst(count)
        }
        buffer.bytes.removeAll(keepingCapacity: true)
    }
}
