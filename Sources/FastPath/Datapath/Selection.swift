// What the taps of one generation select, in raw memory: made by the host side for every new program, read by the
// worker for every frame (Mirror.swift, Actions.swift). A record is acted on only under the selection that matched it.

import CShims
public import MirrorProgram

/// One tap of a port: where its frames go, where they are counted, and what is done with them.
struct TapAction {
    var counters: CounterBlock
    /// Bit i: destination i of the slot.
    var destinations: UInt64
    /// Bit i: spread i of the slot.
    var spreads: UInt64
    /// Bit i: destination i of the slot, which gets what the others get and is counted for itself alone.
    var watchers: UInt64
    var rules: TapRules
}

/// One captured port under one program.
struct Slot {
    var taps: UnsafeMutablePointer<TapAction>
    /// Indices of the table's destinations.
    var destinations: UnsafeMutablePointer<UInt32>
    var spreads: UnsafeMutablePointer<Spread>
    /// Bits of the taps that exist, and of those that want some frames only.
    var known: UInt64
    var filtered: UInt64 = 0
    /// Those of all taps.
    var watchers: UInt64 = 0
    /// Bits of the taps that select the frames of HS_IN, and of HS_OUT.
    var inward: UInt64 = 0
    var outward: UInt64 = 0
    /// No tap does more than to copy frames whole to destinations of its own.
    var isPlain = true
}

/// What the taps of one generation select: slot x tap -> destinations. Immutable; shared by tables.
public final class Selection {
    public let generation: UInt32
    let slots: UnsafeMutablePointer<Slot>
    private let memory: SelectionMemory

    /// One tap; destinations and watchers are indices of the table's, spreads of the port's.
    public struct Tap {
        public var counters: CounterBlock
        public var destinations: [Int]
        /// Which of an `inline` port's frames it selects; the rest are matched before the worker sees them.
        public var direction: MirrorProgram.Direction
        public var spreads: [Int]
        /// Destinations of nobody's program: they get what the tap carries, and it counts nothing of theirs.
        public var watchers: [Int]
        /// The tap whose actions are to be done, and where its sampler and buckets stand; nil for none.
        public var actions: (tap: MirrorProgram.Tap, state: TapState)?

        public init(
            counters: CounterBlock, destinations: [Int], direction: MirrorProgram.Direction = .both,
            spreads: [Int] = [], watchers: [Int] = [],
            actions: (tap: MirrorProgram.Tap, state: TapState)? = nil
        ) {
            self.counters = counters
            self.destinations = destinations
            self.direction = direction
            self.spreads = spreads
            self.watchers = watchers
            self.actions = actions
        }
    }

    /// A destination of several; members are indices of the table's destinations, with their ids.
    public struct SpreadPlan {
        public var counters: CounterBlock
        public var members: [(id: String, index: Int)]

        public init(counters: CounterBlock, members: [(id: String, index: Int)]) {
            self.counters = counters
            self.members = members
        }
    }

    /// A port of a selection.
    public struct Port {
        /// 0 ..< HS_SLOTS.
        public var slot: Int
        /// In the order of the bits of a record's `taps`, at most 64.
        public var taps: [Tap]
        /// At most 64.
        public var spreads: [SpreadPlan]

        public init(slot: Int, taps: [Tap], spreads: [SpreadPlan]) {
            self.slot = slot
            self.taps = taps
            self.spreads = spreads
        }

        /// Taps that only copy.
        public init(slot: Int, taps: [(counters: CounterBlock, destinations: [Int])]) {
            let taps = taps.map { Tap(counters: $0.counters, destinations: $0.destinations) }
            self.init(slot: slot, taps: taps, spreads: [])
        }
    }

    /// - Precondition: slots are unique; a port has at most 64 taps, 64 spreads and 64 different destinations, members
    ///   and watchers included.
    public init(generation: UInt32, ports: [Port]) {
        self.generation = generation
        let memory = SelectionMemory(ports)
        self.memory = memory
        slots = .allocate(capacity: Int(HS_SLOTS))
        slots.initialize(
            repeating: Slot(taps: memory.taps, destinations: memory.destinations, spreads: memory.spreads, known: 0),
            count: Int(HS_SLOTS))
        for port in ports { slots[port.slot] = memory.write(port) }
    }

    deinit { slots.deallocate() }
}
