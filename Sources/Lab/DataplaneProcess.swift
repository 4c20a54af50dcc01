// The real heliostat-dataplane, without a control process, in a lab's host namespace.
// Spoken to as the control process does: JSON lines on its socket.

import Foundation

/// A running `heliostat-dataplane`, or its supervisor.
public final class DataplaneProcess: Sendable {
    public let process: ChildProcess
    /// Its state directory: `dataplane.sock`, `program.json`.
    public let stateDirectory: String

    /// Starts it and waits until it answers `status`.
    ///
    /// - Parameters:
    ///   - stateDirectory: kept between two starts, so that the second runs the last program again.
    ///   - program: JSON to be run with no control plane; nil runs what the state directory holds.
    ///   - options: further words of its command line.
    ///   - supervised: start the supervisor, which starts the dataplane anew when it dies; `process` is the supervisor.
    ///   - seconds: that it may take.
    ///   - wrapper: a command that starts it, with its words.
    /// - Throws: `LabError` with its own words when it does not come up in time.
    public init(
        in namespace: Namespace, stateDirectory: String, program: String? = nil, options: [String] = [],
        supervised: Bool = false, seconds: Double = 10, wrapper: [String] = []
    ) throws {
        self.stateDirectory = stateDirectory
        var arguments =
            wrapper + [try Requirements.executable("heliostat-dataplane"), supervised ? "--supervise" : "run"]
        arguments += ["--state-dir", stateDirectory] + options
        if let program {
            let path = "\(stateDirectory)/lab-program.json"
            try program.write(toFile: path, atomically: true, encoding: .utf8)
            arguments += ["--program", path]
        }
        // `Tests/run engine`: whatever the kernel can carry, it carries.
        if getenv("HELIOSTAT_LAB_ENGINE") != nil { arguments += ["--sender-bound", "1000000"] }
        process = try namespace.start(arguments)
        let came = poll(seconds: seconds, every: 0.02) {
            process.exitStatus != nil || (try? request(#"{"method":"status"}"#, seconds: 1)) != nil
        }
        guard came, process.exitStatus == nil else {
            process.terminate()
            throw LabError("'\(process.command)' did not come up: \(process.standardError + process.standardOutput)")
        }
    }

    /// Sends one request line and returns the reply line.
    public func request(_ line: String, seconds: Double = 5) throws(LabError) -> String {
        try ask(line, at: "\(stateDirectory)/dataplane.sock", seconds: seconds)
    }

    /// Ends it with SIGTERM, which takes everything of Heliostat's out of the kernel.
    ///
    /// - Returns: whether it ended by itself within five seconds.
    @discardableResult
    public func terminate() -> Bool { process.terminate() }
}
