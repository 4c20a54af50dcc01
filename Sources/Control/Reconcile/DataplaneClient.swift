// The line to the dataplane: newline-delimited JSON over its Unix socket, one request and one reply at a time.
// Before: Reconciler. After: heliostat-dataplane.

import Dispatch
import Foundation
import Glibc
package import MirrorProgram

/// Why there is no answer from the dataplane.
package struct DataplaneError: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

/// A client of one dataplane; it connects when asked, and again after a failure.
package final class DataplaneClient: Sendable {
    private let path: String
    /// All of the connection's state is touched on this queue only, where blocking hurts nobody.
    private let queue = DispatchQueue(label: "heliostat.dataplane-client")
    private let connection: Connection

    /// - Parameters:
    ///   - path: the dataplane's socket.
    ///   - timeout: seconds that one reply may take.
    package init(path: String, timeout: Int = 10) {
        self.path = path
        connection = Connection(path: path, timeout: timeout)
    }

    /// Sends one request and waits for its reply.
    ///
    /// - Throws: `DataplaneError` where nothing listens, nothing comes in time, or what comes is not a reply. A refusal
    ///   is a reply.
    package func ask(_ request: DataplaneRequest) async throws(DataplaneError) -> DataplaneReply {
        let result: Result<DataplaneReply, DataplaneError> = await withCheckedContinuation { continuation in
            queue.async { [connection] in
                continuation.resume(
                    returning: Result { () throws(DataplaneError) in try connection.ask(request) })
            }
        }
        return try result.get()
    }
}

/// One socket; confined to the client's queue.
private final class Connection: @unchecked Sendable {
    private static let largestReply = 16 << 20

    private let path: String
    private let timeout: Int
    private var socket: Int32 = -1

    init(path: String, timeout: Int) {
        self.path = path
        self.timeout = timeout
    }

    deinit { disconnect() }

    func ask(_ request: DataplaneRequest) throws(DataplaneError) -> DataplaneReply {
        do throws(DataplaneError) {
            if socket < 0 { try connect() }
            let encoder = JSONEncoder()
            encoder.outputFormatting = .withoutEscapingSlashes
            guard let line = try? encoder.encode(request) else { throw DataplaneError("the request cannot be written") }
            try send(Array(line) + [UInt8(ascii: "\n")])
            let reply = try receive()
            do {
                return try JSONDecoder().decode(DataplaneReply.self, from: Data(reply))
            } catch { throw DataplaneError("its reply cannot be understood: \(error)") }
        } catch {
            disconnect()
            throw error
        }
    }

    private func connect() throws(DataplaneError) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let capacity = MemoryLayout.size(ofValue: address.sun_path)
        guard path.utf8.count < capacity else { throw DataplaneError("the path \(path) is too long for a Unix socket") }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        socket = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { throw failure("socket") }
        var patience = timeval(tv_sec: timeout, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, size)
        setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, size)
        let length = socklen_t(MemoryLayout<sockaddr_un>.size)
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.connect(socket, $0, length) }
        }
        if result != 0 { throw failure(path) }
    }

    private func send(_ bytes: [UInt8]) throws(DataplaneError) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            if count <= 0 { throw failure("sending") }
            sent += count
        }
    }

    private func receive() throws(DataplaneError) -> [UInt8] {
        var line: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while line.last != UInt8(ascii: "\n") {
            let count = recv(socket, &buffer, buffer.count, 0)
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN { throw DataplaneError("no reply within \(timeout) s") }
            if count < 0 { throw failure("receiving") }
            if count == 0 { throw DataplaneError("it closed the connection") }
            line.append(contentsOf: buffer[..<count])
            if line.count > Self.largestReply { throw DataplaneError("its reply is larger than 16 MiB") }
        }
        return line
    }

    private func disconnect() {
        if socket >= 0 { close(socket) }
        socket = -1
    }

    private func failure(_ what: String) -> DataplaneError {
        DataplaneError("\(what): \(String(cString: strerror(errno)))")
    }
}
