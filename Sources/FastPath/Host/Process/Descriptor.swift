// A file descriptor that closes itself: every kernel object of ours is held by one, so that what is dropped is gone.

import Glibc

/// Owner of one file descriptor.
package final class Descriptor {
    package let raw: Int32

    /// - Parameter raw: an open descriptor that nobody else closes.
    package init(_ raw: Int32) { self.raw = raw }

    /// Takes the result of a call that returns a descriptor or -1 with `errno`.
    package convenience init(_ what: @autoclosure () -> String, _ call: () -> Int32) throws(HostError) {
        self.init(try check(what(), call))
    }

    deinit { close(raw) }
}
