// A port changes its worker, which only a new program can make it do. Before it: PortAssignment.swift decides. After it:
// Reconcile.swift puts the new program's entries in place between these two steps.

import FastPath
import Glibc

extension Dataplane {
    /// Workers that get ports from others, the last one first.
    func workersThatGain(_ generation: Generation) -> [WorkerHost] {
        guard let previous, previous !== generation else { return [] }
        let places = generation.assignment.workers.filter { id, place in
            previous.slots[id] != nil && previous.worker(of: id) != place
        }
        return Set(places.values).sorted(by: >).map { workers[$0] }
    }

    /// A worker that gets a port takes its frames only when the one before has sent those that it had: they stay in order.
    /// Ports move from later workers to earlier ones (PortAssignment), so nobody waits for one that waits for it.
    func release(_ gaining: [WorkerHost], _ positions: [[UInt]]) {
        let deadline = ContinuousClock.now.advanced(by: .milliseconds(100))
        for worker in gaining {
            let isDone = { [self] in
                workers[(worker.place + 1)...].allSatisfy {
                    $0.thread.hasDrained(to: positions[$0.place]) && $0.uplinks.values.allSatisfy(\.isDrained)
                }
            }
            while !isDone(), ContinuousClock.now < deadline { usleep(50) }
            worker.thread.hold(false)
        }
    }

    func hasDrained(to positions: [[UInt]]) -> Bool {
        zip(workers, positions).allSatisfy { $0.thread.hasDrained(to: $1) }
    }
}
