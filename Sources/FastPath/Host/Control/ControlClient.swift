// One connection to the control socket: bytes in, lines out of them; replies in, bytes out as the peer takes them. One that
// watches has a stream, and is listened to no more.

import Glibc

/// Buffers of one client. Nothing here blocks.
final class ControlClient {
    let descriptor: Descriptor
    private var input: [UInt8] = []
    /// Bytes of `input` that were searched for a newline already.
    private var searched = 0
    private var output: ArraySlice<UInt8> = []
    /// What it is sent besides replies.
    var stream: WatchStream?
    /// The peer says no more.
    private(set) var hasEnded = false
    private var isTooLong = false

    init(_ descriptor: Descriptor) { self.descriptor = descriptor }

    var hasOutput: Bool { !output.isEmpty }
    /// Bytes that wait for the peer.
    var queued: Int { output.count }
    /// The peer has gone, or everything was said to one that broke the rules.
    var isOver: Bool { hasEnded && !hasOutput }

    /// Takes in what is there, a bounded amount so that other clients get their turn.
    func receive() {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        for _ in 0..<64 {
            let count = read(descriptor.raw, &buffer, buffer.count)
            if count > 0 {
                if stream == nil { input.append(contentsOf: buffer[..<count]) }
                continue
            }
            if count == 0 || (errno != EAGAIN && errno != EINTR) { hasEnded = true }
            return
        }
    }

    /// The next whole line without its newline; a line beyond the limit is answered and ends the connection.
    func nextLine() -> ArraySlice<UInt8>? {
        if let end = input[searched...].firstIndex(of: UInt8(ascii: "\n")) {
            let line = input[..<end]
            input = Array(input[(end + 1)...])
            searched = 0
            return line
        }
        searched = input.count
        if input.count > ControlSocket.longestLine, !isTooLong {
            isTooLong = true
            hasEnded = true
            input = []
            searched = 0
            queue(Array(#"{"error":"the line is longer than \#(ControlSocket.longestLine) bytes"}"#.utf8))
        }
        return nil
    }

    func queue(_ reply: [UInt8]) {
        output += reply
        output.append(UInt8(ascii: "\n"))
    }

    /// Bytes as they are.
    func append(_ bytes: [UInt8]) { output += bytes }

    /// Sends what is queued and closes.
    func finish() {
        stream = nil
        hasEnded = true
    }

    /// Gives the peer what it takes.
    func send() {
        while !output.isEmpty {
            let count = output.withUnsafeBytes {
                Glibc.send(descriptor.raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            if count < 0 {
                if errno != EAGAIN {
                    output = []
                    hasEnded = true
                }
                return
            }
            output = output.dropFirst(count)
        }
    }
}
