// One program as the kernel and the worker run it: slots and bits for its ports and taps, the selection that the
// worker acts by, the entries that the capture program matches by. Before it: a valid MirrorProgram. After it:
// Dataplane.swift installs it, and folds its counters when the next one has taken over.

import CShims
import FastPath
import MirrorProgram

/// A program under one generation number. Depends on nothing that changes in the kernel.
final class Generation {
    let number: UInt32
    /// Its own number changes when the same program is applied under another one.
    var program: MirrorProgram
    /// Slot of each port by id.
    let slots: [String: Int]
    let selection: Selection
    let entries: CaptureEntries
    /// Taps and destinations that a frame lost at a capture point was meant for.
    let losers: [CapturePoint: (taps: [String], destinations: Set<String>)]
    /// Where the rings stood when the entries were put in place: past these no record of the generation before is left.
    var switchPositions: [UInt]?

    init(
        _ number: UInt32, _ program: MirrorProgram, slots: [String: Int], ledger: Ledger,
        indices: [MirrorProgram.Destination: Int], capture: CaptureProgram
    ) throws(HostError) {
        self.number = number
        self.program = program
        self.slots = slots
        let plan = CapturePlan(program, slots: slots)
        losers = plan.losers
        let destinations = Dictionary(uniqueKeysWithValues: program.destinations.map { ($0.id, indices[$0]!) })
        selection = Selection(
            generation: number,
            ports: plan.ports.map { port in
                Selection.Port(
                    slot: port.slot,
                    taps: port.taps.map { tap in
                        (counters: ledger.block(tap: tap.id), destinations: tap.destinations.map { destinations[$0]! })
                    })
            })
        entries = try CaptureEntries(capture, generation: number, taps: plan.taps)
    }
}
