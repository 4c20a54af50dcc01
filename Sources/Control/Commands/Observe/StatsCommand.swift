// `heliostat stats`: the counters. Once, or every second until interrupted.

package import ArgumentParser
import ControlModel

/// `heliostat stats`
package struct StatsCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "stats", abstract: "Show frames, bytes and drops of each tap flow and destination.",
        discussion: """
            Counters begin anew when the dataplane starts anew ('epoch' changes). A drop is a copy that did not leave; the \
            original is not touched. As JSON, --watch prints one line a second.

            Example: heliostat stats --watch
                     heliostat stats --json | jq '.tap_flows[] | {name, frames}'
            """)

    @Flag(name: .shortAndLong, help: "Print every second, with rates, until interrupted.")
    package var watch = false

    @OptionGroup package var globals: GlobalOptions

    package init() {}

    package mutating func run() async throws {
        let (watch, output) = (watch, globals.output)
        try await globals.withAPI { api in
            var rates = Rates()
            repeat {
                let statistics = try await api.get("/v2.0/heliostat/statistics")["statistics"]
                if output.json {
                    output.write((watch ? statistics.text : statistics.prettyText) + "\n")
                } else {
                    rates.take(statistics)
                    // Home, and erase what is below: the terminal's scrollback stays as it was.
                    let text = StatisticsText.text(statistics, rates: watch ? rates : nil)
                    output.write(watch ? "\u{1B}[H\u{1B}[J" + text : text)
                }
                if watch { try await Task.sleep(for: .seconds(1)) }
            } while watch
        }
    }
}
