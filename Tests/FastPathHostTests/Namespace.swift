// A network namespace of a test's own: a thread that unshares, runs one body, and takes the namespace with it when it
// ends, whatever happened in it.

import CShims
import Foundation
import Glibc

/// Whether this process may make namespaces; tests that need the kernel say so when they are skipped.
let isRoot = geteuid() == 0
let needsRoot = "needs root, to make network namespaces and load BPF programs"

/// Runs `body` on a thread in a new network namespace with `lo` up.
func inNamespace(_ body: @escaping @Sendable () throws -> Void) throws {
    final class Outcome: @unchecked Sendable { var error: (any Error)? }
    let outcome = Outcome()
    let done = DispatchSemaphore(value: 0)
    Thread {
        do {
            guard unshare(0x4000_0000) == 0 else { throw CommandFailure(text: "cannot make a network namespace") }
            try ip("link set lo up")
            try body()
        } catch {
            outcome.error = error
        }
        done.signal()
    }.start()
    done.wait()
    if let error = outcome.error { throw error }
}

struct CommandFailure: Error {
    let text: String
}

/// Runs ip(8) in the namespace of the calling thread.
func ip(_ arguments: String) throws { try command("ip " + arguments) }

/// Runs a program in the namespace of the calling thread; its words are separated by spaces.
func command(_ line: String) throws {
    var words = line.split(separator: " ").map { strdup(String($0)) } + [nil]
    defer { for word in words { free(word) } }
    var child: pid_t = 0
    var status: Int32 = 0
    guard posix_spawnp(&child, words[0]!, nil, nil, &words, environ) == 0, waitpid(child, &status, 0) == child,
        status == 0
    else { throw CommandFailure(text: line) }
}

/// Asks again and again until the answer is yes.
func eventually(_ limit: Duration = .seconds(5), _ condition: () throws -> Bool) rethrows -> Bool {
    let deadline = ContinuousClock.now.advanced(by: limit)
    while ContinuousClock.now < deadline {
        if try condition() { return true }
        usleep(5000)
    }
    return false
}

/// A directory that is gone after the body.
@discardableResult
func withTemporaryDirectory<Result>(_ body: (String) throws -> Result) throws -> Result {
    let path = NSTemporaryDirectory() + "hs-host-" + UUID().uuidString.prefix(8)
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(path)
}
