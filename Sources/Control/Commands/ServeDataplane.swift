// Starting the dataplane's supervisor where none runs: in a session of its own, so that it outlives the control
// process.
// Before: ServeCommand, as root. After: heliostat-dataplane --supervise.

import Dispatch
import Foundation
import Logging

/// The dataplane beside this control process.
package struct ServeDataplane: Sendable {
    let directory: ServeStateDirectory

    package init(directory: ServeStateDirectory) { self.directory = directory }

    /// Whether a dataplane holds its lock; an answering socket would prove less. Nil where we may not look.
    package var isRunning: Bool? { Self.isHeld(directory.dataplaneLock) }

    /// Whether a supervisor is there to start a dataplane again that dies. Nil where we may not look.
    package var isSupervised: Bool? { Self.isHeld(directory.supervisorLock) }

    private static func isHeld(_ lock: String) -> Bool? {
        let file = open(lock, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        if file < 0 { return errno == ENOENT ? false : nil }
        defer { close(file) }
        if flock(file, LOCK_SH | LOCK_NB) != 0 { return true }
        return false
    }

    /// Path of the executable: as configured, beside this one, or in PATH.
    static func executable(_ configured: String?) throws(ServeError) -> String {
        if let configured {
            if access(configured, X_OK) == 0 { return configured }
            throw ServeError("the dataplane \(configured) cannot be executed: \(String(cString: strerror(errno)))")
        }
        let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        let beside = (own as NSString).deletingLastPathComponent
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        for directory in [beside] + path.split(separator: ":").map(String.init) {
            let candidate = directory + "/heliostat-dataplane"
            if access(candidate, X_OK) == 0 { return candidate }
        }
        throw ServeError("heliostat-dataplane is neither beside \(own) nor in PATH; name it with --dataplane")
    }

    /// Starts its supervisor: no controlling terminal, none of our descriptors, its output appended to its log.
    ///
    /// - Throws: `ServeError`.
    func start(_ executable: String, logger: Logger) throws(ServeError) {
        Self.closeDescriptorsOnExecution()
        var files = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&files)
        defer { posix_spawn_file_actions_destroy(&files) }
        posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(
            &files, 1, directory.dataplaneLog, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0o640)
        posix_spawn_file_actions_adddup2(&files, 1, 2)

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | Self.setSessionID))

        let arguments = [executable, "--supervise", "--state-dir", directory.dataplane]
        var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { argv.forEach { free($0) } }
        var pid: pid_t = 0
        let result = posix_spawn(&pid, executable, &files, &attributes, &argv, environ)
        if result != 0 { throw ServeError("cannot start \(executable): \(String(cString: strerror(result)))") }
        logger.info(
            "started the supervisor, \(executable)", metadata: ["pid": "\(pid)", "log": "\(directory.dataplaneLog)"])
        watch(pid, logger)
    }

    /// Ours and those that were inherited: the dataplane is to keep none of them open.
    private static func closeDescriptorsOnExecution() {
        for name in (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? [] {
            if let descriptor = Int32(name), descriptor > 2 { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        }
    }

    /// Says when it ends while we live, and leaves no zombie.
    private func watch(_ pid: pid_t, _ logger: Logger) {
        let log = directory.dataplaneLog
        Thread.detachNewThread {
            var status: Int32 = 0
            while waitpid(pid, &status, 0) < 0, errno == EINTR {}
            let how = status & 0x7F == 0 ? "exit status \(status >> 8 & 0xFF)" : "signal \(status & 0x7F)"
            logger.error("the dataplane's supervisor (pid \(pid)) ended with \(how); its log is \(log)")
        }
    }

    /// `POSIX_SPAWN_SETSID` of glibc's spawn.h, which is hidden behind _GNU_SOURCE.
    private static let setSessionID: Int32 = 0x80
}
