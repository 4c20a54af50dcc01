// The raw memory behind a Selection: taps, destinations, spreads and filters, each kind in one piece, filled port by
// port. Before it: Selection.swift. After it: nothing; the worker reads it through the slots.

import MirrorProgram

/// Room for everything that the ports of one selection need.
final class SelectionMemory {
    let taps: UnsafeMutablePointer<TapAction>
    let destinations: UnsafeMutablePointer<UInt32>
    let spreads: UnsafeMutablePointer<Spread>
    private let members: UnsafeMutablePointer<SpreadMember>
    private let steps: UnsafeMutablePointer<FilterStep>
    private let vlans: UnsafeMutablePointer<UInt64>
    /// Stands where a tap has no actions.
    private let idle = TapState.allocate()
    private var used = (taps: 0, destinations: 0, spreads: 0, members: 0, steps: 0, vlans: 0)

    init(_ ports: [Selection.Port]) {
        let all = ports.flatMap(\.taps)
        let spreads = ports.flatMap(\.spreads)
        let count = spreads.reduce(0) { $0 + $1.members.count }
        taps = .allocate(capacity: max(1, all.count))
        destinations = .allocate(capacity: max(1, all.reduce(count) { $0 + $1.destinations.count + $1.watchers.count }))
        self.spreads = .allocate(capacity: max(1, spreads.count))
        members = .allocate(capacity: max(1, count))
        steps = .allocate(capacity: max(1, all.reduce(0) { $0 + ($1.actions?.tap.filter?.code.count ?? 0) }))
        vlans = .allocate(capacity: max(1, all.count { $0.actions?.tap.vlanFilter != nil } * 64))
    }

    deinit {
        taps.deallocate()
        destinations.deallocate()
        spreads.deallocate()
        members.deallocate()
        steps.deallocate()
        vlans.deallocate()
        idle.deallocate()
    }

    func write(_ port: Selection.Port) -> Slot {
        let indices =
            port.taps.flatMap(\.destinations) + port.spreads.flatMap { $0.members.map(\.index) }
            + port.taps.flatMap(\.watchers)
        let unique = indices.reduce(into: [Int]()) { list, index in
            if !list.contains(index) { list.append(index) }
        }
        precondition(port.taps.count <= 64 && port.spreads.count <= 64 && unique.count <= 64)
        var slot = Slot(
            taps: taps + used.taps, destinations: destinations + used.destinations, spreads: spreads + used.spreads,
            known: port.taps.count == 64 ? .max : 1 << UInt64(port.taps.count) - 1)
        for index in unique {
            (destinations + used.destinations).initialize(to: UInt32(index))
            used.destinations += 1
        }
        for spread in port.spreads { write(spread, unique) }
        for (bit, tap) in port.taps.enumerated() {
            let action = action(tap, unique)
            (taps + used.taps).initialize(to: action)
            used.taps += 1
            if tap.actions?.tap.isFiltered == true { slot.filtered |= 1 << UInt64(bit) }
            slot.watchers |= action.watchers
            if tap.direction != .out { slot.inward |= 1 << UInt64(bit) }
            if tap.direction != .in { slot.outward |= 1 << UInt64(bit) }
            if tap.actions?.tap.hasActions == true || action.spreads | action.watchers != 0 { slot.isPlain = false }
        }
        return slot
    }

    private func write(_ spread: Selection.SpreadPlan, _ unique: [Int]) {
        (spreads + used.spreads).initialize(
            to: Spread(counters: spread.counters, members: members + used.members, count: spread.members.count))
        used.spreads += 1
        for member in spread.members {
            (members + used.members).initialize(
                to: SpreadMember(seed: SpreadMember.seed(member.id), bit: UInt8(unique.firstIndex(of: member.index)!)))
            used.members += 1
        }
    }

    private func action(_ tap: Selection.Tap, _ unique: [Int]) -> TapAction {
        let bare = MirrorProgram.Tap(id: "", port: "", direction: .both, destinations: [])
        let actions = tap.actions?.tap ?? bare
        let hasVLANs = actions.vlanFilter != nil
        let rules = TapRules(
            actions, (tap.actions?.state ?? idle).levels, steps: steps + used.steps,
            vlans: hasVLANs ? vlans + used.vlans : nil)
        used.steps += actions.filter?.code.count ?? 0
        used.vlans += hasVLANs ? 64 : 0
        let bits = { (indices: [Int]) in indices.reduce(UInt64(0)) { $0 | 1 << UInt64(unique.firstIndex(of: $1)!) } }
        return TapAction(
            counters: tap.counters, destinations: bits(tap.destinations),
            spreads: tap.spreads.reduce(0) { $0 | 1 << UInt64($1) }, watchers: bits(tap.watchers), rules: rules)
    }
}
