// A dataplane that only answers: what the control process sees of one, on a real Unix socket.

import Foundation
import MirrorProgram
import Synchronization

final class FakeDataplane: Sendable {
    struct State {
        var program: MirrorProgram?
        var applied = 0
        /// Answer to every `apply`, if set.
        var refusal: String?
        /// Refuses what has this tap.
        var refusedTap: String?
        /// Interfaces that are not there.
        var missing: Set<String> = []
        var epoch = "epoch-1"
        var isStopped = false
    }

    private let state = Mutex(State())

    var program: MirrorProgram? { state.withLock { $0.program } }
    var applied: Int { state.withLock { $0.applied } }

    func change(_ body: (inout State) -> Void) { state.withLock { body(&$0) } }

    private let listener: Int32

    init(path: String) {
        unlink(path)
        listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        _ = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        listen(listener, 8)
        let descriptor = listener
        Thread.detachNewThread { [weak self] in
            while true {
                let client = accept(descriptor, nil, nil)
                if client < 0 { return }
                let fake = self
                Thread.detachNewThread { FakeDataplane.serve(client) { [weak fake] in fake?.answer($0) } }
            }
        }
    }

    deinit { stop() }

    /// Ends it as a kill would: no connection is accepted, and those that are open end at their next request.
    func stop() {
        change { $0.isStopped = true }
        shutdown(listener, Int32(SHUT_RDWR))
    }

    private static func serve(_ client: Int32, _ answer: (DataplaneRequest) -> DataplaneReply?) {
        defer { close(client) }
        var pending = Data()
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            while let end = pending.firstIndex(of: 0x0A) {
                guard let request = try? JSONDecoder().decode(DataplaneRequest.self, from: pending[..<end]),
                    let reply = answer(request), var line = try? JSONEncoder().encode(reply)
                else { return }
                pending = Data(pending[(end + 1)...])
                line.append(0x0A)
                _ = line.withUnsafeBytes { send(client, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            }
            let count = recv(client, &buffer, buffer.count, 0)
            if count <= 0 { return }
            pending.append(contentsOf: buffer[..<count])
        }
    }

    private func answer(_ request: DataplaneRequest) -> DataplaneReply? {
        state.withLock { state in
            if state.isStopped { return nil }
            switch request {
            case .apply(let program):
                if let refusal = state.refusal { return DataplaneReply(error: refusal) }
                if program.taps.contains(where: { $0.id == state.refusedTap }) {
                    return DataplaneReply(error: "not this tap")
                }
                do throws(ProgramError) {
                    try program.validate()
                } catch { return DataplaneReply(error: error.description) }
                state.program = program
                state.applied += 1
                return DataplaneReply(status: Self.status(state))
            case .status: return DataplaneReply(status: Self.status(state))
            case .watch: return DataplaneReply(error: "nobody looks on here")
            case .stats:
                let taps = (state.program?.taps ?? []).map {
                    TapStatistics(id: $0.id, frames: 1, bytes: 64, truncated: 0, drops: [:])
                }
                return DataplaneReply(
                    stats: DataplaneStatistics(
                        epoch: state.epoch, time: 0, taps: taps, destinations: [], strays: [:],
                        umem: UMEMStatistics(chunks: 0, free: 0, fill: 0, receive: 0, transmit: 0)))
            }
        }
    }

    private static func status(_ state: State) -> DataplaneStatus {
        guard let program = state.program else {
            return DataplaneStatus(version: "fake", pid: 1, epoch: state.epoch, generation: nil)
        }
        let down = Set(program.ports.filter { state.missing.contains($0.interface) }.map(\.id))
        return DataplaneStatus(
            version: "fake", pid: 1, epoch: state.epoch, generation: program.generation,
            ports: program.ports.map {
                PortStatus(
                    id: $0.id, interface: $0.interface, state: down.contains($0.id) ? .down : .capturing,
                    capture: $0.capture)
            },
            destinations: program.destinations.map { DestinationStatus(id: $0.id, state: .ready) },
            taps: program.taps.map {
                down.contains($0.port)
                    ? TapStatus(id: $0.id, state: .down, reason: "its interface is missing")
                    : TapStatus(id: $0.id, state: .active)
            })
    }
}
