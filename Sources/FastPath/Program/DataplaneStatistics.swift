// Counters as the dataplane reports them. They count wire frames: a super-frame counts as its segments.

/// All counters of one dataplane since its start. A drop reason that never happened is there with 0.
public struct DataplaneStatistics: Codable, Hashable, Sendable {
    /// `epoch` of the dataplane's status: another one means that counting began anew.
    public var epoch: String
    /// When the counters were read, seconds since 1970-01-01 UTC.
    public var time: Double
    public var taps: [TapStatistics]
    public var destinations: [DestinationStatistics]
    public var deliveries: [DeliveryStatistics]
    /// Of the `inline` ports that are connected.
    public var inline: [InlineStatistics]
    /// Drops that belong to no tap, by `DropReason.name`: `unknown_generation` of frames whose program is gone, and
    /// `uplink_down` of copies counted as handed to an uplink that ended before the kernel took them.
    public var strays: [String: UInt64]
    public var umem: UMEMStatistics

    public init(
        epoch: String, time: Double, taps: [TapStatistics], destinations: [DestinationStatistics],
        deliveries: [DeliveryStatistics] = [], inline: [InlineStatistics] = [], strays: [String: UInt64],
        umem: UMEMStatistics
    ) {
        self.epoch = epoch
        self.time = time
        self.taps = taps
        self.destinations = destinations
        self.deliveries = deliveries
        self.inline = inline
        self.strays = strays
        self.umem = umem
    }
}

/// Counters of one tap. A copy that serves two taps counts for both.
public struct TapStatistics: Codable, Hashable, Sendable {
    public var id: String
    /// Copies handed to an uplink, and their inner bytes (after truncation).
    public var frames: UInt64
    public var bytes: UInt64
    /// Of `frames`, those that are shorter than their frame, for whatever reason.
    public var truncated: UInt64
    /// By `DropReason.name`.
    public var drops: [String: UInt64]

    public init(id: String, frames: UInt64, bytes: UInt64, truncated: UInt64, drops: [String: UInt64]) {
        self.id = id
        self.frames = frames
        self.bytes = bytes
        self.truncated = truncated
        self.drops = drops
    }
}

/// The ledger of one destination: `offered == frames + drops.values.sum` at rest.
public struct DestinationStatistics: Codable, Hashable, Sendable {
    public var id: String
    /// (frame, destination) pairs that the taps selected.
    public var offered: UInt64
    /// Copies handed to the uplink, and their inner bytes.
    public var frames: UInt64
    public var bytes: UInt64
    public var truncated: UInt64
    /// By `DropReason.name`.
    public var drops: [String: UInt64]

    public init(
        id: String, offered: UInt64, frames: UInt64, bytes: UInt64, truncated: UInt64, drops: [String: UInt64]
    ) {
        self.id = id
        self.offered = offered
        self.frames = frames
        self.bytes = bytes
        self.truncated = truncated
        self.drops = drops
    }
}

/// Counters of one delivery: copies that came from its peers.
public struct DeliveryStatistics: Codable, Hashable, Sendable {
    /// Why a packet of a configured peer and id was not delivered.
    public enum Drop: String, Codable, Hashable, Sendable, CaseIterable {
        /// Outer headers that do not add up, or an inner frame shorter than an Ethernet header.
        case malformed
        /// A fragment of an outer packet: what it is part of is never put together here.
        case fragment
        /// The port's interface is missing or down.
        case interfaceDown = "interface_down"
        /// The inner frame is longer than the port's interface takes.
        case exceedsMTU = "exceeds_mtu"
        /// The kernel did not do what was asked for.
        case failed
    }

    public var id: String
    /// Inner frames handed to the port, and their bytes.
    public var frames: UInt64
    public var bytes: UInt64
    /// By `Drop`'s raw value.
    public var drops: [String: UInt64]
    /// Sequence numbers that were skipped by the peers' packets, over all ids of the same pair of addresses (RFC 2890
    /// section 2.2); nil where packets are not numbered.
    public var gaps: UInt64?

    public init(id: String, frames: UInt64, bytes: UInt64, drops: [String: UInt64], gaps: UInt64? = nil) {
        self.id = id
        self.frames = frames
        self.bytes = bytes
        self.drops = drops
        self.gaps = gaps
    }
}

/// Originals of one `inline` port, both ways together.
public struct InlineStatistics: Codable, Hashable, Sendable {
    /// Why an original was not passed on.
    public enum Drop: String, Codable, Hashable, Sendable, CaseIterable {
        /// An RX ring or fill ring had no room: the worker was behind.
        case receiveRingFull = "receive_ring_full"
        /// It had waited while the kernel carried later ones.
        case stale
        /// The other port's TX ring had no room, or its device did not send.
        case txRingFull = "tx_ring_full"
    }

    /// Of the port.
    public var id: String
    /// Frames that the worker has handed to the other port.
    public var forwarded: UInt64
    /// Frames that the kernel has carried from port to port because the worker was gone or late; of these there are no
    /// copies.
    public var bypassed: UInt64
    /// By `Drop`'s raw value.
    public var drops: [String: UInt64]

    public init(id: String, forwarded: UInt64, bypassed: UInt64, drops: [Drop: UInt64]) {
        self.id = id
        self.forwarded = forwarded
        self.bypassed = bypassed
        self.drops = Dictionary(uniqueKeysWithValues: Drop.allCases.map { ($0.rawValue, drops[$0] ?? 0) })
    }
}

/// Where the UMEM's chunks are: `chunks == free + fill + receive + transmit` at rest.
public struct UMEMStatistics: Codable, Hashable, Sendable {
    public var chunks: UInt64
    public var free: UInt64
    /// In fill rings or the kernel's receive path.
    public var fill: UInt64
    /// Taken from RX rings, not yet sent or given back.
    public var receive: UInt64
    /// In TX rings or the kernel's transmit path.
    public var transmit: UInt64

    public init(chunks: UInt64, free: UInt64, fill: UInt64, receive: UInt64, transmit: UInt64) {
        self.chunks = chunks
        self.free = free
        self.fill = fill
        self.receive = receive
        self.transmit = transmit
    }
}
