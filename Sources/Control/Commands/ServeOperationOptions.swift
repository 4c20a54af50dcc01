// How this process takes part in a deployment, and how it is watched. Before: the command line. After:
// ServeConfiguration.

import ArgumentParser

/// Options of `heliostat serve` for operators.
package struct ServeOperationOptions: ParsableArguments {
    @Flag(
        help: "Serve the API only, on the store of another heliostat serve, which reconciles. TCP alone.")
    var apiOnly = false

    @Option(
        help: ArgumentHelp(
            "Address of /metrics, /healthz and /readyz, without a token (default none).", valueName: "host:port"))
    var metricsListen: String?

    @Option(
        help: ArgumentHelp(
            "VNIs for tap services that name none (default 15728640-16777215).", valueName: "first-last"))
    var tunnelIdPool: String?

    @Option(help: ArgumentHelp("How the log is written (default text).", valueName: "text|json"))
    var logFormat: String?

    package init() {}

    /// What was said replaces what `settings` has.
    func apply(to settings: inout ServeConfiguration) {
        if apiOnly { settings.isAPIOnly = true }
        if let metricsListen { settings.metricsListenText = metricsListen }
        if let tunnelIdPool { settings.tunnelIDPoolText = tunnelIdPool }
        if let logFormat { settings.logFormat = logFormat }
    }
}
