// One question and one answer, a line each, over a Unix socket: how DataplaneProcess.swift talks to the dataplane.

import CShims
import Glibc

/// Asks a newline-delimited service.
///
/// - Parameters:
///   - line: without its newline.
///   - path: of the socket, less than 108 bytes.
///   - seconds: how long to wait for the answer.
/// - Returns: the answer without its newline.
/// - Throws: `LabError` when nobody listens, or no whole line comes in time.
public func ask(_ line: String, at path: String, seconds: Double) throws(LabError) -> String {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw LabError(errno: "cannot open a socket") }
    defer { close(descriptor) }
    var limit = timeval(tv_sec: Int(seconds), tv_usec: Int(seconds.truncatingRemainder(dividingBy: 1) * 1e6))
    for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
        setsockopt(descriptor, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
    }
    try connect(descriptor, to: path)
    let question = line + "\n"
    guard Glibc.send(descriptor, question, question.utf8.count, Int32(MSG_NOSIGNAL)) == question.utf8.count
    else { throw LabError(errno: "cannot write to '\(path)'") }
    var answer: [UInt8] = []
    var room = [UInt8](repeating: 0, count: 65_536)
    while answer.last != 0x0A {
        let count = recv(descriptor, &room, room.count, 0)
        guard count > 0 else {
            throw count == 0
                ? LabError("'\(path)' hung up before its answer was whole")
                : LabError(errno: "no answer from '\(path)'")
        }
        answer += room.prefix(count)
    }
    return String(decoding: answer.dropLast(), as: UTF8.self)
}

private func connect(_ descriptor: Int32, to path: String) throws(LabError) {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    guard path.utf8.count < MemoryLayout.size(ofValue: address.sun_path) else {
        throw LabError("the path '\(path)' is too long for a Unix socket")
    }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let result = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
    guard result == 0 else { throw LabError(errno: "cannot reach '\(path)'") }
}
