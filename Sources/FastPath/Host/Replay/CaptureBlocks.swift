// pcapng as bytes (draft-ietf-opsawg-pcapng): section, interfaces, frames, statistics. Before it: whoever has frames. After
// it: CaptureFileWriter.swift writes them to a file, WatchStream.swift to the control socket.

/// Blocks of one section, in the byte order of x86 and ARM. Times are ns since 1970-01-01 UTC.
package struct CaptureBlocks {
    package var bytes: [UInt8] = []

    package init() {}

    /// Longest frame that a reader is told to expect.
    static let snaplen: UInt64 = 262_144

    package mutating func section() {
        block(0x0A0D_0D0A) {
            $0.put(0x1A2B_3C4D, 4)
            $0.put(1, 2)
            $0.put(0, 2)
            $0.put(.max, 8)
        }
    }

    /// An Ethernet interface; the first one is number 0.
    package mutating func interface(_ name: String) {
        block(1) {
            $0.put(1, 2)
            $0.put(0, 2)
            $0.put(Self.snaplen, 4)
            $0.option(2, Array(name.utf8))  // if_name
            $0.option(9, [9])  // if_tsresol: ns
            $0.put(0, 4)
        }
    }

    /// - Parameter isOut: from the interface's owner, or toward it; nil where nobody knows.
    package mutating func frame(_ frame: [UInt8], interface: Int, time: UInt64, isOut: Bool? = nil) {
        block(6) {
            $0.put(UInt64(interface), 4)
            $0.put(time >> 32, 4)
            $0.put(time & 0xFFFF_FFFF, 4)
            $0.put(UInt64(frame.count), 4)
            $0.put(UInt64(frame.count), 4)
            $0.padded(frame)
            guard let isOut else { return }
            $0.option(2, [isOut ? 2 : 1, 0, 0, 0])  // epb_flags: inbound or outbound
            $0.put(0, 4)
        }
    }

    /// What became of the frames of interface 0.
    package mutating func statistics(received: UInt64, dropped: UInt64, time: UInt64, comment: String?) {
        block(5) {
            $0.put(0, 4)
            $0.put(time >> 32, 4)
            $0.put(time & 0xFFFF_FFFF, 4)
            if let comment { $0.option(1, Array(comment.utf8.prefix(1024))) }  // opt_comment
            $0.counter(4, received)  // isb_ifrecv
            $0.counter(5, dropped)  // isb_ifdrop
            $0.put(0, 4)
        }
    }

    private mutating func block(_ type: UInt64, _ body: (inout CaptureBlocks) -> Void) {
        let start = bytes.count
        put(type, 4)
        put(0, 4)
        body(&self)
        let length = UInt32(bytes.count - start + 4)
        put(UInt64(length), 4)
        for byte in 0..<4 { bytes[start + 4 + byte] = UInt8(truncatingIfNeeded: length >> UInt32(8 * byte)) }
    }

    private mutating func option(_ code: UInt64, _ value: [UInt8]) {
        put(code, 2)
        put(UInt64(value.count), 2)
        padded(value)
    }

    private mutating func counter(_ code: UInt64, _ value: UInt64) {
        put(code, 2)
        put(8, 2)
        put(value, 8)
    }

    private mutating func padded(_ value: [UInt8]) {
        bytes += value
        bytes += [UInt8](repeating: 0, count: -value.count & 3)
    }

    mutating func put(_ value: UInt64, _ count: Int) {
        for byte in 0..<count { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * byte))) }
    }
}
