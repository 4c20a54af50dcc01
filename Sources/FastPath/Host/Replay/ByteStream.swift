// Bytes of a file or a pipe, in pieces of the size that is asked for. After it: CaptureFile.swift.

import Glibc

/// Reads from a descriptor through a buffer.
struct ByteStream {
    private let descriptor: Descriptor
    private let path: String
    private var buffer: ArraySlice<UInt8> = []

    /// - Parameter path: `-` for standard input.
    init(path: String) throws(HostError) {
        self.path = path
        descriptor = try Descriptor("cannot open \(path)") { path == "-" ? dup(0) : open(path, O_RDONLY | O_CLOEXEC) }
    }

    /// Exactly `count` bytes; fewer only at the end.
    mutating func read(_ count: Int) throws(HostError) -> [UInt8] {
        while buffer.count < count {
            var more = [UInt8](repeating: 0, count: 1 << 18)
            let got = Glibc.read(descriptor.raw, &more, more.count)
            if got < 0, errno == EINTR { continue }
            if got < 0 { throw .system("cannot read \(path)") }
            if got == 0 { break }
            buffer = ArraySlice(Array(buffer) + more[..<got])
        }
        defer { buffer = buffer.dropFirst(count) }
        return Array(buffer.prefix(count))
    }
}
