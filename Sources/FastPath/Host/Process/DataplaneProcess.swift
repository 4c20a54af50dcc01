// The process from its first to its last moment: checks, lock, kernel, last program, control socket, loop, and
// everything out of the kernel again. Before it: the command line. After it: the supervisor or systemd.

import CShims
import FoundationEssentials
import Glibc
package import Logging
package import MirrorProgram

/// `heliostat-dataplane run`.
package struct DataplaneProcess {
    package var stateDirectory: String
    /// Runs this file instead of the last program.
    package var programFile: String?
    /// Stand by until nobody has the state directory's lock, instead of refusing.
    package var waits: Bool

    package init(stateDirectory: String, programFile: String?, waits: Bool) {
        self.stateDirectory = stateDirectory
        self.programFile = programFile
        self.waits = waits
    }

    /// Runs until SIGTERM or SIGINT.
    package func run(_ logger: Logger) throws(HostError) {
        Priority.set(Priority.start)
        try CPUFeatures.check()
        let capabilities = try Capabilities()
        try capabilities.check()
        let program = try programFile.map { file throws(HostError) in try Self.read(file) }
        // One that stands by does the longest part of starting before it waits.
        let capture = waits ? try CaptureProgram.best() : nil
        let directory = try StateDirectory(stateDirectory, waiting: waits)
        signal(SIGPIPE, SIG_IGN)
        let signals = try SignalDescriptor([SIGTERM, SIGINT])
        let loop = try EventLoop()
        let dataplane = try Dataplane(
            loop, logger: logger, capture: capture, hookKind: try Self.hookKind(),
            first: program ?? Self.last(directory, logger))
        Priority.set(Priority.normal)
        logger.notice("heliostat-dataplane \(dataplaneVersion) on \(directory.path), epoch \(dataplane.epoch)")
        if !dataplane.capture.readsKernelFields {
            logger.notice(
                "checksum and GSO fields of the kernel cannot be read (CAP_PERFMON, Linux 6.2): judging by the frames")
        }
        let service = ControlService(dataplane, directory, logger)
        let socket = try ControlSocket(loop, path: directory.socketPath) { service.answer($0) }
        try loop.watch(signals.raw) { _ in loop.stop() }
        logger.notice("ready on \(directory.socketPath)")
        try loop.run()
        socket.close()
        dataplane.stop()
        logger.notice("stopped; nothing of ours is left in the kernel")
    }

    /// Validates a program file without touching the kernel.
    ///
    /// - Throws: `FILE: what is wrong`.
    package static func read(_ file: String) throws(HostError) -> MirrorProgram {
        let bytes = try readBytes(file)
        do throws(HostError) {
            return try MirrorProgram(text: bytes)
        } catch {
            throw HostError("\(file): \(error)")
        }
    }

    /// A last program that cannot be run any more must not keep the dataplane from starting.
    private static func last(_ directory: StateDirectory, _ logger: Logger) -> MirrorProgram? {
        do throws(HostError) {
            guard let bytes = try directory.lastProgram() else { return nil }
            return try MirrorProgram(text: bytes)
        } catch {
            logger.error("the last program is not run: \(error)")
            return nil
        }
    }

    /// HELIOSTAT_CAPTURE_HOOK=clsact takes clsact where tcx is there too.
    private static func hookKind() throws(HostError) -> CaptureHookKind? {
        guard let value = getenv("HELIOSTAT_CAPTURE_HOOK").map({ String(cString: $0) }) else { return nil }
        guard let kind = CaptureHookKind(rawValue: value) else {
            throw HostError("HELIOSTAT_CAPTURE_HOOK is '\(value)'; use tcx or clsact")
        }
        return kind
    }
}
