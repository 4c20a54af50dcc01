// One line of `heliostat doctor`: a question to the facts, and what was found.

/// The answer to one check.
package struct Finding: Hashable, Sendable {
    package enum Level: String, Sendable {
        case ok
        /// Mirroring works, with less than it could have.
        case warn
        /// Mirroring cannot work.
        case fail = "FAIL"
    }

    package let level: Level
    package let detail: String
    /// What to do; nil when there is nothing.
    package let remedy: String?

    package static func ok(_ detail: String) -> Finding { Finding(level: .ok, detail: detail, remedy: nil) }
    package static func warn(_ detail: String, _ remedy: String) -> Finding {
        Finding(level: .warn, detail: detail, remedy: remedy)
    }
    package static func fail(_ detail: String, _ remedy: String) -> Finding {
        Finding(level: .fail, detail: detail, remedy: remedy)
    }
}

/// A question to the facts. Pure.
package struct DoctorCheck: Sendable {
    package let name: String
    package let judge: @Sendable (MachineFacts) -> Finding
}
