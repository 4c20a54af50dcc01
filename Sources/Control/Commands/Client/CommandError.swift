// How a command fails: one sentence that is printed after `heliostat: `, with exit status 1.

/// Why a command could not do what it was asked.
package struct CommandError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What failed, and for which object.
    package let what: String
    /// What to do about it, where `what` does not say so itself.
    package let remedy: String?
    /// The API's status code where it answered.
    package let status: Int?

    package init(_ what: String, remedy: String? = nil, status: Int? = nil) {
        self.what = what
        self.remedy = remedy
        self.status = status
    }

    package var description: String { remedy.map { "\(what); \($0)" } ?? what }
}
