// What `status` says of the fuse of an uplink. Before it: PortStatus.swift, whose UplinkStatus has one.

/// Whether copies flow through an uplink that has a fuse.
public struct FuseStatus: Codable, Hashable, Sendable {
    public enum State: String, Codable, Hashable, Sendable {
        case whole
        /// Copies are shed, and counted as `fused`.
        case blown
        /// Copies flow after a pause; it is whole when all goes well for longer than that pause.
        case onTrial = "on_trial"
    }

    public var state: State
    /// How often it has blown since the uplink was opened.
    public var blown: UInt64
    /// What it has blown of; nil for never.
    public var reason: String?

    public init(state: State, blown: UInt64, reason: String? = nil) {
        self.state = state
        self.blown = blown
        self.reason = reason
    }
}
