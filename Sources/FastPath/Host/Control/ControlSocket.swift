// The Unix socket that the control process and the operator's commands speak to: newline-delimited JSON, several
// clients at once, one reply a line. Before it: EventLoop. After it: whoever answers, Dataplane.swift.

import CShims
import Glibc

/// What one line is answered with.
package enum ControlAnswer {
    /// Without newline.
    case reply([UInt8])
    /// A reply, and what follows it on the connection, which is not read any more.
    case stream([UInt8], WatchStream)
}

/// A listening socket and its clients.
package final class ControlSocket {
    /// Longest line; a program of a thousand taps is a fiftieth of that.
    package static let longestLine = 16 << 20
    private static let mostClients = 64

    private let loop: EventLoop
    private let path: String
    private let listener: Descriptor
    private let answer: (_ line: ArraySlice<UInt8>) -> ControlAnswer
    private var clients: [Int32: ControlClient] = [:]
    /// Streams are looked at this often: what comes meanwhile has to fit into a watch's ring.
    private static let streamInterval = Duration.milliseconds(2)
    private var streaming: EventLoop.Timer?

    /// - Parameters:
    ///   - path: taken over from a run before; the state directory's lock says that nobody else listens there.
    ///   - answer: for one line.
    package init(
        _ loop: EventLoop, path: String, answer: @escaping (_ line: ArraySlice<UInt8>) -> ControlAnswer
    ) throws(HostError) {
        self.loop = loop
        self.path = path
        self.answer = answer
        let listener = try Descriptor("cannot make the control socket") {
            let flags = SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue
            return socket(AF_UNIX, Int32(flags), 0)
        }
        self.listener = listener
        unlink(path)
        let old = umask(0o117)  // 0660 from its first moment
        defer { umask(old) }
        try Self.bind(listener, path)
        StateDirectory.giveToGroup(path)
        try check("cannot listen on \(path)") { listen(listener.raw, 64) }
        try loop.watch(listener.raw) { [unowned self] _ in accept() }
        streaming = loop.timer { [weak self] in self?.serveStreams() }
    }

    package func close() {
        for client in clients.values { loop.unwatch(client.descriptor.raw) }
        clients = [:]
        loop.unwatch(listener.raw)
        unlink(path)
    }

    private static func bind(_ listener: Descriptor, _ path: String) throws(HostError) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let room = MemoryLayout.size(ofValue: address.sun_path)
        if path.utf8.count >= room {
            throw HostError(
                "the path \(path) is too long for a Unix socket (\(room - 1) bytes); use a shorter state directory")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        try check("cannot bind the control socket \(path)") {
            withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    Glibc.bind(listener.raw, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
        }
    }

    private func accept() {
        while true {
            let raw = accept4(listener.raw, nil, nil, Int32(SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue))
            if raw < 0 { return }
            let client = ControlClient(Descriptor(raw))
            let group = getgrnam("heliostat")?.pointee.gr_gid
            let peer = try? PeerCredentials(client.descriptor)
            guard clients.count < Self.mostClients, peer?.maySpeak(ownUser: geteuid(), group: group) ?? false else {
                continue
            }
            clients[raw] = client
            follow(client)
        }
    }

    /// Watches a client for what it has to do next; a client that watching fails for is let go.
    private func follow(_ client: ControlClient) {
        let raw = client.descriptor.raw
        do throws(HostError) {
            try loop.watch(raw, writable: client.hasOutput) { [unowned self] _ in serve(client) }
        } catch {
            drop(client)
        }
    }

    private func drop(_ client: ControlClient) {
        loop.unwatch(client.descriptor.raw)
        clients[client.descriptor.raw] = nil
    }

    /// Reads, answers, writes. A client that does not read its replies is not read either.
    private func serve(_ client: ControlClient) {
        let hadOutput = client.hasOutput
        client.send()
        if !client.hasOutput || client.stream != nil { client.receive() }
        while client.stream == nil, !client.hasOutput, let line = client.nextLine() {
            switch answer(line) {
            case .reply(let reply): client.queue(reply)
            case .stream(let reply, let stream):
                client.queue(reply)
                client.stream = stream
                streaming?.schedule(in: Self.streamInterval)
            }
            client.send()
        }
        if let stream = client.stream { serve(stream, client) }
        if client.isOver {
            drop(client)
        } else if client.hasOutput != hadOutput {
            follow(client)
        }
    }

    /// Copies to one that watches; one that has said its last gets the end of its stream.
    private func serve(_ stream: WatchStream, _ client: ControlClient) {
        if client.hasEnded || stream.isOver {
            client.append(stream.finish(queued: client.queued))
            client.finish()
        } else {
            client.append(stream.next(queued: client.queued))
        }
        client.send()
    }

    private func serveStreams() {
        for client in clients.values where client.stream != nil { serve(client) }
        if clients.values.contains(where: { $0.stream != nil }) { streaming?.schedule(in: Self.streamInterval) }
    }
}
