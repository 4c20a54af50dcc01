// The edge of the process: parses the command line, runs the command, and turns what it threw into one line on
// standard error and an exit status. Before it: Sources/heliostat. After it: the command's `run`.

package import ArgumentParser
import Foundation

extension AsyncParsableCommand {
    /// Runs this command as the root of a program; does not return after a failure.
    ///
    /// Exit status 0, 1 for a command that failed, 64 for a command line that makes no sense (sysexits.h, EX_USAGE),
    /// or what the command threw as `ExitCode`.
    package static func runProgram() async {
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            // Help, versions, usage errors and bare exit codes are ArgumentParser's to print.
            if error is ExitCode || exitCode(for: error) != .failure { exit(withError: error) }
            Output.remark(message(for: error))
            Foundation.exit(1)
        }
    }
}
