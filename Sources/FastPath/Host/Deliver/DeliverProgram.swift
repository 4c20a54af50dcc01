// deliver.bpf.c in the kernel: one program for all underlay interfaces, the map of what is accepted, the counters.
// Before it: DeliveryPlan.swift. After it: frames; the counters come back through `statistics`.
//
// Entries are changed one by one, so a delivery that a new program leaves as it was never misses a packet.

import CLibBPF
import CShims
package import MirrorProgram

/// The deliveries of one dataplane; everything of it is gone when it is let go.
package final class DeliverProgram {
    private let object: BPFObject
    private let program: Descriptor
    private let deliveriesMap, countersMap, sequencesMap: Int32
    private let kind: CaptureHookKind?
    private let cpus: Int

    /// By interface index.
    private var hooks: [Int32: CaptureHook] = [:]
    /// Why an underlay interface could not be attached to.
    package private(set) var errors: [Int32: String] = [:]
    private var entries: [TunnelKey: Entry] = [:]
    /// Places in the map of counters, by delivery.
    private var places: [String: UInt32] = [:]

    private struct Entry: Equatable {
        var plan: DeliveryPlan
        var counters: UInt32
    }

    /// Loads the program.
    ///
    /// - Parameter kind: clsact where tcx is there too.
    package init(kind: CaptureHookKind?) throws(HostError) {
        self.kind = kind
        object = try BPFObject("deliver", base64: deliverObject)
        try object.load("deliver")
        program = Descriptor(dup(bpf_program__fd(try object.program("deliver"))))
        deliveriesMap = try object.map("deliveries")
        countersMap = try object.map("counters")
        sequencesMap = try object.map("sequences")
        cpus = max(1, Int(libbpf_num_possible_cpus()))
    }

    /// Makes the kernel hold exactly these; what is right is not touched.
    ///
    /// Order: what is not accepted any more, counters, entries, attachments, and last the attachments that nobody needs:
    /// a packet whose way has changed meets the program at one end or the other.
    package func apply(_ plans: [DeliveryPlan]) throws(HostError) {
        let underlays = plans.reduce(into: [Int32: String]()) { $0.merge($1.underlays) { name, _ in name } }
        let accepted = Dictionary(
            plans.filter { !$0.isError }.flatMap { plan in plan.keys.map { ($0, plan) } },
            uniquingKeysWith: { one, _ in one })
        for key in entries.keys where accepted[key] == nil {
            var raw = key.key
            _ = bpf_map_delete_elem(deliveriesMap, &raw)
            entries[key] = nil
        }
        try assignPlaces(plans)
        let wanted = accepted.mapValues { Entry(plan: $0, counters: places[$0.delivery.id]!) }
        for (key, entry) in wanted where entries[key] != entry {
            var raw = key.key
            var value = entry.plan.value(counters: entry.counters)
            try check("cannot accept the copies of delivery '\(entry.plan.delivery.id)'") {
                bpf_map_update_elem(deliveriesMap, &raw, &value, 0)
            }
            entries[key] = entry
        }
        errors = [:]
        for (index, name) in underlays where hooks[index] == nil {
            do throws(HostError) {
                hooks[index] = try CaptureHook(
                    program, interface: index, name: name, ingress: true, kind: kind, place: .deliver)
            } catch {
                errors[index] = error.description
            }
        }
        for index in hooks.keys where underlays[index] == nil { hooks[index] = nil }
        forgetSequences(but: Set(plans.flatMap { $0.delivery.peers.map(\.padded) }))
    }

    /// Numbers of peers that nothing is accepted from any more.
    private func forgetSequences(but peers: Set<[UInt8]>) {
        for var pair in endpoints where withUnsafeBytes(of: pair.peer, { !peers.contains(Array($0)) }) {
            _ = bpf_map_delete_elem(sequencesMap, &pair)
        }
    }

    /// The pairs of addresses that packets are numbered between.
    private var endpoints: [hs_endpoints] {
        var pairs: [hs_endpoints] = []
        var next = hs_endpoints()
        var isMore = bpf_map_get_next_key(sequencesMap, nil, &next) == 0
        while isMore {
            pairs.append(next)
            var key = next
            isMore = bpf_map_get_next_key(sequencesMap, &key, &next) == 0
        }
        return pairs
    }

    /// Interfaces that have ended take their attachments with them.
    package func letGo(of ended: Set<Int32>) {
        for index in ended { hooks[index] = nil }
    }

    /// Puts back what somebody else has put ahead of, or removed.
    ///
    /// - Parameter ours: programs of ours that stand ahead: a port that is tapped is captured first.
    /// - Returns: the interfaces where that was so.
    package func restore(behind ours: Set<UInt32>, _ links: LinkTable) -> [String] {
        var names: [String] = []
        for (index, hook) in hooks {
            let name = links[index]?.name ?? "interface \(index)"
            do throws(HostError) {
                if try hook.keepPlace(behind: ours, name) { names.append(name) }
            } catch {
                names.append(name)
                hooks[index] = nil
            }
        }
        return names
    }

    /// Whose program stands ahead of ours on an underlay interface, in words.
    package func rival(_ interface: Int32) -> String? { hooks[interface]?.rival }

    /// A delivery keeps its counters as long as any program names it.
    private func assignPlaces(_ plans: [DeliveryPlan]) throws(HostError) {
        let ids = Set(plans.map(\.delivery.id))
        places = places.filter { ids.contains($0.key) }
        let taken = Set(places.values)
        var free = (UInt32(0)..<UInt32(HS_DELIVERIES)).lazy.filter { !taken.contains($0) }.makeIterator()
        for plan in plans where places[plan.delivery.id] == nil {
            guard let place = free.next() else {
                throw HostError("delivery '\(plan.delivery.id)' finds no counters: 4096 is the limit")
            }
            var key = place
            let zeros = [hs_delivery_counters](repeating: hs_delivery_counters(), count: cpus)
            try check("cannot reset the counters of delivery '\(plan.delivery.id)'") {
                bpf_map_update_elem(countersMap, &key, zeros, 0)
            }
            places[plan.delivery.id] = place
        }
    }

    // MARK: Counters

    /// The counters of one delivery.
    package func statistics(of delivery: MirrorProgram.Delivery) -> DeliveryStatistics {
        var sum = DeliveryStatistics(id: delivery.id, frames: 0, bytes: 0, drops: [:], gaps: gaps(of: delivery))
        for drop in DeliveryStatistics.Drop.allCases { sum.drops[drop.rawValue] = 0 }
        guard var key = places[delivery.id] else { return sum }
        var values = [hs_delivery_counters](repeating: hs_delivery_counters(), count: cpus)
        guard bpf_map_lookup_elem(countersMap, &key, &values) == 0 else { return sum }
        for value in values {
            sum.frames += value.frames
            sum.bytes += value.bytes
            for (drop, count) in zip(
                DeliveryStatistics.Drop.allCases,
                [value.drops.0, value.drops.1, value.drops.2, value.drops.3, value.drops.4])
            {
                sum.drops[drop.rawValue]! += count
            }
        }
        return sum
    }

    /// Numbers that were passed over by the peers of a delivery, whatever id they were of.
    private func gaps(of delivery: MirrorProgram.Delivery) -> UInt64? {
        let peers = Set(delivery.peers.map(\.padded))
        var sum: UInt64?
        for var key in endpoints {
            var value = hs_sequence()
            guard withUnsafeBytes(of: key.peer, { peers.contains(Array($0)) }),
                bpf_map_lookup_elem(sequencesMap, &key, &value) == 0
            else { continue }
            if let local = delivery.local, withUnsafeBytes(of: key.local, { Array($0) != local.padded }) { continue }
            sum = (sum ?? 0) + value.gaps
        }
        let isNumbered = delivery.encapsulation.isAlwaysSequenced
        return delivery.encapsulation.usualUDPPort == nil ? sum ?? (isNumbered ? 0 : nil) : nil
    }
}

extension IPAddress {
    /// Sixteen octets: an IPv4 address in the first four.
    fileprivate var padded: [UInt8] { octets + [UInt8](repeating: 0, count: 16 - octets.count) }
}
