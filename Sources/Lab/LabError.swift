// What went wrong in the lab: thrown by every file of this folder, shown by the demo and by a failing test.

public import Foundation
import Glibc

/// A step of the lab that failed: what, on which object, with the kernel's or the tool's own words.
public struct LabError: LocalizedError, CustomStringConvertible, Sendable {
    public let description: String

    public init(_ description: String) { self.description = description }

    /// An error of a system call that has just failed: `errno` is read here.
    init(errno what: String) { description = "\(what): \(String(cString: strerror(Glibc.errno)))" }

    public var errorDescription: String? { description }
}
