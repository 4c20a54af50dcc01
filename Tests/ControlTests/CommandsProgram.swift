// The built program `heliostat`, run as an operator's script runs it.

import Foundation

/// One run of the program.
struct ProgramRun: Sendable {
    let status: Int32
    let output: String
    let errors: String

    /// Runs the program that was built beside these tests, with nothing of ours in its environment but `variables`.
    static func heliostat(_ arguments: [String], variables: [String: String] = [:]) async throws -> ProgramRun {
        let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        // `swift test` runs the tests' own program, or loads their library into one of the toolchain's.
        let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? tests
        let process = Process()
        process.executableURL = URL(fileURLWithPath: bundle).deletingLastPathComponent().appending(path: "heliostat")
        process.arguments = arguments
        let path = ProcessInfo.processInfo.environment.filter { ["PATH", "LD_LIBRARY_PATH"].contains($0.key) }
        process.environment = path.merging(variables) { _, given in given }
        return try await finish(process)
    }

    /// On a thread of its own: waiting here would take a thread from the server that the program asks.
    private static func finish(_ process: Process) async throws -> ProgramRun {
        let (output, errors) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        return try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                do {
                    try process.run()
                } catch {
                    return continuation.resume(throwing: error)
                }
                // Errors are a few lines and fit the pipe while the output is read.
                let text = output.fileHandleForReading.readDataToEndOfFile()
                let complaint = errors.fileHandleForReading.readDataToEndOfFile()
                process.waitUntilExit()
                continuation.resume(
                    returning: ProgramRun(
                        status: process.terminationStatus, output: String(decoding: text, as: UTF8.self),
                        errors: String(decoding: complaint, as: UTF8.self)))
            }
        }
    }
}
