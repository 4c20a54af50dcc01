// What the worker acts on: an immutable table in raw memory, made by the host side for every change of the program,
// a next hop, a link or a socket, and taken over by the worker between two turns. Selections and counters outlive it.

import CShims
public import MirrorProgram
import Synchronization

/// How copies toward one destination leave, as resolved now.
public struct Destination {
    /// Raw value of the `DropReason` that every copy meets now, or `noFate` when copies can be sent.
    var fate: UInt8
    /// A frame above `frameLimit` is dropped, not cut.
    var dropsOversize: Bool
    var headerLength: Int
    /// Largest frame, Ethernet header included, that fits the path.
    var frameLimit: Int
    var uplink: UnsafeMutablePointer<Uplink>
    var counters: CounterBlock
    /// `templateLength` bytes, aligned to 64.
    var template: UnsafeMutableRawPointer
    var outer: OuterFill
    /// Where super-frames go whole; nil where they are segmented here.
    var whole: WholeWay?

    @inline(__always) static var noFate: UInt8 { 0xFF }
    @inline(__always) static var templateLength: Int { 128 }
}

/// How one destination is to be written into a table.
public struct DestinationPlan {
    /// What stands in front of the frame; nil for a port of this host.
    public var encapsulation: OuterHeader?
    /// Largest frame, Ethernet header included, that may leave, in bytes.
    public var frameLimit: Int
    /// Nil only with a fate.
    public var uplink: UnsafeMutablePointer<Uplink>?
    /// Why every copy is dropped for now.
    public var fate: DropReason?
    public var counters: CounterBlock
    /// Needed by a sequenced tunnel.
    public var sequence: SequenceWord?
    public var whole: WholeWay?

    public init(
        encapsulation: OuterHeader?, frameLimit: Int, uplink: UnsafeMutablePointer<Uplink>?, fate: DropReason?,
        counters: CounterBlock, sequence: SequenceWord? = nil, whole: WholeWay? = nil
    ) {
        self.encapsulation = encapsulation
        self.frameLimit = frameLimit
        self.uplink = uplink
        self.fate = fate
        self.counters = counters
        self.sequence = sequence
        self.whole = whole
    }
}

/// The table as the worker reads it.
struct Table {
    var serial: UInt64
    var generation, previousGeneration: UInt32
    var slots, previousSlots: UnsafeMutablePointer<Slot>
    var destinations: UnsafeMutablePointer<Destination>
    var uplinks: UnsafeMutablePointer<UnsafeMutablePointer<Uplink>>
    var uplinkCount: Int
    /// Captured records of a turn.
    var budget: Int
    /// Of the uplinks, in their order.
    var limits: UnsafeMutablePointer<TokenBucket>
    var spans: UnsafeMutablePointer<UnsafeMutablePointer<SpanSource>>
    var spanCount: Int
    /// What other workers leave to this one.
    var handovers: UnsafeMutablePointer<UnsafeMutablePointer<Handover>>
    var handoverCount: Int
    var lanes: UnsafeMutablePointer<InlineLane>
    var laneCount: Int
    /// Words of the pairs that `lanes` are of.
    var heartbeats: UnsafeMutablePointer<UnsafeMutablePointer<Atomic<UInt64>>>
    var heartbeatCount: Int
    /// Chunks that copies leave for the lanes.
    var reserve: Int
    /// Chunks that the host side gives to the worker with this table.
    var returned: UnsafeMutablePointer<UInt32>
    var returnedCount: Int
    /// Room for the chunks that the host side wants; the worker puts them there when it takes the table.
    var granted: UnsafeMutablePointer<UInt32>
    var wantedCount: Int
    var packets: UnsafeMutablePointer<UnsafeMutablePointer<PacketSource>>
    var packetCount: Int
    /// Outer tuples of our own copies, for what comes from `packets`.
    var own: UnsafeMutablePointer<hs_tunnel_key>
    var ownMask: UInt32
    var grantedCount = 0
}

/// Owner of a table. The host side publishes it, and lets it go once the worker has acknowledged a later one.
public final class ForwardingTable {
    let memory: UnsafeMutablePointer<Table>
    /// Rises with every table of a worker.
    public let serial: UInt64
    public let current: Selection
    /// The selection before, until every ring has drained past the switch.
    public let previous: Selection?
    private let templates: UnsafeMutableRawPointer

