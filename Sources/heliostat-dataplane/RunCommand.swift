// heliostat-dataplane run: the dataplane itself, which is what the program does when no command is named.

import ArgumentParser
import FastPathHost
import Glibc
import Logging
import MirrorProgram

struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Run the dataplane; 'run' may be left out.")

    @Option(help: "Where the lock, the control socket and the last program are.")
    var stateDir = "/var/lib/heliostat/dataplane"

    @Option(help: "Run this program instead of the last one that was applied.")
    var program: String?

    @Flag(help: "Only say whether the program file is valid.")
    var check = false

    @Option(
        help: ArgumentHelp(
            "Most ns a frame that copies may cost the sender where a tap leaves its engine open: from \(Dataplane.senderCost) on the kernel carries it, below that the port's super-frames, with 0 nothing.",
            valueName: "ns"))
    var senderBound = Dataplane.usualSenderBound

    @Flag(help: "Keep a dataplane running: another one, which stands by, takes over when it dies.")
    var supervise = false

    @Option(help: "Number of workers, 1 to 16; without it one for every 8 CPUs (or HELIOSTAT_WORKERS).")
    var workers: Int?

    @Option(
        help: "CPUs of the workers, one for each, as '2,4-6'; without it they run anywhere (or HELIOSTAT_CPUS).",
        transform: { list in
            guard let cpus = CoreOptions.cpus(list) else { throw ValidationError("'\(list)' is no list of CPUs") }
            return cpus
        })
    var cpus: [Int] = []

    @Flag(help: "Workers on isolated CPUs poll in real time (SCHED_FIFO), without a pause (or HELIOSTAT_REALTIME=1).")
    var realtime = false

    @Flag(help: "AF_XDP sockets ask for preferred busy polling (or HELIOSTAT_BUSY_POLL=1).")
    var busyPoll = false

    @Option(help: .hidden)
    var supervisor: Int32?

    /// Of the supervisor as it was started: it has hurried since.
    @Option(help: .hidden)
    var nice: Int32?

    func validate() throws {
        if check && program == nil { throw ValidationError("--check needs --program FILE") }
        if senderBound < 0 { throw ValidationError("--sender-bound \(senderBound) is below 0") }
        if check && supervise { throw ValidationError("--check and --supervise exclude each other") }
    }

    func run() throws {
        let logger = Logger(label: "heliostat-dataplane") { StreamLogHandler.standardError(label: $0) }
        try HeliostatDataplane.reporting { () throws(HostError) in
            if check, let program {
                let valid = try DataplaneProcess.read(program)
                print(
                    "\(program): ok (\(valid.ports.count) ports, \(valid.destinations.count) destinations, \(valid.taps.count) taps)"
                )
            } else if supervise {
                var arguments = ["run", "--state-dir", stateDir, "--supervisor", "\(getpid())"]
                arguments += ["--sender-bound", "\(senderBound)"]
                if let program { arguments += ["--program", program] }
                arguments += cores.arguments
                let supervisor = try Supervisor(stateDirectory: stateDir, arguments: arguments, logger: logger)
                Glibc.exit(try supervisor.run())
            } else {
                var process = DataplaneProcess(
                    stateDirectory: stateDir, programFile: program, supervisor: supervisor, cores: cores)
                process.senderBound = senderBound
                try process.run(logger)
            }
        }
    }

    private var cores: CoreOptions {
        CoreOptions(workers: workers, cpus: cpus, isRealTime: realtime, busyPolls: busyPoll, nice: nice ?? Priority.own)
    }
}
