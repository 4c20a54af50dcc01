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
    /// Place of the worker that serves each port.
    let assignment: PortAssignment
    /// By worker: each has its own ports alone.
    private(set) var selections: [Selection]
    let entries: CaptureEntries
    /// Taps and destinations that a frame lost at a capture point was meant for.
    let losers: [CapturePoint: (taps: [String], destinations: Set<String>)]
    /// What the kernel carries by itself, and by tap why it does not where it should.
    let carried: [CapturePoint: CarryPlan]
    let obstacles: [String: String]
    /// By port, what it could carry besides; and the ports for which it does.
    let offers: [String: EngineOffer]
    let chosen: Set<String>
    private var seen: [CapturePoint: CaptureCounts] = [:]
    /// Where the rings of each worker stood when the entries were put in place: past these no record of the generation before is left.
    var switchPositions: [[UInt]]?
    private let ports: [[CapturePlan.Port]]
    private let targets: Targets
    private let ledger: Ledger

    init(
        _ number: UInt32, _ program: MirrorProgram, slots: [String: Int], assignment: PortAssignment, workers: Int,
        ledger: Ledger, indices: [MirrorProgram.Destination: Int], capture: CaptureProgram?, auto: AutoEngine
    ) throws(HostError) {
        self.number = number
        self.program = program
        self.slots = slots
        let plan = CapturePlan(program, slots: slots, auto: auto)
        carried = plan.carried.filter { !$0.value.taps.isEmpty }
        obstacles = plan.obstacles
        offers = plan.offers
        if case .chosen(let ports) = auto { chosen = ports.intersection(plan.offers.keys) } else { chosen = [] }
        losers = plan.losers
        self.assignment = assignment
        let places = Dictionary(
            uniqueKeysWithValues: slots.map { ($0.value, assignment.workers[$0.key] ?? 0) })
        let ports = (0..<workers).map { worker in plan.ports.filter { places[$0.slot] == worker } }
        self.ports = ports
        let targets = Targets(program, indices)
        self.targets = targets
        self.ledger = ledger
        selections = ports.indices.map { targets.selection(number, ports[$0], ledger, [], worker: $0) }
        entries = try CaptureEntries(
            capture, generation: number, taps: plan.taps, wishes: plan.wishes, foreign: plan.foreign,
            carrying: plan.carried, indices: targets.places, workers: places)
    }

    /// What only the kernel has counted so far.
    func kernelTallies() -> (taps: [String: KernelTally], destinations: [String: KernelTally]) {
        var sums: (taps: [String: KernelTally], destinations: [String: KernelTally]) = ([:], [:])
        for (point, losers) in losers {
            let lost = KernelTally(lost: entries.counts(point).lost)
            for id in losers.taps { sums.taps[id, default: KernelTally()] += lost }
            for id in losers.destinations { sums.destinations[id, default: KernelTally()] += lost }
        }
        entries.countCarried(taps: &sums.taps, destinations: &sums.destinations)
        return sums
    }

    /// What has passed a port's capture points since the last call.
    func traffic(of offer: EngineOffer) -> EngineChoice.Traffic {
        var traffic = EngineChoice.Traffic()
        for (point, clones) in offer.clones {
            let (counts, before) = (entries.counts(point), seen[point] ?? CaptureCounts())
            seen[point] = counts
            traffic.frames += counts.matched - before.matched
            traffic.clones += (counts.buffers - before.buffers) * UInt64(clones)
        }
        return traffic
    }

    /// Lets these look on, and no others, from the next table on. What the capture program does is the same.
    func select(_ watches: [Watch]) {
        selections = ports.indices.map { targets.selection(number, ports[$0], ledger, watches, worker: $0) }
    }

    /// Place of the worker that serves a port.
    func worker(of port: String) -> Int { assignment.workers[port] ?? 0 }

    /// The destinations of a program by id: places in the table, and the members of spreads.
    private struct Targets {
        private(set) var places: [String: Int] = [:]
        private var spreads: [String: [(id: String, index: Int)]] = [:]

        init(_ program: MirrorProgram, _ indices: [MirrorProgram.Destination: Int]) {
            for destination in program.destinations { places[destination.id] = indices[destination] }
            for destination in program.destinations {
                guard case .spread(let members) = destination.target else { continue }
                spreads[destination.id] = members.map { (id: $0, index: places[$0]!) }
            }
        }

        func selection(
            _ number: UInt32, _ ports: [CapturePlan.Port], _ ledger: Ledger, _ watches: [Watch], worker: Int
        ) -> Selection {
            Selection(generation: number, ports: ports.map { port($0, ledger, watches, worker) })
        }

        private func port(
            _ port: CapturePlan.Port, _ ledger: Ledger, _ watches: [Watch], _ worker: Int
        ) -> Selection.Port {
            let used = Set(port.taps.flatMap(\.destinations)).filter { spreads[$0] != nil }.sorted()
            let taps = port.taps.map { tap in
                Selection.Tap(
                    counters: ledger.block(tap: tap.id), destinations: tap.destinations.compactMap { places[$0] },
                    direction: tap.direction,
                    spreads: tap.destinations.compactMap(used.firstIndex),
                    watchers: watches.filter { $0.taps.contains(tap.id) }.map(\.place),
                    actions: tap.hasActions ? (tap: tap, state: ledger.state(of: tap)) : nil)
            }
            let plans = used.map { id in
                Selection.SpreadPlan(
                    counters: ledger.block(destination: id, worker: worker), members: spreads[id]!)
            }
            return Selection.Port(slot: port.slot, taps: taps, spreads: plans)
        }
    }
}
