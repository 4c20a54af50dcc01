// `heliostat serve` in this process: its configuration, and one request over a real socket.

import ControlCommands
import ControlModel
import Foundation
import MirrorProgram
import Testing

@Suite(.serialized) struct ServeTests {
    private func configuration(_ text: String) throws -> ServeConfiguration {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/heliostat.json"
        try Data(text.utf8).write(to: URL(filePath: path))
        var configuration = ServeConfiguration()
        try configuration.read(file: path)
        try configuration.validate()
        return configuration
    }

    @Test func readsAFile() throws {
        let read = try configuration(
            #"{"state_dir": "/var/lib/x", "listen": "[::1]:80", "host": "h", "tunnel_addresses": ["192.0.2.1"], "dataplane": "none"}"#
        )
        #expect(read.stateDirectory == "/var/lib/x")
        #expect(read.listenText == "[::1]:80")
        #expect(read.tunnelAddresses == ["192.0.2.1"])
        #expect(!read.startsDataplane)
    }

    @Test(arguments: [
        (#"{"state_dri": "/x"}"#, "unknown key 'state_dri'"), (#"{"listen": 80}"#, "'listen' in "),
        ("[1]", "is not a JSON object"), (#"{"listen": "80"}"#, "'80' is not an address"),
        (#"{"tunnel_addresses": ["127.0.0.1"]}"#, "loopback"),
        (#"{"tunnel_addresses": [1]}"#, "must be a list of strings"),
        (#"{"host": ""}"#, "needs a name"), (#"{"listen": "localhost:99999"}"#, "is not an address"),
    ])
    func refusesAFile(_ text: String, _ reason: String) {
        let error = #expect(throws: ServeError.self) { try configuration(text) }
        #expect(error?.description.contains(reason) == true)
    }

    @Test func readsUplinks() throws {
        let read = try configuration(
            #"{"uplinks": ["eth1", "eth2,dedicated,fuse,kind=af_xdp,frames=500000,bits=1000000000"]}"#)
        #expect(
            read.uplinks == [
                .init(interface: "eth1"),
                .init(
                    interface: "eth2", kind: .afXDP, dedicated: true,
                    limit: .init(bitsPerSecond: 1_000_000_000, framesPerSecond: 500_000),
                    fuse: .init()),
            ])
    }

    @Test(arguments: [
        ("eth1,fast", "'fast' is no rule; write dedicated, fuse, kind=K, frames=N or bits=N"),
        ("eth1,kind=tcp", "'tcp' is no kind; known: auto, af_xdp, device, udp, live"),
        ("eth1,frames=1k", "'1k' is not a number"), ("eth1,frames=0", "is not within 1 to 10^12"),
        ("eth1,dedicated,dedicated", "'dedicated' is there twice"), ("", "is not an interface name"),
    ])
    func refusesAnUplink(_ text: String, _ reason: String) {
        let error = #expect(throws: ServeError.self) { try configuration(#"{"uplinks": ["\#(text)"]}"#) }
        #expect(error?.description.contains(reason) == true, "\(String(describing: error))")
    }

    @Test(.timeLimit(.minutes(1))) func servesAndStops() async throws {
        let directory = try TemporaryDirectory()
        let settings = settings(directory)
        let process = ServeProcess(settings)
        let serving = Task { try await process.run() }
        let socket = directory.path + "/api.sock"
        var answer = ""
        while !answer.contains("200 OK") {
            answer = request(
                "GET /v2.0/heliostat/hosts HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", socket)
            try await Task.sleep(for: .milliseconds(20))
        }
        #expect(answer.contains(#""heliostat": true"#))
        #expect(try FileManager.default.attributesOfItem(atPath: socket)[.posixPermissions] as? Int == 0o660)
        #expect(
            try FileManager.default.attributesOfItem(atPath: directory.path + "/token")[.posixPermissions] as? Int
                == 0o600)
        let broken = request(
            "POST /v2.0/ports HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", socket)
        #expect(broken.hasPrefix("HTTP/1.1 400 "))
        let ambiguous = request(
            "GET /v2.0/ports HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nConnection: close\r\n\r\n", socket)
        #expect(ambiguous.hasPrefix("HTTP/1.1 400 ") && ambiguous.contains("more than one Host field"))
        #expect(!broken.contains("HTTP/1.1 500 "))
        let second = await #expect(throws: ServeError.self) { try await ServeProcess(settings).run() }
        #expect(second?.description == "another heliostat serve (pid \(getpid())) runs on \(directory.path)")
        serving.cancel()
        try? await serving.value
    }

    @Test(arguments: ["directory", "link"]) func refusesAPlaceThatIsNoSocket(_ kind: String) async throws {
        let directory = try TemporaryDirectory()
        let socket = directory.path + "/api.sock"
        if kind == "link" { symlink("/nowhere", socket) } else { mkdir(socket, 0o700) }
        let error = await #expect(throws: ServeError.self) { try await ServeProcess(settings(directory)).run() }
        #expect(
            error?.description == "\(socket) is not a socket, so the API cannot listen there; remove it")
    }

    @Test func refusesAUserThatThereIsNot() async throws {
        let directory = try TemporaryDirectory()
        var settings = settings(directory)
        settings.user = "no such user"
        let error = await #expect(throws: ServeError.self) { try await ServeProcess(settings).run() }
        #expect(
            error?.description
                == "there is no user 'no such user'; name another with --user, or 'user' in the configuration")
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).isEmpty)
    }

    private func settings(_ directory: TemporaryDirectory) -> ServeConfiguration {
        var settings = ServeConfiguration()
        settings.stateDirectory = directory.path
        settings.listenText = "none"
        settings.setDataplane("none")
        settings.user = "root"
        return settings
    }

    /// Sends text to a Unix socket and gives what comes until the end or a pause.
    private func request(_ text: String, _ path: String) -> String {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var patience = timeval(tv_sec: 5, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        if connected != 0 { return "" }
        _ = send(descriptor, text, text.utf8.count, Int32(MSG_NOSIGNAL))
        var answer: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count <= 0 { break }
            answer.append(contentsOf: buffer[..<count])
        }
        return String(decoding: answer, as: UTF8.self)
    }
}
