// The one list of reasons for which a copy is dropped. Both processes, the counters of a worker and the API use it;
// the order is the order of the way of a frame, and the raw value is the index of the counter.

/// Why one copy toward one destination did not leave.
///
/// Every copy that was offered is either handed to an uplink or counted under exactly one of these.
@frozen
public enum DropReason: UInt8, CaseIterable, Sendable {
    /// The capture ring of the CPU had no room: the worker was behind.
    case captureRingFull
    /// A `span` port's RX ring or fill ring had no room: the worker was behind.
    case receiveRingFull
    /// The record was matched under a program that this worker no longer knows.
    case unknownGeneration
    /// Headers that a super-frame needs to be segmented, or a partial checksum to be completed, do not add up.
    case malformed
    /// A super-frame of a kind that is not segmented here: tunnelled, SCTP, ESP or fragmented UDP.
    case unsegmentable
    /// The rate limit of every tap that wanted the copy was reached.
    case rateLimited
    /// No route leads to the destination.
    case noRoute
    /// The next hop's link-layer address is not known; the kernel was asked to resolve it.
    case neighbourUnresolved
    /// The uplink, or the destination's interface, is down, without carrier, or missing.
    case uplinkDown
    /// The path MTU leaves no room for the outer headers and an Ethernet header, or the copy is too long for the path and
    /// its tunnel says to drop such ones.
    case exceedsMTU
    /// All UMEM chunks are on their way.
    case umemExhausted
    /// The uplink's TX ring is full: the kernel is behind.
    case txRingFull
    /// The cap on copies of the uplink was reached.
    case uplinkLimited
    /// The kernel did not take a copy that it was to encapsulate: it had no memory, or no helper of it takes the frame.
    case kernelRefused
    /// The uplink's fuse has blown: copies are shed for a while.
    case fused

    /// Index of the reason's counter, 0 ..< `DropReason.count`.
    @inlinable @inline(__always)
    public var index: Int { Int(unsafeBitCast(self, to: UInt8.self)) }

    /// Number of reasons.
    @inlinable @inline(__always)
    public static var count: Int { 15 }

    /// The reason's name in statistics and in the API: lower case, words joined by `_`.
    public var name: String {
        switch self {
        case .captureRingFull: "capture_ring_full"
        case .receiveRingFull: "receive_ring_full"
        case .unknownGeneration: "unknown_generation"
        case .malformed: "malformed"
        case .unsegmentable: "unsegmentable"
        case .rateLimited: "rate_limited"
        case .noRoute: "no_route"
        case .neighbourUnresolved: "neighbour_unresolved"
        case .uplinkDown: "uplink_down"
        case .exceedsMTU: "exceeds_mtu"
        case .umemExhausted: "umem_exhausted"
        case .txRingFull: "tx_ring_full"
        case .uplinkLimited: "uplink_limited"
        case .kernelRefused: "kernel_refused"
        case .fused: "fused"
        }
    }
}
