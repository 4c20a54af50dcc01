// A process of the lab: tools such as ip(8), the real heliostat executables, traffic tools.
// Its output goes into files in memory, which can be read at any time and never fill up a pipe.

import CShims
public import Foundation
import Glibc
import Synchronization

/// A child process, in a process group of its own, with its output captured.
public final class ChildProcess: Sendable {
    public let pid: Int32
    /// The command as a person would type it.
    public let command: String
    private let output: Int32
    private let errors: Int32
    private let end: End
    private let undo: Int

    /// Starts a process.
    ///
    /// - Parameters:
    ///   - arguments: the program, a full path or one found in PATH, and its arguments.
    ///   - environment: added to this process's own.
    ///   - input: what the process reads on its standard input; nothing by default.
    /// - Throws: `LabError` when it cannot be started.
    public init(_ arguments: [String], environment: [String: String] = [:], input: String = "") throws(LabError) {
        guard let path = arguments[0].contains("/") ? arguments[0] : Requirements.path(of: arguments[0]) else {
            throw LabError("the command '\(arguments[0])' is not installed")
        }
        command = arguments.joined(separator: " ")
        output = lab_memory_file("stdout")
        errors = lab_memory_file("stderr")
        let source = lab_memory_file("stdin")
        defer { close(source) }
        _ = input.withCString { write(source, $0, strlen($0)) }
        lseek(source, 0, SEEK_SET)

        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (from, to) in [(source, 0), (output, 1), (errors, 2)] as [(Int32, Int32)] {
            posix_spawn_file_actions_adddup2(&actions, from, to)
        }
        var attributes = Self.attributes()
        defer { posix_spawnattr_destroy(&attributes) }
        let merged = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        let argv = arguments.map { strdup($0) } + [nil]
        let envp = merged.map { strdup("\($0)=\($1)") } + [nil]
        defer { (argv + envp).forEach { free($0) } }
        let end = End()
        let words = arguments
        (pid, undo) = try Teardown.register { () throws(LabError) in
            var pid: pid_t = 0
            let result = posix_spawn(&pid, path, &actions, &attributes, argv, envp)
            guard result == 0 else {
                throw LabError("cannot start '\(words[0])': \(String(cString: strerror(result)))")
            }
            let child = pid
            return (
                child,
                {
                    end.kill(child, SIGKILL)
                    poll(seconds: 5) { end.status(child) != nil }
                }
            )
        }
        self.end = end
    }

    deinit {
        close(output)
        close(errors)
    }

    /// A group of its own (Ctrl-C goes to the lab alone, which ends its children in order), and signals as after login.
    private static func attributes() -> posix_spawnattr_t {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        for number in [SIGINT, SIGTERM, SIGHUP, SIGPIPE] { sigaddset(&signals, number) }
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setpgroup(&attributes, 0)
        let flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK
        posix_spawnattr_setflags(&attributes, Int16(flags))
        return attributes
    }

    /// Standard output so far.
    public var standardOutput: String { Self.text(output) }
    /// Standard error so far.
    public var standardError: String { Self.text(errors) }

    private static func text(_ file: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: Int(lseek(file, 0, SEEK_CUR)))
        let count = pread(file, &bytes, bytes.count, 0)
        return String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self)
    }

    /// Sends a signal, unless the process has ended.
    public func kill(_ number: Int32 = SIGKILL) { end.kill(pid, number) }

    /// Exit status, or 128 + signal number, or nil while it runs.
    public var exitStatus: Int32? {
        let status = end.status(pid)
        if status != nil { Teardown.forget(undo) }
        return status
    }

    /// Waits for the end of the process.
    ///
    /// - Returns: as `exitStatus`; nil when it still runs at the deadline.
    @discardableResult
    public func wait(seconds: Double) -> Int32? {
        poll(seconds: seconds, every: 0.001) { exitStatus != nil }
        return exitStatus
    }

    /// Asks the process to end (SIGTERM), and ends it when it has not done so in time.
    ///
    /// - Returns: whether it ended by itself.
    @discardableResult
    public func terminate(seconds: Double = 5) -> Bool {
        kill(SIGTERM)
        if wait(seconds: seconds) != nil { return true }
        kill(SIGKILL)
        wait(seconds: 5)
        return false
    }

    /// Runs a command to its end.
    ///
    /// - Returns: its standard output.
    /// - Throws: `LabError` with its standard error when it fails or takes longer than `seconds`.
    @discardableResult
    public static func run(
        _ arguments: [String], environment: [String: String] = [:], input: String = "", seconds: Double = 30
    ) throws(LabError) -> String {
        let child = try ChildProcess(arguments, environment: environment, input: input)
        guard let status = child.wait(seconds: seconds) else {
            child.kill()
            child.wait(seconds: 5)
            throw LabError("'\(child.command)' did not end within \(seconds) s")
        }
        guard status == 0 else {
            let said = (child.standardError + child.standardOutput).trimmingCharacters(in: .whitespacesAndNewlines)
            let asked = input.isEmpty ? "" : " on\n\(input)"
            throw LabError("'\(child.command)' failed with status \(status): \(said)\(asked)")
        }
        return child.standardOutput
    }
}

/// The end of a child, asked for by whoever comes first: its pid is its own until somebody has waited for it.
private final class End: Sendable {
    private let known = Mutex<Int32?>(nil)

    func kill(_ pid: pid_t, _ number: Int32) {
        known.withLock { if $0 == nil { Glibc.kill(pid, number) } }
    }

    func status(_ pid: pid_t) -> Int32? {
        known.withLock { status in
            if status != nil { return status }
            var raw: Int32 = 0
            guard waitpid(pid, &raw, WNOHANG) == pid else { return nil }
            status = raw & 0x7F == 0 ? raw >> 8 & 0xFF : 128 + raw & 0x7F
            return status
        }
    }
}
