// The dataplane's control socket: newline-delimited JSON, one request and one reply a line.
// Requests come from the control process and the operator's commands; docs/program.md shows both.

/// One line to the dataplane.
public enum DataplaneRequest: Codable, Hashable, Sendable {
    /// Replace the running program; answered when the kernel runs it and the state directory holds it.
    case apply(MirrorProgram)
    /// What runs, as it was really obtained.
    case status
    /// Counters.
    case stats
    /// Copies of taps, by id, on this connection, until it ends: behind the reply come bytes of pcapng.
    case watch([String])

    private enum Keys: String, CodingKey { case method, program, taps }

    public init(from decoder: any Decoder) throws {
        let object = try decoder.container(keyedBy: Keys.self)
        switch try object.decode(String.self, forKey: .method) {
        case "apply": self = .apply(try object.decode(MirrorProgram.self, forKey: .program))
        case "status": self = .status
        case "stats": self = .stats
        case "watch": self = .watch(try object.decode([String].self, forKey: .taps))
        case let other:
            throw DecodingError.dataCorruptedError(
                forKey: .method, in: object,
                debugDescription: "unknown method '\(other)'; known: apply, status, stats, watch")
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: Keys.self)
        switch self {
        case .apply(let program):
            try object.encode("apply", forKey: .method)
            try object.encode(program, forKey: .program)
        case .status: try object.encode("status", forKey: .method)
        case .stats: try object.encode("stats", forKey: .method)
        case .watch(let taps):
            try object.encode("watch", forKey: .method)
            try object.encode(taps, forKey: .taps)
        }
    }
}

/// One line from the dataplane: exactly one of its members is present.
public struct DataplaneReply: Codable, Hashable, Sendable {
    /// Answer to `apply` and `status`.
    public var status: DataplaneStatus?
    /// Answer to `stats`.
    public var stats: DataplaneStatistics?
    /// Answer to `watch`: the ids.
    public var watch: [String]?
    /// The request was refused; nothing has changed.
    public var error: String?

    public init(
        status: DataplaneStatus? = nil, stats: DataplaneStatistics? = nil, watch: [String]? = nil, error: String? = nil
    ) {
        self.status = status
        self.stats = stats
        self.watch = watch
        self.error = error
    }
}

/// What a dataplane runs, as it was really obtained.
public struct DataplaneStatus: Codable, Hashable, Sendable {
    public var version: String
    public var pid: Int32
    /// Random at every start of the dataplane: counters begin anew with it.
    public var epoch: String
    /// `generation` of the running program; nil when there is none yet.
    public var generation: UInt64?
    public var ports: [PortStatus]
    public var destinations: [DestinationStatus]
    public var taps: [TapStatus]
    public var deliveries: [DeliveryStatus]
    /// Interfaces that copies leave through now.
    public var uplinks: [UplinkStatus]
    /// In their order.
    public var workers: [WorkerStatus]

    public init(
        version: String, pid: Int32, epoch: String, generation: UInt64?, ports: [PortStatus] = [],
        destinations: [DestinationStatus] = [], taps: [TapStatus] = [], deliveries: [DeliveryStatus] = [],
        uplinks: [UplinkStatus] = [], workers: [WorkerStatus] = []
    ) {
        self.version = version
        self.pid = pid
        self.epoch = epoch
        self.generation = generation
        self.ports = ports
        self.destinations = destinations
        self.taps = taps
        self.deliveries = deliveries
        self.uplinks = uplinks
        self.workers = workers
    }
}

/// State of a destination.
public struct DestinationStatus: Codable, Hashable, Sendable {
    public enum State: String, Codable, Hashable, Sendable {
        case ready
        /// Copies are dropped and counted for now; `reason` says why.
        case unreachable
        /// The kernel refused the uplink; `reason` says what.
        case error
    }

    public var id: String
    public var state: State
    /// Interface that copies leave through.
    public var uplink: String?
    /// Our outer source address.
    public var source: IPAddress?
    public var nextHop: MACAddress?
    /// Largest IP packet toward the destination, bytes.
    public var mtu: Int?
    public var reason: String?

    private enum CodingKeys: String, CodingKey {
        case id, state, uplink, source, mtu, reason
        case nextHop = "next_hop"
    }

    public init(
        id: String, state: State, uplink: String? = nil, source: IPAddress? = nil, nextHop: MACAddress? = nil,
        mtu: Int? = nil, reason: String? = nil
    ) {
        self.id = id
        self.state = state
        self.uplink = uplink
        self.source = source
        self.nextHop = nextHop
        self.mtu = mtu
        self.reason = reason
    }
}

/// State of a tap.
public struct TapStatus: Codable, Hashable, Sendable {
    public enum State: String, Codable, Hashable, Sendable {
        /// Its port is captured. A destination that cannot be reached is a `reason`, not another state.
        case active
        case down
        case error
    }

    public var id: String
    public var state: State
    /// Who makes the copies, never `auto`; nil while the port is not captured.
    public var engine: MirrorProgram.Engine?
    /// Why the kernel does where the program leaves it open and it usually would not.
    public var engineReason: String?
    public var reason: String?

    private enum CodingKeys: String, CodingKey {
        case id, state, engine, reason
        case engineReason = "engine_reason"
    }

    public init(id: String, state: State, engine: MirrorProgram.Engine? = nil, reason: String? = nil) {
        self.id = id
        self.state = state
        self.engine = engine
        self.reason = reason
    }
}

/// State of a delivery.
public struct DeliveryStatus: Codable, Hashable, Sendable {
    public enum State: String, Codable, Hashable, Sendable {
        /// Attached on every underlay interface that its peers are reached through, and its port is there.
        case ready
        /// The port's interface, or the way to a peer, is missing; `reason` says which.
        case down
        /// The kernel refused; `reason` says what.
        case error
    }

    public var id: String
    public var state: State
    /// Underlay interfaces that its packets are taken from.
    public var underlays: [String]
    public var reason: String?

    public init(id: String, state: State, underlays: [String] = [], reason: String? = nil) {
        self.id = id
        self.state = state
        self.underlays = underlays
        self.reason = reason
    }
}
