// What every command that talks to the API takes: where the API is, who asks, and how the answer is printed.
// The root command declares the same group, so that each option may stand before or after the command's name.

package import ArgumentParser
import ControlModel
import Foundation

/// `--state-dir`, `--api`, `--token`, `--cacert`, `--json`.
package struct GlobalOptions: ParsableArguments {
    @OptionGroup package var location: StateDirectoryOption

    @Option(
        help: ArgumentHelp(
            "Address of the API, such as http://127.0.0.1:9696, instead of the socket in the state directory "
                + "(default: $HELIOSTAT_API).",
            valueName: "url"))
    package var api: String?

    @Option(
        help: ArgumentHelp(
            "Token to send to the API (default: $HELIOSTAT_TOKEN); the administrator's is in the state directory, "
                + "file 'token'. The socket needs none.",
            valueName: "token"))
    package var token: String?

    @Option(
        help: ArgumentHelp(
            "PEM file of who signs the certificate of an https address (default: $HELIOSTAT_CACERT, then the machine's).",
            valueName: "file"))
    package var cacert: String?

    @Flag(
        inversion: .prefixedNo,
        help: "Print JSON, or a table (default: a table on a terminal, else JSON).")
    package var json: Bool?

    package init() {}

    package mutating func validate() throws {
        if let api, APIEndpoint(url: api, token: nil) == nil {
            throw ValidationError("--api '\(api)' is not an address such as http://127.0.0.1:9696")
        }
    }

    /// Where requests go. What was said on the command line wins over the environment, `--api` over `--state-dir`.
    package func endpoint(environment: [String: String]) throws(CommandError) -> APIEndpoint {
        let token = token ?? environment.nonEmpty("HELIOSTAT_TOKEN")
        let cacert = cacert ?? environment.nonEmpty("HELIOSTAT_CACERT")
        if let api, let endpoint = APIEndpoint(url: api, token: token, cacert: cacert) { return endpoint }
        if location.explicit == nil, let url = environment.nonEmpty("HELIOSTAT_API") {
            guard let endpoint = APIEndpoint(url: url, token: token, cacert: cacert) else {
                throw CommandError("HELIOSTAT_API is '\(url)', which is not an address such as http://127.0.0.1:9696")
            }
            return endpoint
        }
        return APIEndpoint(stateDirectory: location.path(environment: environment), token: token)
    }

    /// How answers are printed.
    package var output: Output { Output(json: json ?? (isatty(STDOUT_FILENO) == 0)) }

    /// Runs a command's work with a connection to the API, which is closed afterwards also on failure.
    package func withAPI(_ work: (APIClient) async throws -> Void) async throws {
        try await APIClient.with(try endpoint(environment: ProcessInfo.processInfo.environment), work)
    }
}
