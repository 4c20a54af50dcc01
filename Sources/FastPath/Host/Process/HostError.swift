// The one error of the cold side: what failed, on which object, and what to do about it. Logged once, at the edge.

import Glibc

/// Something the kernel, a file or a peer refused.
package struct HostError: Error, CustomStringConvertible {
    package let description: String
    /// `errno` where a system call failed, else 0.
    package let code: Int32

    package init(_ description: String, code: Int32 = 0) {
        self.description = description
        self.code = code
    }

    /// A failed system call: `what` followed by the text of `errno`.
    package static func system(_ what: String, _ code: Int32 = errno) -> HostError {
        HostError("\(what): \(String(cString: strerror(code)))", code: code)
    }
}

/// Calls again while a signal interrupts, and turns -1 into an error.
@discardableResult
func check(_ what: @autoclosure () -> String, _ call: () -> Int32) throws(HostError) -> Int32 {
    while true {
        let result = call()
        if result >= 0 { return result }
        if errno != EINTR { throw .system(what()) }
    }
}
