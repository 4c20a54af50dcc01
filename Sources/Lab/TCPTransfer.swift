// A real TCP stream between two namespaces, by the kernel's own sockets with whatever offloads the links have on.
// TCPWitness.swift judges the copies of its segments.

import CShims
import Foundation
import Glibc

/// One TCP connection that carries a number of bytes one way.
public enum TCPTransfer {
    /// Carries the bytes and waits until the receiving side has them all.
    ///
    /// - Parameters:
    ///   - address: IPv4 address of `server`; port 5001.
    ///   - rate: bytes a second at most, written in pieces of 256 KiB.
    /// - Returns: bytes that arrived.
    public static func run(
        from client: Namespace, to server: Namespace, address: String, bytes: Int, rate: Double
    ) throws -> Int {
        try Running(from: client, to: server, address: address, bytes: bytes, rate: rate).wait()
    }

    /// One that goes on beside its caller.
    public final class Running: Sendable {
        private let sending: NamespaceThread<Void>
        private let receiving: NamespaceThread<Int>

        /// Begins, as `run` does.
        public init(
            from client: Namespace, to server: Namespace, address: String, bytes: Int, rate: Double
        ) throws {
            (sending, receiving) = try TCPTransfer.begin(client, server, address, bytes, rate)
        }

        /// Waits for its end.
        ///
        /// - Returns: bytes that arrived.
        public func wait() throws -> Int {
            try sending.wait()
            return try receiving.wait()
        }
    }

    private static func begin(
        _ client: Namespace, _ server: Namespace, _ address: String, _ bytes: Int, _ rate: Double
    ) throws -> (NamespaceThread<Void>, NamespaceThread<Int>) {
        let listening = try server.run {
            try prepared(address) { descriptor, address, length in
                bind(descriptor, address, length) == 0 ? listen(descriptor, 1) : -1
            }
        }
        let receiving = NamespaceThread(in: server) { try receive(on: listening) }
        let sending = NamespaceThread(in: client) {
            let descriptor = try prepared(address) { connect($0, $1, $2) }
            defer { close(descriptor) }
            try send(bytes, rate, on: descriptor)
        }
        return (sending, receiving)
    }

    /// What is sent, again and again.
    public static let piece = [UInt8]((0..<256 * 1024).map { UInt8(truncatingIfNeeded: ($0 &* 2_654_435_761) >> 13) })

    private static func send(_ bytes: Int, _ rate: Double, on descriptor: Int32) throws {
        let began = nowNanoseconds()
        var sent = 0
        while sent < bytes {
            let count = Glibc.send(descriptor, piece, min(piece.count, bytes - sent), Int32(MSG_NOSIGNAL))
            guard count > 0 else { throw LabError(errno: "cannot send on the TCP connection") }
            sent += count
            let ahead = Double(sent) / rate - Double(nowNanoseconds() - began) / 1e9
            if ahead > 0 { usleep(UInt32(ahead * 1e6)) }
        }
    }

    private static func receive(on listening: Int32) throws -> Int {
        defer { close(listening) }
        let descriptor = accept(listening, nil, nil)
        guard descriptor >= 0 else { throw LabError(errno: "cannot accept the TCP connection") }
        defer { close(descriptor) }
        var room = [UInt8](repeating: 0, count: 1 << 20)
        var total = 0
        while true {
            let count = recv(descriptor, &room, room.count, 0)
            guard count > 0 else { return total }
            total += count
        }
    }

    private static func prepared(
        _ address: String, _ attach: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw LabError(errno: "cannot open a TCP socket") }
        var one: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, 4)
        var limit = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var end = sockaddr_in()
        end.sin_family = sa_family_t(AF_INET)
        end.sin_port = in_port_t(5001).bigEndian
        inet_pton(AF_INET, address, &end.sin_addr)
        let result = withUnsafePointer(to: &end) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                attach(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw LabError(errno: "cannot use TCP port 5001 of \(address)") }
        return descriptor
    }
}
