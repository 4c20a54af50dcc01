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
    /// Process id of the supervisor to stand by for: the state directory's lock is waited for, instead of refusing.
    package var supervisor: Int32?

    /// Most ns that a copy may cost the sender of the original where the program leaves the engine open.
    package var senderBound = Dataplane.usualSenderBound
    package var cores: CoreOptions

    package init(
        stateDirectory: String, programFile: String?, supervisor: Int32?, cores: CoreOptions = CoreOptions()
    ) {
        self.cores = cores
        self.stateDirectory = stateDirectory
        self.programFile = programFile
        self.supervisor = supervisor
    }

    /// Runs until SIGTERM or SIGINT.
    package func run(_ logger: Logger) throws(HostError) {
        Priority.hurry()
        try CPUFeatures.check()
        let capabilities = try Capabilities()
        try capabilities.check()
        let program = try programFile.map { file throws(HostError) in try Self.read(file) }
        let hook = try Self.hookKind()
        let options = try cores.completed()
        let workers = try WorkerPlan.workers(try Topology(), options)
        let (directory, capture) = try open(usesBPF: hook.usesBPF, workers: workers.count)
        signal(SIGPIPE, SIG_IGN)
        let signals = try SignalDescriptor([SIGTERM, SIGINT])
        let loop = try EventLoop()
        let dataplane = try Dataplane(
            loop, logger: logger, directory: directory, capture: capture, hookKind: hook.kind,
            usesBPF: hook.usesBPF, senderBound: senderBound, cores: (workers, options.busyPolls),
            first: program ?? Self.last(directory, logger))
        Priority.set(options.nice)
        logger.notice("heliostat-dataplane \(dataplaneVersion) on \(directory.path), epoch \(dataplane.epoch)")
        if let packets = dataplane.packets {
            logger.warning("`tap` ports are captured \(packets.explanation); other modes and deliveries are refused")
        } else if !dataplane.capture.readsKernelFields {
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
        for wire in dataplane.remains {
            logger.notice(
                "the kernel goes on carrying frames between \(wire.interfaces[0]) and \(wire.interfaces[1]), without copies; 'rm \(wire.pins.joined(separator: " "))' ends it"
            )
        }
        logger.notice(
            "stopped; \(dataplane.remains.isEmpty ? "nothing" : "nothing else") of ours is left in the kernel")
    }

    /// Takes the state directory. One that stands by does the longest part of starting before it waits, and ends with
    /// its supervisor until it works.
    private func open(usesBPF: Bool, workers: Int) throws(HostError) -> (StateDirectory, CaptureProgram?) {
        guard let supervisor else { return (try StateDirectory(stateDirectory), nil) }
        _ = hs_signal_at_parents_end(SIGKILL)
        if getppid() != supervisor { throw HostError("the supervisor (pid \(supervisor)) is gone") }
        // Where BPF may not be loaded the dataplane finds out once more, and says so.
        let capture = usesBPF ? try? CaptureProgram.best(workers: workers) : nil
        let directory = try StateDirectory(stateDirectory, waiting: true)
        _ = hs_signal_at_parents_end(0)
        return (directory, capture)
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

    /// HELIOSTAT_CAPTURE_HOOK=clsact takes clsact where tcx is there too, af_packet packet sockets where BPF is.
    private static func hookKind() throws(HostError) -> (kind: CaptureHookKind?, usesBPF: Bool) {
        guard let value = getenv("HELIOSTAT_CAPTURE_HOOK").map({ String(cString: $0) }) else { return (nil, true) }
        if value == "af_packet" { return (nil, false) }
        guard let kind = CaptureHookKind(rawValue: value), kind != .xdp else {
            throw HostError("HELIOSTAT_CAPTURE_HOOK is '\(value)'; use tcx, clsact or af_packet")
        }
        return (kind, true)
    }
}
