// Pure: through which queue of an uplink each worker sends. Before it: the workers and the queues of the interface.
// After it: UplinkSocket.swift binds in this order.
//
// A queue takes one socket (net/xdp/xsk.c, xsk_bind): two on one queue would have to share their memory, and then the
// rings too. So a worker for which no queue is left hands its copies to one that has a queue.

/// Queues of one interface.
package enum QueueAssignment {
    /// Queues that are tried when others hold the first ones.
    private static let most = 64

    /// In the order in which a worker tries to bind: its own first, then those that no worker owns.
    ///
    /// - Parameters:
    ///   - worker: its place.
    ///   - queues: of the interface, at least 1.
    package static func order(worker: Int, workers: Int, queues: Int) -> [Int] {
        let queues = max(1, queues)
        let spare = workers < queues ? Array(workers..<queues) : []
        // Where there are fewer than workers, whoever comes first has one.
        let own = worker < queues ? [worker] : []
        return Array((own + spare).prefix(most))
    }
}
