// Who comes first on a CPU: a dataplane that starts, for a tenth of a second, so that copies resume soon on a busy
// machine. Then nobody: the worker has the share of any other thread, and where that does not do it is copies that are
// lost, since no original ever waits for it. With less than an equal share (nice value 5) beside senders that never rest,
// half of the copies were lost whose capture the senders had paid for (docs/performance.md).

import Glibc

/// Nice values of threads.
package enum Priority {
    /// Of the main thread until it captures, and of the supervisor.
    private static let start: Int32 = -10
    /// Of the worker while originals of `inline` ports depend on it.
    static let carrier: Int32 = -15

    /// The calling thread's: what the process was started with, as long as nothing was set.
    package static var own: Int32 { getpriority(Int32(PRIO_PROCESS.rawValue), 0) }

    /// The calling thread comes first for now.
    static func hurry() { set(min(own, start)) }

    /// Sets the calling thread's; without CAP_SYS_NICE it stays lower than asked for.
    static func set(_ nice: Int32) { set(nice, ofThread: 0) }

    /// - Parameter thread: its id in the kernel; 0 for the calling one.
    static func set(_ nice: Int32, ofThread thread: Int32) {
        setpriority(Int32(PRIO_PROCESS.rawValue), id_t(thread), nice)
    }
}
