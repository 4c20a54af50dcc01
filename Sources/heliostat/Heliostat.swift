// The program `heliostat`: the root of the commands. Each is in Sources/Control/Commands, the demo in Sources/Demo.

import ArgumentParser
import ControlCommands
import ControlModel
import Demo

@main
struct Heliostat: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "heliostat",
        abstract: "Mirror the frames of chosen ports to a monitor, without hurting the traffic.",
        discussion: """
            A port is what can be tapped, a tap service is where copies go, a tap flow connects the two. Names are taken \
            wherever ids are. Global options may stand before or after the command.

            Example: sudo heliostat serve &
                     heliostat port create web --interface veth0
                     heliostat service create ids --to 192.0.2.9
                     heliostat flow create web-all --port web --service ids
                     heliostat stats --watch
            """,
        version: heliostatVersion,
        groupedSubcommands: [
            CommandGroup(
                name: "Intent:",
                subcommands: [
                    PortCommand.self, ServiceCommand.self, FlowCommand.self, MirrorCommand.self, HostCommand.self,
                ]),
            CommandGroup(name: "Access:", subcommands: [UserCommand.self, TokenCommand.self]),
            CommandGroup(name: "Processes:", subcommands: [ServeCommand.self, DemoCommand.self]),
            CommandGroup(
                name: "Observation:",
                subcommands: [
                    StatusCommand.self, StatsCommand.self, ExplainCommand.self, WatchCommand.self, ProgramCommand.self,
                    DoctorCommand.self, DemoCommand.self,
                ]),
        ])

    @OptionGroup var globals: GlobalOptions

    static func main() { runProgram() }
}
