// The decoders that share no code with what they judge: tshark and scapy, behind Tests/Decoders. They are told which
// program ran, what was sent and what arrived.

import Foundation
import Lab
import MirrorProgram
import Testing

enum Decoders {
    static let folder = root.appending(path: "Tests/Decoders").path
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    /// The interpreter that Tests/Clients/environment makes.
    static let python = root.appending(path: ".build/venv/decoders/bin/python").path

    /// Why nothing can be decoded here, in one line with the remedy, or nil when it can.
    static let missing: String? = {
        if Requirements.path(of: "tshark") == nil { return "needs tshark; make setup installs it" }
        guard access(python, X_OK) == 0 else { return "needs scapy; Tests/Clients/environment decoders installs it" }
        return nil
    }()

    /// What check.py finds.
    struct Report: Decodable {
        var copies, tunnels, flows, sequenced: Int
        var faults: [String]
    }

    /// One judgement: the files that take part in it.
    struct Case: Encodable {
        struct Device: Encodable {
            var name, capture: String
            var directions: [MirrorProgram.Direction]
        }
        var program, capture: String
        var originals: [String: String]
        var kernel: [Device] = []
        /// Outer source addresses by IP version.
        var sources: [String: String]
        /// ns since 1970, around the sending.
        var began, ended: UInt64
    }

    /// Runs one of the programs of Tests/Decoders to its end and returns its output.
    @discardableResult
    static func run(_ script: String, _ words: [String], in namespace: Namespace? = nil, seconds: Double = 60) throws
        -> String
    {
        let command = [python, "\(folder)/\(script)"] + words
        guard let namespace else { return try ChildProcess.run(command, seconds: seconds) }
        return try ChildProcess.run(["nsenter", "--net=\(namespace.path)"] + command, seconds: seconds)
    }

    /// Judges a case.
    ///
    /// - Parameter directory: for the file that tells of the case.
    static func check(_ judged: Case, in directory: TemporaryDirectory) throws -> Report {
        let path = "\(directory.path)/case.json"
        try JSONEncoder().encode(judged).write(to: URL(fileURLWithPath: path))
        return try judge("check.py", [path], as: Report.self)
    }

    /// Runs one of the programs that judge; its report has the faults.
    static func judge<Found: Decodable>(_ script: String, _ words: [String], as type: Found.Type) throws -> Found {
        let child = try ChildProcess([python, "\(folder)/\(script)"] + words)
        let status = child.wait(seconds: 120)
        guard let report = try? JSONDecoder().decode(type, from: Data(child.standardOutput.utf8)) else {
            child.kill()
            throw LabError("\(script) ended with \(status ?? -1): \(child.standardError)\(child.standardOutput)")
        }
        return report
    }

    /// Writes the program that ran into a file.
    static func write(_ program: MirrorProgram, _ place: String) throws -> String {
        let path = "\(place)/judged.json"
        try JSONEncoder().encode(program).write(to: URL(fileURLWithPath: path))
        return path
    }
}

extension Trait where Self == ConditionTrait {
    /// Runs where tshark and scapy are installed; elsewhere the test is skipped with the reason.
    static var withDecoders: Self { .enabled(if: Decoders.missing == nil, "\(Decoders.missing ?? "")") }
}
