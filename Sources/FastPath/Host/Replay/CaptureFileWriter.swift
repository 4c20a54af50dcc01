// Capture files out: pcap with nanoseconds, or pcapng with one interface for each destination. Before it: Replay.swift.

import Glibc

/// Writes Ethernet frames.
struct CaptureFileWriter {
    private let descriptor: Descriptor
    private let path: String
    private let isNG: Bool
    private var buffer: [UInt8] = []

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
            put(0xA1B2_3C4D, 4)
            put(2, 2)
            put(4, 2)
            put(0, 4)
            put(0, 4)
            put(Self.snaplen, 4)
            put(1, 4)
            return
        }
        block(0x0A0D_0D0A) {
            $0.put(0x1A2B_3C4D, 4)
            $0.put(1, 2)
            $0.put(0, 2)
            $0.put(.max, 8)
        }
        for name in interfaces {
            block(1) {
                $0.put(1, 2)
                $0.put(0, 2)
                $0.put(Self.snaplen, 4)
                $0.option(2, Array(name.utf8))  // if_name
                $0.option(9, [9])  // if_tsresol: ns
                $0.put(0, 4)
            }
        }
    }

    private static let snaplen: UInt64 = 262_144

    /// - Parameter time: ns since 1970-01-01 UTC.
    mutating func write(_ frame: [UInt8], interface: Int, time: UInt64) throws(HostError) {
        if isNG {
            block(6) {
                $0.put(UInt64(interface), 4)
                $0.put(time >> 32, 4)
                $0.put(time & 0xFFFF_FFFF, 4)
                $0.put(UInt64(frame.count), 4)
                $0.put(UInt64(frame.count), 4)
                $0.padded(frame)
            }
        } else {
            put(time / 1_000_000_000, 4)
            put(time % 1_000_000_000, 4)
            put(UInt64(frame.count), 4)
            put(UInt64(frame.count), 4)
            buffer += frame
        }
        if buffer.count > 1 << 18 { try flush() }
    }

    /// Call it at the end.
    mutating func flush() throws(HostError) {
        var left = buffer[...]
        while !left.isEmpty {
            let count = left.withUnsafeBytes { Glibc.write(descriptor.raw, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            if count < 0 { throw .system("cannot write \(path)") }
            left = left.dropFirst(count)
        }
        buffer.removeAll(keepingCapacity: true)
    }

    private mutating func block(_ type: UInt64, _ body: (inout CaptureFileWriter) -> Void) {
        let start = buffer.count
        put(type, 4)
        put(0, 4)
        body(&self)
        let length = UInt32(buffer.count - start + 4)
        put(UInt64(length), 4)
        for byte in 0..<4 { buffer[start + 4 + byte] = UInt8(truncatingIfNeeded: length >> UInt32(8 * byte)) }
    }

    private mutating func option(_ code: UInt64, _ value: [UInt8]) {
        put(code, 2)
        put(UInt64(value.count), 2)
        padded(value)
    }

    private mutating func padded(_ bytes: [UInt8]) {
        buffer += bytes
        buffer += [UInt8](repeating: 0, count: -bytes.count & 3)
    }

    private mutating func put(_ value: UInt64, _ count: Int) {
        for byte in 0..<count { buffer.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * byte))) }
    }
}
