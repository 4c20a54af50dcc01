// `heliostat demo`: the whole system on real frames, on this machine alone. Demo.swift is what it does.

public import ArgumentParser
import Foundation
import Lab

/// The demonstration: needs root, makes its own network namespaces and leaves nothing behind.
public struct DemoCommand: AsyncParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Tap a pair of hosts that talk, and count what a monitor receives.",
        discussion: """
            Makes network namespaces (two hosts that talk through a third, and monitors behind the kernel's own vxlan
            device), starts the real processes on a temporary state directory, creates taps with the commands that it
            prints, runs numbered traffic, and compares what arrived with what was sent. Exit status 0 only if all agree.
            Needs root. No interface that exists already is touched.
            """)

    @Option(help: ArgumentHelp("Keep what arrives on the monitor's underlay, for tcpdump -r.", valueName: "file"))
    public var pcap: String?

    @Option(help: ArgumentHelp("Length of the traffic.", valueName: "n"))
    public var seconds = 10

    public init() {}

    public func validate() throws {
        guard (1...3600).contains(seconds) else { throw ValidationError("--seconds is 1 to 3600") }
    }

    public func run() async throws {
        do {
            if let missing = Requirements.missing { throw LabError(missing) }
            let demo = try Demo(seconds: seconds, pcap: pcap.map { URL(fileURLWithPath: $0) })
            defer { demo.delete() }
            guard try demo.run() else { throw ExitCode.failure }
        } catch let error as LabError {
            // Taken away under our feet: the signal's own end is on its way.
            while Interruption.isUnderWay { try await Task.sleep(for: .seconds(1)) }
            FileHandle.standardError.write(Data("heliostat demo: \(error)\n".utf8))
            throw ExitCode.failure
        }
    }
}
