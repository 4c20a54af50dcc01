// What promises about the control process stand on: a lab whose host runs the real `heliostat serve`, which starts the
// dataplane. Beside Mirror.swift, where the dataplane runs alone.

import Lab

/// A lab with a control process on its host, and a directory for both and for the test.
enum Served {
    /// Builds the lab, starts the process, and takes all down afterwards.
    static func with(
        _ options: TappedPair.Options = .init(),
        _ body: (_ lab: TappedPair, _ serve: ServeProcess, _ directory: TemporaryDirectory) throws -> Void
    ) throws {
        try TappedPair.with(options) { lab in
            let directory = try TemporaryDirectory()
            defer { directory.delete() }
            let serve = try ServeProcess(
                in: lab.host, stateDirectory: "\(directory.path)/state",
                ["--host", "lab", "--tunnel-address", TappedPair.hostAddress])
            defer { serve.process.terminate() }
            try body(lab, serve, directory)
        }
    }
}
