// What `status` says of a port and of an uplink, as it was really obtained. Before it: ControlProtocol.swift, the
// answer that they are part of. After it: the control process writes it into the store.

/// State of a capture point.
public struct PortStatus: Codable, Hashable, Sendable {
    public enum State: String, Codable, Hashable, Sendable {
        case capturing
        /// The interface is not there (yet), is down for a `span`, or has another MAC address than the program says.
        case down
        /// The kernel refused; `reason` says what.
        case error
    }

    public var id: String
    public var interface: String
    public var state: State
    /// The mode that the program asks for.
    public var capture: MirrorProgram.CaptureMode
    /// `inline` alone: the interface on the other side.
    public var pair: String?
    /// The mode that the port is captured in; nil while it is not.
    public var obtained: MirrorProgram.CaptureMode?
    /// `tcx`, `clsact`, `xdp-native` or `xdp-generic`, joined by `+` where two are in use; nil while not attached.
    public var hook: String?
    /// Span and inline ports: whether the driver receives into UMEM without copying.
    public var zeroCopy: Bool?
    /// Span ports: true where the worker drives the queues by preferred busy polling; nil where that was not asked for.
    public var busyPoll: Bool?
    /// Span and inline ports: number of RX queues steered into sockets, of both ports of a pair.
    public var queues: Int?
    public var side: MirrorProgram.Side?
    public var mtu: Int?
    /// Largest MTU that the mode allows on this interface; nil for no limit of its own.
    public var mtuLimit: Int?
    /// Settings of the interface that the dataplane has changed, as `lro off`, and puts back when it leaves.
    public var changes: [String]?
    /// How often another program had taken our place on the interface and we went back; nil for never.
    public var displaced: Int?
    public var reason: String?

    private enum CodingKeys: String, CodingKey {
        case id, interface, state, capture, pair, obtained, hook, queues, side, mtu, changes, displaced, reason
        case zeroCopy = "zero_copy"
        case busyPoll = "busy_poll"
        case mtuLimit = "mtu_limit"
    }

    public init(
        id: String, interface: String, state: State, capture: MirrorProgram.CaptureMode,
        obtained: MirrorProgram.CaptureMode? = nil, hook: String? = nil, zeroCopy: Bool? = nil, queues: Int? = nil,
        side: MirrorProgram.Side? = nil, mtu: Int? = nil,
        reason: String? = nil
    ) {
        self.id = id
        self.interface = interface
        self.state = state
        self.capture = capture
        self.obtained = obtained
        self.hook = hook
        self.zeroCopy = zeroCopy
        self.queues = queues
        self.side = side
        self.mtu = mtu
        self.reason = reason
    }
}

/// An interface that copies leave through.
public struct UplinkStatus: Codable, Hashable, Sendable {
    public var interface: String
    /// What is in use, never `auto`; empty while nothing is.
    public var kinds: [MirrorProgram.UplinkKind]
    public var dedicated: Bool
    /// AF_XDP alone: whether the driver sends from UMEM without copying.
    public var zeroCopy: Bool?
    /// AF_XDP alone: queues that workers send through; workers without one hand their copies to one that has.
    public var queues: Int?
    /// AF_XDP alone: whether preferred busy polling was obtained; nil where it was not asked for.
    public var busyPoll: Bool?
    /// Kind `live` alone: copies that were given to the device as XDP frames; the others left by AF_XDP.
    public var xdpFrames: UInt64?
    /// AF_PACKET and XDP frames: copies counted as handed over that the kernel then did not take.
    public var refused: UInt64?
    /// Where the program asks for one.
    public var fuse: FuseStatus?
    /// Why it is not in use, or not as the program asks for.
    public var reason: String?

    private enum CodingKeys: String, CodingKey {
        case interface, kinds, dedicated, queues, refused, fuse, reason
        case zeroCopy = "zero_copy"
        case xdpFrames = "xdp_frames"
        case busyPoll = "busy_poll"
    }

    public init(
        interface: String, kinds: [MirrorProgram.UplinkKind], dedicated: Bool = false, zeroCopy: Bool? = nil,
        reason: String? = nil
    ) {
        self.interface = interface
        self.kinds = kinds
        self.dedicated = dedicated
        self.zeroCopy = zeroCopy
        self.reason = reason
    }
}
