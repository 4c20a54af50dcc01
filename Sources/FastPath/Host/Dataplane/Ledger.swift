// All counters by the ids that people know: the worker's blocks, and what was lost before the worker saw it (no room
// in a capture ring or an RX ring), which only the kernel can count.

import FastPath
import MirrorProgram

/// Counters of taps and destinations while a program names them.
final class Ledger {
    fileprivate struct Account {
        /// By worker: nobody adds to another's words.
        var blocks: [Int: CounterBlock] = [:]
        var lost: [DropReason: UInt64] = [:]
        /// Of programs that are gone.
        var kernel = KernelTally()
    }

    private var taps: [String: Account] = [:]
    private var destinations: [String: Account] = [:]
    private var states: [Settings: TapState] = [:]

    /// The block of a tap, made at its first mention and the same ever after. A tap is of one port, and that is one
    /// worker's at a time.
    func block(tap id: String) -> CounterBlock { taps.block(id, 0) }
    func block(destination id: String, worker: Int = 0) -> CounterBlock { destinations.block(id, worker) }

    /// Where a tap's sampler and buckets stand: the same ever after, as long as it samples and limits as it does.
    func state(of tap: MirrorProgram.Tap) -> TapState {
        let settings = Settings(tap)
        if let known = states[settings] { return known }
        let state = TapState.allocate()
        states[settings] = state
        return state
    }

    private struct Settings: Hashable {
        var id: String
        var sampling: MirrorProgram.Sampling?
        var rateLimit: MirrorProgram.RateLimit?

        init(_ tap: MirrorProgram.Tap) {
            id = tap.id
            sampling = tap.sampling
            rateLimit = tap.rateLimit
        }
    }

    /// Counts frames that were offered and dropped before the worker saw them.
    func lose(_ count: UInt64, _ reason: DropReason, taps: some Sequence<String>, destinations: some Sequence<String>) {
        if count == 0 { return }
        for id in taps { self.taps[id]?.lost[reason, default: 0] += count }
        for id in destinations { self.destinations[id]?.lost[reason, default: 0] += count }
    }

    /// Keeps what the kernel has counted under a program that ends.
    func fold(_ tallies: (taps: [String: KernelTally], destinations: [String: KernelTally])) {
        for (id, tally) in tallies.taps { taps[id]?.kernel += tally }
        for (id, tally) in tallies.destinations { destinations[id]?.kernel += tally }
    }

    /// Forgets everything that these programs do not name. Call it when no table refers to it any more.
    func retain(_ programs: [MirrorProgram]) {
        taps.retain(Set(programs.flatMap { $0.taps.map(\.id) }))
        destinations.retain(Set(programs.flatMap { $0.destinations.map(\.id) }))
        let settings = Set(programs.flatMap { $0.taps.map(Settings.init) })
        for (unused, state) in states where !settings.contains(unused) {
            state.deallocate()
            states[unused] = nil
        }
    }

    /// Adds up what is counted.
    ///
    /// - Parameter pending: what the kernel counts under the programs that are there, of each of them.
    func statistics(
        of program: MirrorProgram, pending: [(taps: [String: KernelTally], destinations: [String: KernelTally])]
    ) -> (taps: [TapStatistics], destinations: [DestinationStatistics]) {
        let tapStatistics = program.taps.map { tap in
            let sums = sums(taps[tap.id], pending.compactMap { $0.taps[tap.id] })
            return TapStatistics(
                id: tap.id, frames: sums.frames, bytes: sums.bytes, truncated: sums.truncated, drops: sums.drops)
        }
        let destinationStatistics = program.destinations.map { destination in
            let sums = sums(destinations[destination.id], pending.compactMap { $0.destinations[destination.id] })
            return DestinationStatistics(
                id: destination.id, offered: sums.offered, frames: sums.frames, bytes: sums.bytes,
                truncated: sums.truncated, drops: sums.drops)
        }
        return (tapStatistics, destinationStatistics)
    }

    private func sums(
        _ account: Account?, _ pending: [KernelTally]
    ) -> (offered: UInt64, frames: UInt64, bytes: UInt64, truncated: UInt64, drops: [String: UInt64]) {
        var kernel = account?.kernel ?? KernelTally()
        for one in pending { kernel += one }
        var lost = account?.lost ?? [:]
        lost[.captureRingFull, default: 0] += kernel.lost
        lost[.kernelRefused, default: 0] += kernel.refused
        var drops: [String: UInt64] = [:]
        let blocks = account.map { Array($0.blocks.values) } ?? []
        let sum = { (value: (CounterBlock) -> UInt64) in blocks.reduce(0) { $0 + value($1) } }
        var offered = sum(\.offered) + kernel.frames
        for reason in DropReason.allCases {
            let lost = lost[reason] ?? 0
            drops[reason.name] = sum { $0.drops(reason) } + lost
            offered += lost
        }
        return (offered, sum(\.frames) + kernel.frames, sum(\.bytes) + kernel.bytes, sum(\.truncated), drops)
    }
}

extension [String: Ledger.Account] {
    fileprivate mutating func block(_ id: String, _ worker: Int) -> CounterBlock {
        if let known = self[id]?.blocks[worker] { return known }
        let block = CounterBlock.allocate()
        self[id, default: Ledger.Account()].blocks[worker] = block
        return block
    }

    fileprivate mutating func retain(_ ids: Set<String>) {
        for (id, account) in self where !ids.contains(id) {
            for block in account.blocks.values { block.deallocate() }
            self[id] = nil
        }
    }
}
