// How a command fails: one sentence that is printed after `heliostat: `, with exit status 1.

/// Why a command could not do what it was asked: what, which object, and what to do about it.
package struct CommandError: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String
    /// The API's status code where it answered.
    package let status: Int?

    package init(_ description: String, status: Int? = nil) {
        self.description = description
        self.status = status
    }
}
