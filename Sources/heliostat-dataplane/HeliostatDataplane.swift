// heliostat-dataplane: the command line and nothing else. What it does is in Sources/FastPath/Host.

import ArgumentParser
import FastPathHost
import Glibc

@main
struct HeliostatDataplane: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "heliostat-dataplane",
        abstract: "Copies the frames of tapped ports to their monitors; one dataplane a host.",
        version: dataplaneVersion, subcommands: [RunCommand.self, ReplayCommand.self],
        defaultSubcommand: RunCommand.self)

    /// Says what is wrong on the way out.
    static func reporting(_ work: () throws(HostError) -> Void) throws {
        do throws(HostError) {
            try work()
        } catch {
            let line = "heliostat-dataplane: \(error)\n"
            write(2, line, line.utf8.count)
            throw ExitCode(1)
        }
    }
}
