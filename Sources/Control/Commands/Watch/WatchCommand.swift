// `heliostat watch TAP`: the copies of a tap as they are made. Before: the API, which knows the tap's name. After:
// WatchConnection.swift takes them from the dataplane, CopySink.swift writes them, or has tcpdump show them.

package import ArgumentParser
import ControlModel
import Dispatch
import Foundation

/// `heliostat watch`
package struct WatchCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "watch", abstract: "Show the copies of a tap live, without their tunnel.",
        discussion: """
            For root and the group heliostat, on the host of the tap. Shows what the tap takes (filter, sampling, snap \
            length, rate limit and direction are the tap's), with the time of capture, as tcpdump does. Nobody else's \
            copies are touched: an onlooker that is too slow loses its own. Ctrl-C ends it.

            Example: heliostat watch web-in -c 10
                     heliostat watch web-in -w - | tcpdump -nr - 'tcp port 80'
                     heliostat watch web-in -w - | wireshark -k -i -
            """)

    @Argument(help: ArgumentHelp("Tap flow or tap mirror, by name or id.", valueName: "tap"))
    package var tap: String

    @Option(
        name: .short,
        help: ArgumentHelp(
            "Write a capture file instead, '-' for standard output: pcap, or pcapng with directions where its name ends so.",
            valueName: "file"))
    package var write: String?

    @Option(name: .short, help: ArgumentHelp("End after this many copies.", valueName: "count"))
    package var count: UInt64?

    @Option(
        help: ArgumentHelp(
            "Socket of a dataplane that has no control process; the tap is then an id of its program.",
            valueName: "socket"))
    package var dataplane: String?

    @OptionGroup package var globals: GlobalOptions

    package init() {}

    package mutating func validate() throws {
        if count == 0 { throw ValidationError("-c 0 shows nothing; leave it out to watch until Ctrl-C") }
    }

    package mutating func run() async throws {
        if write == "-", isatty(STDOUT_FILENO) == 1 {
            throw CommandError(
                "standard output is a terminal", remedy: "pipe it: heliostat watch \(tap) -w - | wireshark -k -i -")
        }
        let taps: [String]
        if dataplane == nil {
            taps = try await ids()
        } else {
            taps = [tap]
        }
        let socket = dataplane ?? ServeStateDirectory(path: globals.location.path).dataplaneSocket
        let connection = try WatchConnection(socket, taps: taps)
        signal(SIGPIPE, SIG_IGN)
        let sink = try CopySink(write)
        let interruptions = Self.endOnSignals(connection)
        defer { interruptions.forEach { $0.cancel() } }
        Output.remark("watching \(tap)\(count == nil ? "; Ctrl-C ends it" : "")")
        try Self.finish(try Self.pass(connection, sink, atMost: count ?? .max), sink)
    }

    /// The taps of the dataplane that make up the one that was asked for: a mirror has one for each direction.
    private func ids() async throws -> [String] {
        let reference = tap
        var ids: [String] = []
        try await globals.withAPI { api in
            let (kind, object) = try await api.tap(reference)
            let running = try await api.get("/v2.0/heliostat/status")["status"]["dataplane"]["status"]
            ids = Explanation.taps(of: object["id"].string ?? "", in: running)
            if ids.isEmpty {
                throw CommandError(
                    "the dataplane of this host runs nothing of \(kind.title) '\(reference)'",
                    remedy: "'heliostat explain \(reference)' says why")
            }
        }
        return ids
    }

    /// The first signal ends the watch in order, the second one the process.
    private static func endOnSignals(_ connection: WatchConnection) -> [any DispatchSourceSignal] {
        [SIGINT, SIGTERM, SIGHUP].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { if !connection.end() { Foundation.exit(128 + number) } }
            source.resume()
            return source
        }
    }

    private struct Outcome {
        var copies: UInt64 = 0
        var end: CopyStream.End?
    }

    /// From the dataplane to the sink until one of them, or the operator, has enough.
    private static func pass(
        _ connection: WatchConnection, _ sink: CopySink, atMost limit: UInt64
    ) throws(CommandError) -> Outcome {
        var outcome = Outcome()
        var stream = CopyStream()
        while let bytes = try connection.read() {
            stream.append(bytes)
            while let block = try stream.next() {
                switch block.content {
                case .end(let end): outcome.end = end
                case .other: sink.take(block)
                case .copy where outcome.copies < limit:
                    sink.take(block)
                    outcome.copies += 1
                case .copy: break
                }
            }
            let goesOn = try sink.flush()
            if outcome.copies >= limit || !goesOn { _ = connection.end() }
        }
        return outcome
    }

    private static func finish(_ outcome: Outcome, _ sink: CopySink) throws {
        sink.close()
        let copies = "\(outcome.copies) \(outcome.copies == 1 ? "copy" : "copies")"
        guard let end = outcome.end else {
            throw CommandError(
                "\(copies) until the dataplane ended", remedy: "'heliostat status' says whether it is back")
        }
        Output.remark("\(copies), \(end.dropped) dropped")
        if let reason = end.comment { throw CommandError("the watch was ended: \(reason)") }
    }
}
