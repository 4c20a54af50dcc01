// What a receiver keeps: the classic pcap format (draft-ietf-opsawg-pcap), nanosecond times, Ethernet.

public import Foundation
import Glibc

/// A capture file that is being written.
public final class PcapFile: @unchecked Sendable {
    // One thread writes: the receiver's own.
    private let file: UnsafeMutablePointer<FILE>

    /// Creates the file, or empties it.
    public init(_ url: URL) throws {
        guard let file = fopen(url.path, "we") else { throw LabError(errno: "cannot write '\(url.path)'") }
        self.file = file
        // Magic for nanoseconds, version 2.4, two reserved words, snap length, link type 1 (Ethernet).
        let header: [UInt32] = [0xA1B2_3C4D, 4 << 16 | 2, 0, 0, 262_144, 1]
        fwrite(header, 4, header.count, file)
    }

    /// Creates a file without frames.
    public static func empty(at url: URL) throws { _ = try PcapFile(url) }

    deinit { fclose(file) }

    /// Makes everything so far readable for others.
    func flush() { fflush(file) }

    /// Appends a frame as it was on the wire.
    func append(_ frame: borrowing CapturedFrame) {
        let length = UInt32(frame.bytes.count)
        let header = [
            UInt32(frame.nanoseconds / 1_000_000_000), UInt32(frame.nanoseconds % 1_000_000_000), length, length,
        ]
        fwrite(header, 4, header.count, file)
        fwrite(frame.bytes.baseAddress, 1, frame.bytes.count, file)
    }
}
