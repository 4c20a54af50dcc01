// heliostat-dataplane replay: what would leave for the frames of a capture file.

import ArgumentParser
import FastPathHost
import Glibc
import MirrorProgram

struct ReplayCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay",
        abstract: "Write what would leave for the frames of a capture file. Needs no privileges.")

    enum Direction: String, ExpressibleByArgument, CaseIterable { case `in`, out }

    @Argument(help: "Frames, pcap or pcapng, Ethernet; '-' for standard input.")
    var input: String

    @Option(help: "Program to run them through.")
    var program: String

    @Option(name: .shortAndLong, help: "Copies: pcap, or pcapng by that ending; '-' for standard output.")
    var output: String

    @Option(help: "Port that the frames are of, where the program has several.")
    var port: String?

    @Option(
        help: "Direction of all frames; without it those from the port's MAC address go out and all others in.")
    var direction: Direction?

    @Option(
        help: "Outer source address where a tunnel sets none; once for each IP version.",
        transform: { text in
            guard let address = IPAddress(text) else { throw ValidationError("'\(text)' is not an IP address") }
            return address
        })
    var source: [IPAddress] = []

    @Option(
        help: "Outer source MAC address.",
        transform: { text in
            guard let address = MACAddress(text) else { throw ValidationError("'\(text)' is not a MAC address") }
            return address
        })
    var mac: MACAddress?

    @Option(help: "MTU of the path to every destination, 68 to 65535.")
    var mtu = 65535

    func validate() throws {
        if !(68...65535).contains(mtu) { throw ValidationError("--mtu \(mtu) is not within 68 to 65535") }
    }

    func run() throws {
        try HeliostatDataplane.reporting { () throws(HostError) in
            var surroundings = Replay.Surroundings()
            surroundings.port = port
            surroundings.direction = direction.map { $0 == .out ? .out : .in }
            for address in source {
                if address.isIPv6 { surroundings.source6 = address } else { surroundings.source = address }
            }
            if let mac { surroundings.sourceMAC = mac }
            surroundings.mtu = mtu
            let replay = try Replay(try DataplaneProcess.read(program), surroundings)
            let outcome = try replay.run(input, to: output)
            let text = outcome.lines(input).map { $0 + "\n" }.joined()
            write(2, text, text.utf8.count)
        }
    }
}
