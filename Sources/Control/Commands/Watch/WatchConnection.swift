// The line to the dataplane that a watch has for itself: one request, one reply, and bytes of pcapng until either side ends
// it. Before: WatchCommand.swift. After: heliostat-dataplane, and CopyStream.swift for what it sends.

import Foundation
import MirrorProgram
import Synchronization

/// One watch.
final class WatchConnection: Sendable {
    private let socket: Int32
    private let isEnding = Atomic(false)
    /// What came behind the reply.
    private let rest: [UInt8]
    private let hasGivenRest = Atomic(false)

    /// Asks for the copies of `taps`.
    ///
    /// - Throws: where nobody listens, or the dataplane says no.
    init(_ path: String, taps: [String]) throws(CommandError) {
        socket = try Self.connect(path)
        let line = (try? JSONEncoder().encode(DataplaneRequest.watch(taps))) ?? Data()
        let request = Array(line) + [UInt8(ascii: "\n")]
        if Foundation.send(socket, request, request.count, Int32(MSG_NOSIGNAL)) != request.count {
            throw Self.failure("the dataplane at \(path) takes no request")
        }
        var received: [UInt8] = []
        while true {
            guard let bytes = try Self.read(socket) else {
                throw CommandError("the dataplane at \(path) closed the connection", remedy: "is it of this version?")
            }
            received += bytes
            guard let end = received.firstIndex(of: UInt8(ascii: "\n")) else { continue }
            rest = Array(received[(end + 1)...])
            let reply = try? JSONDecoder().decode(DataplaneReply.self, from: Data(received[..<end]))
            if let error = reply?.error { throw CommandError(error) }
            if reply?.watch == nil { throw CommandError("the dataplane at \(path) answered something else") }
            return
        }
    }

    deinit { close(socket) }

    /// The next bytes; nil at the end.
    func read() throws(CommandError) -> [UInt8]? {
        if !hasGivenRest.exchange(true, ordering: .relaxed), !rest.isEmpty { return rest }
        return try Self.read(socket)
    }

    /// Tells the dataplane that it is enough; it sends what is on its way, and how many were lost.
    ///
    /// - Returns: false when that was said before.
    func end() -> Bool {
        if isEnding.exchange(true, ordering: .relaxed) { return false }
        shutdown(socket, Int32(SHUT_WR))
        return true
    }

    private static func connect(_ path: String) throws(CommandError) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        guard path.utf8.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw CommandError("the path \(path) is too long for a Unix socket")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let socket = Foundation.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Foundation.connect(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        if result == 0 { return socket }
        let code = errno
        close(socket)
        if code == EACCES {
            throw CommandError("you may not use \(path)", remedy: "be root, or a member of the group heliostat")
        }
        throw CommandError(
            "no dataplane at \(path): \(String(cString: strerror(code)))",
            remedy: "a watch runs on the host of the tap; name another with --state-dir")
    }

    private static func read(_ socket: Int32) throws(CommandError) -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 1 << 18)
        while true {
            let count = recv(socket, &buffer, buffer.count, 0)
            if count > 0 { return Array(buffer[..<count]) }
            if count == 0 || errno == ECONNRESET { return nil }
            if errno != EINTR { throw failure("the dataplane cannot be heard") }
        }
    }

    private static func failure(_ what: String) -> CommandError {
        CommandError("\(what): \(String(cString: strerror(errno)))")
    }
}
