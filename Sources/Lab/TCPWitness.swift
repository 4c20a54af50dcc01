// The judgement of a mirrored TCP stream: every copy well formed, and together the whole sequence space.
// Fed by FrameReceiver.swift frame by frame; TCPTransfer.swift made the originals.

import Synchronization

/// Checks TCP over IPv4 frames one by one, and that no byte of a stream is missing.
public final class TCPWitness: Sendable {
    /// What was seen of one direction of one connection.
    public struct Stream: Sendable {
        /// Bytes from the SYN's number, in order and without a hole, so far.
        public var contiguous: UInt32 = 0
        /// Whether SYN and FIN were seen, and the number behind the last byte as the FIN tells it.
        public var began = false
        public var length: UInt32?
        fileprivate var first: UInt32 = 0
        fileprivate var ahead: [(from: UInt32, to: UInt32)] = []

        /// Numbers that were seen more than once: the sender's TCP may have sent them again.
        public var repeated: UInt64 = 0

        /// Whether every byte from SYN to FIN was seen.
        public var isComplete: Bool { began && length == contiguous }

        /// A segment whose number is `sequence` and which takes `count` numbers.
        fileprivate mutating func take(_ sequence: UInt32, _ count: UInt32) {
            let from = sequence &- first
            ahead.append((from, from &+ count))
            // What fits goes in until nothing fits any more; streams of the lab stay far below 2^32 bytes.
            while let index = ahead.firstIndex(where: { $0.from <= contiguous }) {
                let piece = ahead.remove(at: index)
                repeated += UInt64(min(contiguous, piece.to) - piece.from)
                contiguous = max(contiguous, piece.to)
            }
        }
    }

    /// What was seen so far.
    public struct Report: Sendable {
        public var frames = 0
        public var largest = 0
        /// Frames that are not TCP over IPv4.
        public var others = 0
        /// Frames with something wrong, the first of them in words.
        public var malformed = 0
        public var firstFault: String?
        /// Each direction of each connection.
        public var streams: [Key: Stream] = [:]
    }

    /// Addresses and ports of one direction.
    public struct Key: Hashable, Sendable {
        let addresses: UInt64
        let ports: UInt32
        /// TCP port the segments go to.
        public var destinationPort: UInt16 { UInt16(truncatingIfNeeded: ports) }
    }

    private let state = Mutex(Report())
    private let longest: Int
    private let takesPartial: Bool
    private let piece: [UInt8]

    /// - Parameters:
    ///   - longest: bytes of the longest frame that a wire of this MTU carries.
    ///   - takesPartial: checksums may be left to hardware, as on a way that is no wire.
    ///   - piece: what every stream to port 5001 must consist of, again and again; empty for anything.
    public init(longest: Int, takesPartial: Bool = false, piece: [UInt8] = []) {
        self.longest = longest
        self.takesPartial = takesPartial
        self.piece = piece
    }

    public var report: Report { state.withLock { $0 } }

    /// Takes one frame as it was received.
    public func take(_ frame: borrowing CapturedFrame) {
        let (bytes, partial) = (frame.bytes, frame.checksumIsPartial)
        state.withLock { report in
            guard bytes.count >= 54, bytes.read16(at: 12) == 0x0800, bytes[23] == 6 else {
                report.others += 1
                return
            }
            report.frames += 1
            report.largest = max(report.largest, bytes.count)
            if let fault = fault(bytes, partial) {
                report.malformed += 1
                if report.firstFault == nil { report.firstFault = "frame \(report.frames): \(fault)" }
                return
            }
            follow(bytes, &report)
        }
    }

    private func fault(_ frame: UnsafeRawBufferPointer, _ partial: Bool) -> String? {
        let header = Int(frame[14] & 0xF) * 4
        let length = Int(frame.read16(at: 16))
        if frame.count > longest { return "\(frame.count) bytes, more than the wire's \(longest)" }
        if partial && !takesPartial { return "its checksum was left to hardware" }
        if frame[14] >> 4 != 4 || header < 20 || 14 + length != frame.count {
            return "IP version \(frame[14] >> 4), header \(header), length \(length) in a frame of \(frame.count)"
        }
        if internetChecksum(frame, 14..<14 + header) != 0 { return "wrong IP header checksum" }
        let at = 14 + header
        let data = Int(frame[at + 12] >> 4) * 4
        if data < 20 || at + data > frame.count { return "TCP header of \(data) bytes in a frame of \(frame.count)" }
        if partial { return nil }
        let pseudo = checksumPart(frame, 26..<34) + 6 + UInt32(frame.count - at)
        if internetChecksum(frame, at..<frame.count, with: pseudo) != 0 { return "wrong TCP checksum" }
        return nil
    }

    private func follow(_ frame: UnsafeRawBufferPointer, _ report: inout Report) {
        let at = 14 + Int(frame[14] & 0xF) * 4
        let key = Key(addresses: frame.read64(at: 26), ports: frame.read32(at: at))
        let (sequence, flags) = (frame.read32(at: at + 4), frame[at + 13])
        let payload = UInt32(frame.count - at - Int(frame[at + 12] >> 4) * 4)
        var stream = report.streams[key] ?? Stream()
        if flags & 2 != 0 {
            stream.began = true
            stream.first = sequence
        }
        if !piece.isEmpty, key.destinationPort == 5001, payload > 0, flags & 2 == 0 {
            compare(frame.suffix(Int(payload)), at: Int(sequence &- stream.first &- 1), &report)
        }
        // SYN and FIN take one number each (RFC 9293).
        let count = payload + (flags & 2 != 0 ? 1 : 0) + (flags & 1 != 0 ? 1 : 0)
        if count > 0 { stream.take(sequence, count) }
        if flags & 1 != 0 { stream.length = sequence &- stream.first &+ count }
        report.streams[key] = stream
    }

    /// Bytes of a stream's data from `offset` on.
    private func compare(_ bytes: Slice<UnsafeRawBufferPointer>, at offset: Int, _ report: inout Report) {
        var rest = bytes
        var at = offset % piece.count
        while !rest.isEmpty {
            let count = min(rest.count, piece.count - at)
            if !rest.prefix(count).elementsEqual(piece[at..<at + count]) {
                report.malformed += 1
                if report.firstFault == nil { report.firstFault = "frame \(report.frames): other bytes than were sent" }
                return
            }
            rest = rest.dropFirst(count)
            at = 0
        }
    }
}
