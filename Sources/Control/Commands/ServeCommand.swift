// `heliostat serve`: the control process from its command line to its last request.
// Before: heliostat's main. After: ServeProcess.

public import ArgumentParser
import Foundation
import Logging

/// Runs the control process in the foreground until SIGTERM or SIGINT.
public struct ServeCommand: AsyncParsableCommand, StagedCommand {
    public static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Serve the API and keep the dataplane in step with it.",
        discussion: """
            Started as root it starts heliostat-dataplane where none runs, in a session of its own, and then becomes \
            the user 'heliostat'. Stopping or killing it leaves the dataplane running.
            """)

    @OptionGroup var location: StateDirectoryOption

    @Option(help: ArgumentHelp("TCP address of the API, or none (default 127.0.0.1:9696).", valueName: "host:port"))
    var listen: String?

    @Option(
        name: .customLong("name"),
        help: ArgumentHelp("A further name by which clients call the TCP address.", valueName: "name"))
    var names: [String] = []

    @Option(help: ArgumentHelp("This host's name in the inventory (default: the machine's).", valueName: "name"))
    var host: String?

    @Option(
        name: .customLong("tunnel-address"),
        help: ArgumentHelp("An underlay address of this host.", valueName: "address"))
    var tunnelAddresses: [String] = []

    @Option(
        name: .customLong("allow-remote"),
        help: ArgumentHelp(
            "Copies are sent to addresses of this prefix, and of others so named, alone.", valueName: "prefix"))
    var allowRemotes: [String] = []

    @Option(
        name: .customLong("deny-remote"),
        help: ArgumentHelp("Copies are never sent to addresses of this prefix.", valueName: "prefix"))
    var denyRemotes: [String] = []

    @Option(
        name: .customLong("uplink"),
        help: ArgumentHelp(
            "What holds for copies through an interface: eth1,dedicated,frames=500000,bits=1000000000.",
            valueName: "interface[,rule…]"))
    var uplinks: [String] = []

    @Option(
        help: ArgumentHelp(
            "JSON file with the same settings: \(ServeConfiguration.keys.joined(separator: ", ")).", valueName: "file"))
    var config: String?

    @Option(help: ArgumentHelp("The dataplane's executable, or none to start none.", valueName: "path"))
    var dataplane: String?

    @Option(help: ArgumentHelp("The user to become after starting as root (default heliostat).", valueName: "name"))
    var user: String?

    @OptionGroup(title: "Operation") var operation: ServeOperationOptions

    @OptionGroup(title: "Who may do what") var identity: ServeIdentityOptions

    public init() {}

    public func run() async throws { try await begin()() }

    package func begin() throws -> @Sendable () async throws -> Void {
        do throws(ServeError) {
            let process = ServeProcess(try settings())
            let lock = try process.prepare()
            return {
                do throws(ServeError) {
                    try await process.serve(holding: lock)
                } catch { throw Self.failure(error) }
            }
        } catch { throw Self.failure(error) }
    }

    private static func failure(_ error: ServeError) -> ExitCode {
        FileHandle.standardError.write(Data("heliostat serve: \(error)\n".utf8))
        return ExitCode(1)
    }

    private func settings() throws(ServeError) -> ServeConfiguration {
        var settings = ServeConfiguration()
        if let config { try settings.read(file: config) }
        if let directory = ProcessInfo.processInfo.environment["HELIOSTAT_STATE_DIR"], !directory.isEmpty {
            settings.stateDirectory = directory
        }
        if let directory = location.explicit { settings.stateDirectory = directory }
        if let listen { settings.listenText = listen }
        if let host { settings.host = host }
        if let dataplane { settings.setDataplane(dataplane) }
        if let user { settings.user = user }
        settings.names += names
        operation.apply(to: &settings)
        identity.apply(to: &settings.identity)
        if !uplinks.isEmpty { settings.uplinkTexts = uplinks }
        if !tunnelAddresses.isEmpty { settings.tunnelAddresses = tunnelAddresses }
        if !allowRemotes.isEmpty { settings.allowRemotes = allowRemotes }
        if !denyRemotes.isEmpty { settings.denyRemotes = denyRemotes }
        if !settings.stateDirectory.hasPrefix("/") {
            settings.stateDirectory = FileManager.default.currentDirectoryPath + "/" + settings.stateDirectory
        }
        while settings.stateDirectory.count > 1, settings.stateDirectory.hasSuffix("/") {
            settings.stateDirectory.removeLast()
        }
        try settings.validate()
        return settings
    }
}
