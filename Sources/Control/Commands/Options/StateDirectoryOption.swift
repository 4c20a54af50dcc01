// Where the control process keeps its things: said once, by option or environment, and shared by every command
// that touches the state directory (`serve`, `doctor`, and all that talk to `api.sock` in it).

package import ArgumentParser
import Foundation

/// `--state-dir`, before or after the name of the command.
package struct StateDirectoryOption: ParsableArguments {
    /// Where Debian puts variable state of a service.
    package static let standard = "/var/lib/heliostat"

    @Option(
        name: .customLong("state-dir"),
        help: ArgumentHelp(
            "State directory of 'heliostat serve' (default: $HELIOSTAT_STATE_DIR, then \(standard)).",
            valueName: "dir"))
    package var explicit: String?

    package init() {}

    /// The directory in use: the option, then `HELIOSTAT_STATE_DIR`, then the standard one.
    package var path: String { path(environment: ProcessInfo.processInfo.environment) }

    package func path(environment: [String: String]) -> String {
        explicit ?? environment.nonEmpty("HELIOSTAT_STATE_DIR") ?? Self.standard
    }
}

extension [String: String] {
    /// The value of a variable that is set and not empty.
    package func nonEmpty(_ name: String) -> String? { self[name].flatMap { $0.isEmpty ? nil : $0 } }
}
