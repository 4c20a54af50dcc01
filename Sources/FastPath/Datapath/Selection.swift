// What the taps of one generation select, in raw memory: made by the host side for every new program, read by the
// worker for every frame (Mirror.swift). A record is acted on only under the selection that matched it.

import CShims

/// One tap of a port: where its frames go and where they are counted.
struct TapAction {
    var counters: CounterBlock
    /// Bit i: destination i of the slot.
    var destinations: UInt64
}

/// One captured port under one program.
struct Slot {
    var taps: UnsafeMutablePointer<TapAction>
    /// Indices of the table's destinations.
    var destinations: UnsafeMutablePointer<UInt32>
    /// Bits of the taps that exist.
    var known: UInt64
}

/// What the taps of one generation select: slot x tap -> destinations. Immutable; shared by tables.
public final class Selection {
    public let generation: UInt32
    let slots: UnsafeMutablePointer<Slot>
    private let taps: UnsafeMutablePointer<TapAction>
    private let destinations: UnsafeMutablePointer<UInt32>

    /// A port of a selection.
    public struct Port {
        /// 0 ..< HS_SLOTS.
        public var slot: Int
        /// In the order of the bits of a record's `taps`, at most 64; destinations are indices of the table's.
        public var taps: [(counters: CounterBlock, destinations: [Int])]

        public init(slot: Int, taps: [(counters: CounterBlock, destinations: [Int])]) {
            self.slot = slot
            self.taps = taps
        }
    }

    /// - Precondition: slots are unique; a port has at most 64 taps and 64 different destinations.
    public init(generation: UInt32, ports: [Port]) {
        self.generation = generation
        slots = .allocate(capacity: Int(HS_SLOTS))
        taps = .allocate(capacity: max(1, ports.reduce(0) { $0 + $1.taps.count }))
        destinations = .allocate(
            capacity: max(1, ports.reduce(0) { $0 + $1.taps.reduce(0) { $0 + $1.destinations.count } }))
        slots.initialize(
            repeating: Slot(taps: taps, destinations: destinations, known: 0), count: Int(HS_SLOTS))
        var nextTap = taps
        var nextDestination = destinations
        for port in ports {
            let unique = port.taps.flatMap(\.destinations).reduce(into: [Int]()) { list, index in
                if !list.contains(index) { list.append(index) }
            }
            precondition(port.taps.count <= 64 && unique.count <= 64)
            slots[port.slot] = Slot(
                taps: nextTap, destinations: nextDestination,
                known: port.taps.count == 64 ? .max : 1 << UInt64(port.taps.count) - 1)
            for index in unique {
                nextDestination.initialize(to: UInt32(index))
                nextDestination += 1
            }
            for tap in port.taps {
                let mask = tap.destinations.reduce(UInt64(0)) { $0 | 1 << UInt64(unique.firstIndex(of: $1)!) }
                nextTap.initialize(to: TapAction(counters: tap.counters, destinations: mask))
                nextTap += 1
            }
        }
    }

    deinit {
        slots.deallocate()
        taps.deallocate()
        destinations.deallocate()
    }
}
