// The sequence numbers of tunnels, by the two addresses between which they run. A number outlives tables and programs as
// long as some destination leads to its remote. Before it: DestinationRoute.swift. After it: the forwarding table.

import FastPath
import MirrorProgram

/// Words that the worker counts up, one for each pair of addresses.
final class SequenceNumbers {
    private struct Pair: Hashable {
        var source, remote: IPAddress
    }

    private var words: [Pair: SequenceWord] = [:]

    /// The word of a pair, made at its first mention.
    func word(source: IPAddress, remote: IPAddress) -> SequenceWord {
        let pair = Pair(source: source, remote: remote)
        if let word = words[pair] { return word }
        let word = SequenceWord.allocate()
        words[pair] = word
        return word
    }

    /// Forgets the pairs to every other remote. Call it when no table refers to them any more.
    func retain(remotes: Set<IPAddress>) {
        for (pair, word) in words where !remotes.contains(pair.remote) {
            word.deallocate()
            words[pair] = nil
        }
    }
}
