// Pure: through which queue of an uplink each worker sends. Before it: the workers and the queues of the interface.
// After it: UplinkSocket.swift binds in this order.
//
// A queue takes one socket (net/xdp/xsk.c, xsk_bind): two on one queue would have to share their memory, and then the
// rings too. So a worker for which no queue is left hands its copies to one that has a queue.

/// Queues of one interface.
package enum QueueAssignment {
    /// Queues that are tried when others hold the first ones.
    private static let most = 64

    /// In the order in which a worker tries to bind: its own, then those that no worker owns, then the others'.
    ///
    /// - Parameters:
    ///   - worker: its place.
    ///   - queues: of the interface; not all of them need be in use.
    package static func order(worker: Int, workers: Int, queues: Int) -> [Int] {
        let queues = max(1, queues)
        let own = worker % queues
        let spare = workers < queues ? Array(workers..<queues) : []
        let others = (0..<min(workers, queues)).filter { $0 != own }
        return Array(([own] + spare + others).prefix(most))
    }
}
