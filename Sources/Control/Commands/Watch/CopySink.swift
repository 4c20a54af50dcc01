// Where the copies of a watch go: a capture file, standard output, or a tcpdump that shows them. Before it: CopyStream.swift.

import Foundation

/// Writes what it takes at the next `flush`.
final class CopySink {
    private let descriptor: Int32
    private let name: String
    private let isNG: Bool
    private var buffer: [UInt8] = []
    private var tcpdump: pid_t?
    private var isClosed = false

    /// - Parameter path: `-` for standard output, nil for tcpdump.
    init(_ path: String?) throws(CommandError) {
        isNG = path?.hasSuffix(".pcapng") ?? false
        name = path ?? "tcpdump"
        switch path {
        case nil: (descriptor, tcpdump) = try Self.startTcpdump()
        case "-": descriptor = STDOUT_FILENO
        case let path?:
            // What somebody else's ports say is for nobody else's eyes.
            descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
            if descriptor < 0 { throw CommandError("cannot write \(path): \(String(cString: strerror(errno)))") }
        }
        if !isNG {
            for (value, count) in [(0xA1B2_3C4D, 4), (2, 2), (4, 2), (0, 8), (262_144, 4), (1, 4)] as [(UInt64, Int)] {
                put(value, count)
            }
        }
        _ = try flush()
    }

    func take(_ block: CopyStream.Block) {
        if isNG {
            buffer += block.bytes
        } else if case .copy(let time, let frame) = block.content {
            put(time / 1_000_000_000, 4)
            put(time % 1_000_000_000, 4)
            put(UInt64(frame.count), 4)
            put(UInt64(frame.count), 4)
            buffer += frame
        }
    }

    /// - Returns: false when nobody reads any more.
    func flush() throws(CommandError) -> Bool {
        var left = buffer[...]
        buffer = []
        while !left.isEmpty, !isClosed {
            let count = left.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 {
                left = left.dropFirst(count)
            } else if errno == EPIPE {
                isClosed = true
            } else if errno != EINTR {
                throw CommandError("cannot write \(name): \(String(cString: strerror(errno)))")
            }
        }
        return !isClosed
    }

    /// Ends the file, and waits until tcpdump has shown everything.
    func close() {
        if descriptor != STDOUT_FILENO { Foundation.close(descriptor) }
        guard let tcpdump else { return }
        var status: Int32 = 0
        while waitpid(tcpdump, &status, 0) < 0, errno == EINTR {}
    }

    private func put(_ value: UInt64, _ count: Int) {
        for byte in 0..<count { buffer.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * byte))) }
    }

    /// In a process group of its own: a terminal's Ctrl-C is for us, and it ends with its input.
    private static func startTcpdump() throws(CommandError) -> (Int32, pid_t) {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        let directories = path.split(separator: ":").map(String.init) + ["/usr/bin", "/usr/sbin", "/sbin"]
        guard let tcpdump = directories.map({ $0 + "/tcpdump" }).first(where: { access($0, X_OK) == 0 }) else {
            throw CommandError(
                "there is no tcpdump to show the copies",
                remedy: "apt-get install tcpdump, or write a file with -w FILE")
        }
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else {
            throw CommandError("cannot make a pipe: \(String(cString: strerror(errno)))")
        }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var files = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&files)
        defer { posix_spawn_file_actions_destroy(&files) }
        posix_spawn_file_actions_adddup2(&files, ends[0], STDIN_FILENO)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var all = sigset_t()
        sigfillset(&all)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF))
        let arguments = [tcpdump, "-n", "-l", "-r", "-"]
        var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { argv.forEach { free($0) } }
        var pid: pid_t = 0
        let result = posix_spawn(&pid, tcpdump, &files, &attributes, &argv, environ)
        Foundation.close(ends[0])
        if result != 0 { throw CommandError("cannot start \(tcpdump): \(String(cString: strerror(result)))") }
        return (ends[1], pid)
    }
}
