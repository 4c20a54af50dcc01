// The edge of the process: parses the command line, runs the command, and turns what it threw into one line on
// standard error and an exit status. Before it: Sources/heliostat. After it: the command's `run`.

package import ArgumentParser
import Dispatch
import Foundation

/// A command whose first part belongs to a process of one thread: what it changes of the process, its user above all,
/// is then changed for every thread that there will ever be.
package protocol StagedCommand: AsyncParsableCommand {
    /// The first part.
    ///
    /// - Returns: the rest, which may use as many threads as it likes.
    func begin() throws -> @Sendable () async throws -> Void
}

extension AsyncParsableCommand {
    /// Runs this command as the root of a program.
    ///
    /// Exit status 0, 1 for a command that failed, 64 for a command line that makes no sense (sysexits.h, EX_USAGE),
    /// or what the command threw as `ExitCode`.
    package static func runProgram() -> Never {
        do {
            let command = try parseAsRoot()
            let rest: @Sendable () async throws -> Void
            if let command = command as? any StagedCommand {
                rest = try command.begin()
            } else {
                nonisolated(unsafe) let command = command
                rest = {
                    var command = command
                    if var command = command as? any AsyncParsableCommand {
                        try await command.run()
                    } else {
                        try command.run()
                    }
                }
            }
            Task {
                do {
                    try await rest()
                    Foundation.exit(0)
                } catch { end(error) }
            }
        } catch { end(error) }
        // From here on the main thread is parked: it may not be one that has more rights than the others.
        dispatchMain()
    }

    private static func end(_ error: any Error) -> Never {
        // Help, versions, usage errors and bare exit codes are ArgumentParser's to print.
        if error is ExitCode || exitCode(for: error) != .failure { exit(withError: error) }
        Output.remark(message(for: error))
        Foundation.exit(1)
    }
}
