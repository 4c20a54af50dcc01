// Who waits for the store to change, in this process. Before: a commit. After: the reconciler's turn.

import Synchronization

/// Streams of revisions, each of which holds at most the latest.
final class Watchers: Sendable {
    private struct State {
        var latest: Revision = 0
        var next = 0
        var streams: [Int: AsyncStream<Revision>.Continuation] = [:]
    }

    private let state = Mutex(State())

    func publish(_ revision: Revision) {
        state.withLock { state in
            guard revision > state.latest else { return }
            state.latest = revision
            for stream in state.streams.values { stream.yield(revision) }
        }
    }

    func watch(after revision: Revision) -> AsyncStream<Revision> {
        let (stream, continuation) = AsyncStream.makeStream(of: Revision.self, bufferingPolicy: .bufferingNewest(1))
        let id = state.withLock { state in
            state.next += 1
            state.streams[state.next] = continuation
            if state.latest > revision { continuation.yield(state.latest) }
            return state.next
        }
        continuation.onTermination = { [weak self] _ in
            _ = self?.state.withLock { $0.streams.removeValue(forKey: id) }
        }
        return stream
    }
}
