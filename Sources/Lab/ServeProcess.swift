// The real `heliostat serve` in a lab's host namespace, and the operator's commands on it.
// It starts the dataplane by itself; deleting the namespace ends both.

import Foundation

/// A running `heliostat serve`.
public final class ServeProcess: Sendable {
    public let process: ChildProcess
    public let stateDirectory: String
    private let program: String
    private let namespace: Namespace

    /// Starts it and waits until it says that it serves.
    ///
    /// - Parameters:
    ///   - stateDirectory: kept between two starts.
    ///   - arguments: further options of `heliostat serve`.
    /// - Throws: `LabError` with its own words when it does not come up within twenty seconds.
    public init(in namespace: Namespace, stateDirectory: String, _ arguments: [String] = []) throws {
        self.namespace = namespace
        self.stateDirectory = stateDirectory
        program = try Requirements.executable("heliostat")
        // A lab needs root and nothing else: no user `heliostat` either.
        let user = getpwnam("heliostat") == nil ? ["--user", "root"] : []
        process = try namespace.start([program, "serve", "--state-dir", stateDirectory] + user + arguments)
        let came = poll(seconds: 20, every: 0.02) {
            process.exitStatus != nil || (process.standardOutput + process.standardError).contains("heliostat: serving")
        }
        guard came, process.exitStatus == nil else {
            process.terminate()
            throw LabError("'\(process.command)' did not come up: \(process.standardError + process.standardOutput)")
        }
    }

    /// Runs one of the operator's commands, `["flow", "list"]`, and returns what it prints: JSON, since nobody watches.
    @discardableResult
    public func command(_ arguments: [String], seconds: Double = 30) throws -> String {
        let child = try namespace.start([program] + arguments, environment: ["HELIOSTAT_STATE_DIR": stateDirectory])
        guard let status = child.wait(seconds: seconds) else {
            child.terminate()
            throw LabError("'heliostat \(arguments.joined(separator: " "))' did not end within \(seconds) s")
        }
        guard status == 0 else {
            let said = (child.standardError + child.standardOutput).trimmingCharacters(in: .whitespacesAndNewlines)
            throw LabError("'heliostat \(arguments.joined(separator: " "))' failed with status \(status): \(said)")
        }
        return child.standardOutput
    }
}
