// The control socket with real clients: lines, slow readers, endless lines, who may speak.

import CShims
import FastPathHost
import Foundation
import Glibc
import Testing

@Suite struct ControlSocketTests {
    /// A connected, nonblocking client.
    static func connect(_ path: String) -> Int32 {
        let raw = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(raw, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        #expect(result == 0)
        return raw
    }

    static func receive(_ raw: Int32) -> String {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let count = read(raw, &buffer, buffer.count)
        return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
    }

    static func turn(_ loop: EventLoop, _ times: Int = 10) throws {
        for _ in 0..<times { try loop.turn(atMost: .milliseconds(2)) }
    }

    static func withSocket(_ body: (EventLoop, String) throws -> Void) throws {
        try withTemporaryDirectory { path in
            let loop = try EventLoop()
            let control = try ControlSocket(loop, path: path + "/s") { line in
                .reply(
                    line.elementsEqual("big".utf8)
                        ? [UInt8](repeating: 120, count: 4 << 20) : Array("<".utf8) + line + Array(">".utf8))
            }
            defer { control.close() }
            var status = stat()
            #expect(stat(path + "/s", &status) == 0 && status.st_mode & 0o777 == 0o660)
            try body(loop, path + "/s")
        }
    }

    @Test func answersEveryLineOfEveryClient() throws {
        try Self.withSocket { loop, path in
            let a = Self.connect(path), b = Self.connect(path)
            defer { close(a); close(b) }
            _ = write(a, "one\ntw", 6)
            _ = write(b, "x\n", 2)
            try Self.turn(loop)
            #expect(Self.receive(a) == "<one>\n" && Self.receive(b) == "<x>\n")
            _ = write(a, "o\nthree\n", 8)
            try Self.turn(loop)
            #expect(Self.receive(a) == "<two>\n<three>\n")
        }
    }

    @Test func aSlowReaderHoldsNobodyUp() throws {
        try Self.withSocket { loop, path in
            let slow = Self.connect(path), quick = Self.connect(path)
            defer { close(slow); close(quick) }
            _ = write(slow, "big\nbig\nafter\n", 14)
            try Self.turn(loop)
            _ = write(quick, "q\n", 2)
            try Self.turn(loop)
            #expect(Self.receive(quick) == "<q>\n")
            var got = ""
            for _ in 0..<20000 where !got.hasSuffix("<after>\n") {
                got = String(got.suffix(16)) + Self.receive(slow)
                try loop.turn(atMost: .zero)
            }
            #expect(got.hasSuffix("<after>\n"))
        }
    }

    @Test func aLineWithoutEndIsRefused() throws {
        try Self.withSocket { loop, path in
            let client = Self.connect(path)
            defer { close(client) }
            let block = [UInt8](repeating: 97, count: 1 << 20)
            var sent = 0
            for _ in 0..<2000 where sent < ControlSocket.longestLine + (1 << 20) {
                let count = send(client, block, block.count, Int32(MSG_NOSIGNAL))
                if count > 0 { sent += count }
                if count < 0 && errno != EAGAIN { break }
                try loop.turn(atMost: .zero)
            }
            try Self.turn(loop)
            #expect(Self.receive(client).contains("longer than"))
        }
    }

    @Test func onlyThoseWhoMaySpeak() {
        let other = PeerCredentials(user: 1000, groups: [1000, 77])
        #expect(!other.maySpeak(ownUser: 0, group: nil))
        #expect(!other.maySpeak(ownUser: 0, group: 78))
        #expect(other.maySpeak(ownUser: 0, group: 77))
        #expect(other.maySpeak(ownUser: 1000, group: nil))
        #expect(PeerCredentials(user: 0, groups: [0]).maySpeak(ownUser: 5, group: nil))
    }
}