    /// - Parameters:
    ///   - uplinks: every uplink of `destinations`, and those that still hold chunks.
    ///   - limits: caps of the uplinks, in their order; what is not there has none.
    ///   - packets: packet sockets in place of the capture rings.
    ///   - handovers: their exits are among `uplinks`.
    ///   - returned: chunks of closed sockets.
    ///   - wanted: free chunks to hand over, fewer if there are fewer.
    public init(
        serial: UInt64, current: Selection, previous: Selection? = nil, destinations plans: [DestinationPlan],
        uplinks: [UnsafeMutablePointer<Uplink>], limits: [MirrorProgram.RateLimit?] = [],
        spans: [UnsafeMutablePointer<SpanSource>], handovers: [UnsafeMutablePointer<Handover>] = [],
        inline: InlineLanes = InlineLanes(), packets: PacketSources = PacketSources(), returned: [UInt32] = [],
        wanted: Int = 0
    ) {
        self.serial = serial
        self.current = current
        self.previous = previous
        let bytes = max(1, plans.count) * Destination.templateLength
        let templates = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
        templates.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
        self.templates = templates
        let destinations = plans.enumerated().map { index, plan in
            Destination(plan, template: templates + index * Destination.templateLength)
        }
        let own = packets.table()
        let buckets = uplinks.indices.map { TokenBucket($0 < limits.count ? limits[$0] : nil) }
        memory = .allocate(capacity: 1)
        memory.initialize(
            to: Table(
                serial: serial, generation: current.generation,
                previousGeneration: previous?.generation ?? current.generation, slots: current.slots,
                previousSlots: previous?.slots ?? current.slots, destinations: copied(destinations),
                uplinks: copied(uplinks), uplinkCount: uplinks.count,
                budget: Self.budget(uplinks, lanes: inline.lanes.count), limits: copied(buckets), spans: copied(spans),
                spanCount: spans.count, handovers: copied(handovers), handoverCount: handovers.count,
                lanes: copied(inline.lanes), laneCount: inline.lanes.count,
                heartbeats: copied(
                    inline.heartbeats.map { $0.assumingMemoryBound(to: Atomic<UInt64>.self) }),
                heartbeatCount: inline.heartbeats.count, reserve: inline.reserve,
                returned: copied(returned), returnedCount: returned.count, granted: .allocate(capacity: max(1, wanted)),
                wantedCount: wanted, packets: copied(packets.sources), packetCount: packets.sources.count,
                own: own.keys, ownMask: own.mask))
    }

    private static func budget(_ uplinks: [UnsafeMutablePointer<Uplink>], lanes: Int) -> Int {
        if lanes > 0 { return Worker.shortBudget }
        return uplinks.contains { $0.pointee.live != nil } ? Worker.longBudget : Worker.budget
    }

    /// What the worker granted; valid once it acknowledged this table.
    public var grantedChunks: [UInt32] { (0..<memory.pointee.grantedCount).map { memory.pointee.granted[$0] } }

    deinit {
        memory.pointee.destinations.deallocate()
        memory.pointee.uplinks.deallocate()
        memory.pointee.limits.deallocate()
        memory.pointee.spans.deallocate()
        memory.pointee.handovers.deallocate()
        memory.pointee.lanes.deallocate()
        memory.pointee.heartbeats.deallocate()
        memory.pointee.returned.deallocate()
        memory.pointee.granted.deallocate()
        memory.pointee.packets.deallocate()
        memory.pointee.own.deallocate()
        memory.deallocate()
        templates.deallocate()
    }
}

extension Destination {
    /// - Precondition: the plan has an uplink or a fate.
    fileprivate init(_ plan: DestinationPlan, template: UnsafeMutableRawPointer) {
        precondition(plan.uplink != nil || plan.fate != nil)
        precondition((plan.encapsulation?.length ?? 0) <= Destination.templateLength)
        plan.encapsulation?.writeTemplate(template)
        self.init(
            fate: plan.fate?.rawValue ?? Destination.noFate,
            dropsOversize: plan.encapsulation?.tunnel.oversize == .drop,
            headerLength: plan.encapsulation?.length ?? 0,
            frameLimit: plan.frameLimit,
            // With a fate the uplink is never looked at; any aligned address will do.
            uplink: plan.uplink ?? UnsafeMutablePointer(bitPattern: MemoryLayout<Uplink>.alignment)!,
            counters: plan.counters,
            template: template,
            outer: plan.encapsulation.map { OuterFill($0, template: template, sequence: plan.sequence) } ?? OuterFill(),
            whole: plan.whole)
    }
}

private func copied<Element>(_ elements: [Element]) -> UnsafeMutablePointer<Element> {
    let memory = UnsafeMutablePointer<Element>.allocate(capacity: max(1, elements.count))
    for (index, element) in elements.enumerated() { (memory + index).initialize(to: element) }
    return memory
}
