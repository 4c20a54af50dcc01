// The sequence numbers of tunnels, by the two addresses between which they run. A number outlives tables and programs as
// long as some destination leads to its remote, and the process itself: the kernel's own gretap and erspan devices take
// nothing that is numbered lower than what they have seen. Before it: DestinationRoute.swift. After it: the forwarding
// table.
//
// What is on disk is a number that has not been reached yet, so that it is written rarely and never by the worker: the
// next process begins there. After an orderly end nothing is skipped.

package import FastPath
import FoundationEssentials
package import Logging
package import MirrorProgram

/// Words that the worker counts up, one for each pair of addresses.
package final class SequenceNumbers {
    private struct Pair: Hashable {
        var source, remote: IPAddress
        var text: String { "\(source) \(remote)" }
    }

    private struct Number {
        let word = SequenceWord.allocate()
        /// Where the next process begins.
        var ceiling: UInt32 = 0
    }

    /// Numbers that are set aside at a time: what a pair sends in two seconds at the very most.
    package static let reserve: UInt32 = 1 << 21

    private let directory: StateDirectory?
    private let logger: Logger
    private var numbers: [Pair: Number] = [:]
    /// Of the process before, by `Pair.text`.
    private var saved: [String: UInt32] = [:]

    /// - Parameter directory: nil to begin at 0 and to keep nothing.
    package init(_ directory: StateDirectory? = nil, _ logger: Logger) {
        self.directory = directory
        self.logger = logger
        guard let directory else { return }
        do {
            guard let bytes = try directory.lastSequenceNumbers() else { return }
            saved = try JSONDecoder().decode([String: UInt32].self, from: Data(bytes))
        } catch {
            logger.error("sequence numbers begin at 0: those of the last run cannot be read: \(error)")
        }
    }

    /// The word of a pair, made at its first mention.
    package func word(source: IPAddress, remote: IPAddress) -> SequenceWord {
        let pair = Pair(source: source, remote: remote)
        if let number = numbers[pair] { return number.word }
        let number = Number()
        number.word.set(saved[pair.text] ?? 0)
        numbers[pair] = number
        keepAhead()
        return number.word
    }

    /// Forgets the pairs to every other remote. Call it when no table refers to them any more.
    package func retain(remotes: Set<IPAddress>) {
        for (pair, number) in numbers where !remotes.contains(pair.remote) {
            number.word.deallocate()
            numbers[pair] = nil
            saved[pair.text] = nil
        }
    }

    /// Sets numbers aside where the worker has come near the last ones. Call it once a second.
    package func keepAhead() {
        var isChanged = false
        for (pair, number) in numbers {
            let left = number.ceiling &- number.word.next
            if left >= Self.reserve / 2, left <= Self.reserve { continue }
            numbers[pair]!.ceiling = number.word.next &+ Self.reserve
            isChanged = true
        }
        if isChanged { save() }
    }

    /// Lets the next process go on without a gap. Call it when the worker has ended.
    package func settle() {
        if numbers.isEmpty { return }
        for (pair, number) in numbers { numbers[pair]!.ceiling = number.word.next }
        save()
    }

    private func save() {
        for (pair, number) in numbers { saved[pair.text] = number.ceiling }
        do {
            try directory?.save(sequenceNumbers: Array(JSONEncoder().encode(saved)))
        } catch {
            logger.error("receivers may refuse numbered copies after a restart: \(error)")
        }
    }
}
