// Commits on their way to the disk: those that come while others are written are written together by the next
// transaction, with one fsync for all; each has its own compared revisions and its own outcome, which it learns after
// that fsync and not before. Before: Store.commit. After: SQLiteStore's one transaction.

import Synchronization

/// What one transaction of the disk came to.
package struct CommitObservation: Hashable, Sendable {
    /// From the oldest commit's arrival to the end of the fsync.
    package var seconds: Double
    /// Commits that were written, and those that were refused because what they had read is no longer so.
    package var committed: Int
    package var conflicts: Int
    /// Commits that could not be written.
    package var failed: Int
}

/// Groups commits; bounded.
final class CommitQueue: Sendable {
    /// Most commits of one transaction: nobody waits for more than a moment.
    static let largestGroup = 128
    /// Most commits that wait; what comes then is refused at once.
    static let mostWaiting = 2048

    typealias Outcome = Result<Revision, StoreError>

    private struct Waiting {
        let commit: Commit
        let since: ContinuousClock.Instant
        let done: CheckedContinuation<Outcome, Never>
    }

    private struct State {
        var waiting: [Waiting] = []
        var isWriting = false
    }

    private enum Entry { case first, further, full }

    private let state = Mutex(State())
    private let write: @Sendable ([Commit]) async -> [Outcome]
    private let observe: @Sendable (CommitObservation) -> Void

    /// - Parameters:
    ///   - write: writes all in one transaction and gives each its outcome, in the same order.
    ///   - observe: called after each transaction.
    init(
        observe: @escaping @Sendable (CommitObservation) -> Void,
        write: @escaping @Sendable ([Commit]) async -> [Outcome]
    ) {
        self.observe = observe
        self.write = write
    }

    func commit(_ commit: Commit) async -> Outcome {
        await withCheckedContinuation { done in
            let entry = state.withLock { state -> Entry in
                if state.waiting.count >= Self.mostWaiting { return .full }
                state.waiting.append(Waiting(commit: commit, since: .now, done: done))
                if state.isWriting { return .further }
                state.isWriting = true
                return .first
            }
            switch entry {
            case .further: break
            case .first: Task { await drain() }
            case .full:
                done.resume(
                    returning: .failure(.unavailable("\(Self.mostWaiting) others wait for the disk; try again")))
            }
        }
    }

    private func drain() async {
        while let group = next() {
            let outcomes = await write(group.map(\.commit))
            var observation = CommitObservation(
                seconds: (ContinuousClock.now - group[0].since) / .seconds(1), committed: 0, conflicts: 0, failed: 0)
            for (waiting, outcome) in zip(group, outcomes) {
                switch outcome {
                case .success: observation.committed += 1
                case .failure(.conflict): observation.conflicts += 1
                case .failure(.unavailable): observation.failed += 1
                }
                waiting.done.resume(returning: outcome)
            }
            observe(observation)
        }
    }

    private func next() -> [Waiting]? {
        state.withLock { state in
            let group = Array(state.waiting.prefix(Self.largestGroup))
            state.waiting.removeFirst(group.count)
            if group.isEmpty { state.isWriting = false }
            return group.isEmpty ? nil : group
        }
    }
}
