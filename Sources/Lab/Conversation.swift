// Two hosts that really talk: questions and answers over ordinary UDP sockets of the kernel, while frames are counted.
// Used by the demo beside FrameSender.swift.

import CShims
import Foundation
import Glibc
import Synchronization

/// A host that asks another one over UDP and waits for each answer.
public final class Conversation: Sendable {
    private let asked = Atomic<Int>(0)
    private let answered = Atomic<Int>(0)
    private let stopping = Atomic<Bool>(false)
    private let threads = Mutex<[NamespaceThread<Void>]>([])

    /// Starts the conversation.
    ///
    /// - Parameters:
    ///   - address: IPv4 address of the server's namespace.
    ///   - rate: questions a second, at most.
    public init(from client: Namespace, to server: Namespace, address: String, rate: Double) throws {
        let listening = try server.run { try Self.udpSocket(address, { Glibc.bind($0, $1, $2) }) }
        let asking = try client.run { try Self.udpSocket(address, { Glibc.connect($0, $1, $2) }) }
        let answers = NamespaceThread(in: server) { [self] in answer(listening) }
        let questions = NamespaceThread(in: client) { [self] in ask(asking, rate) }
        threads.withLock { $0 = [questions, answers] }
    }

    /// Questions asked and answers received so far.
    public var count: (asked: Int, answered: Int) {
        (asked.load(ordering: .relaxed), answered.load(ordering: .relaxed))
    }

    /// Ends the conversation.
    @discardableResult
    public func stop() throws -> (asked: Int, answered: Int) {
        stopping.store(true, ordering: .relaxed)
        for thread in threads.withLock({ $0 }) { try thread.wait() }
        return count
    }

    private func answer(_ socket: Int32) {
        defer { close(socket) }
        var room = [UInt8](repeating: 0, count: 2048)
        while !stopping.load(ordering: .relaxed) {
            var peer = sockaddr_storage()
            withUnsafeMutablePointer(to: &peer) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { peer in
                    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
                    let count = recvfrom(socket, &room, room.count, 0, peer, &length)
                    if count > 0 { sendto(socket, room, count, 0, peer, length) }
                }
            }
        }
    }

    private func ask(_ socket: Int32, _ rate: Double) {
        defer { close(socket) }
        var room = [UInt8](repeating: 0, count: 2048)
        while !stopping.load(ordering: .relaxed) {
            let number = asked.wrappingAdd(1, ordering: .relaxed).newValue
            let question = Array("question \(number)".utf8)
            send(socket, question, question.count, 0)
            let count = recv(socket, &room, room.count, 0)
            if count > 0, room.prefix(count).elementsEqual(question) { answered.wrappingAdd(1, ordering: .relaxed) }
            usleep(UInt32(1e6 / rate))
        }
    }

    private static func udpSocket(
        _ address: String, _ attach: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw LabError(errno: "cannot open a UDP socket") }
        var limit = timeval(tv_sec: 0, tv_usec: 500_000)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var end = sockaddr_in()
        end.sin_family = sa_family_t(AF_INET)
        end.sin_port = in_port_t(7).bigEndian
        inet_pton(AF_INET, address, &end.sin_addr)
        let result = withUnsafePointer(to: &end) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                attach(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw LabError(errno: "cannot use UDP port 7 of \(address)") }
        return descriptor
    }
}
