// What a dataplane runs: an immutable table, port x direction -> taps -> destinations, in names and addresses.
// The control process makes it, or a person writes it in a file (docs/program.md); the dataplane alone resolves
// it to interface indices and next hops.

/// A whole mirroring configuration of one host. A dataplane runs exactly one at a time.
public struct MirrorProgram: Codable, Hashable, Sendable {
    /// Chosen by whoever made the program and echoed in `status`: an acknowledgement says which program it is for.
    public var generation: UInt64
    public var ports: [Port]
    public var destinations: [Destination]
    public var taps: [Tap]
    public var deliveries: [Delivery]
    /// Rules for interfaces that copies leave through; those without one are shared and chosen for by capability.
    public var uplinks: [UplinkRule]

    public init(
        generation: UInt64 = 0, ports: [Port] = [], destinations: [Destination] = [], taps: [Tap] = [],
        deliveries: [Delivery] = [], uplinks: [UplinkRule] = []
    ) {
        self.generation = generation
        self.ports = ports
        self.destinations = destinations
        self.taps = taps
        self.deliveries = deliveries
        self.uplinks = uplinks
    }

    /// Where copies go.
    public struct Destination: Codable, Hashable, Sendable {
        public var id: String
        public var target: Target

        public init(id: String, target: Target) {
            self.id = id
            self.target = target
        }

        public enum Target: Hashable, Sendable {
            case tunnel(Tunnel)
            /// A port of this host, by interface name: the frame is sent out of it without encapsulation.
            case interface(String)
            /// Ids of other destinations, tunnels or interfaces: each flow goes to one of them, both directions to the
            /// same, chosen by rendezvous hashing, so that one which leaves moves its own flows and no others.
            case spread([String])
        }
    }

    /// One selection of frames: those of one port in one direction, to one or more destinations.
    public struct Tap: Codable, Hashable, Sendable {
        public var id: String
        /// `id` of the port.
        public var port: String
        public var direction: Direction
        /// `id`s of the destinations, at least one; a frame reaches each once.
        public var destinations: [String]
        /// Nil for all frames, tagged or not; else tagged ones alone.
        public var vlanFilter: VLANFilter?
        public var filter: PacketFilter?
        /// Bytes of a frame that are kept, from its Ethernet header on, 14 ... 65,535; nil for all.
        public var snaplen: Int?
        public var sampling: Sampling?
        public var rateLimit: RateLimit?
        public var engine: Engine

        public init(
            id: String, port: String, direction: Direction, destinations: [String], vlanFilter: VLANFilter? = nil,
            filter: PacketFilter? = nil, snaplen: Int? = nil, sampling: Sampling? = nil, rateLimit: RateLimit? = nil,
            engine: Engine = .auto
        ) {
            self.id = id
            self.port = port
            self.direction = direction
            self.destinations = destinations
            self.vlanFilter = vlanFilter
            self.filter = filter
            self.snaplen = snaplen
            self.sampling = sampling
            self.rateLimit = rateLimit
            self.engine = engine
        }
    }

    /// Copies that arrive from other hosts and are taken out of their tunnel here, for a port of this host.
    public struct Delivery: Codable, Hashable, Sendable {
        public var id: String
        /// Outer source addresses that are accepted, at least one.
        public var peers: [IPAddress]
        /// Outer destination address that is accepted; nil for any, be it this host's or not.
        public var local: IPAddress?
        public var encapsulation: Encapsulation
        /// 0 ... `encapsulation.largestTunnelID`.
        public var tunnelID: UInt32
        /// UDP destination port; of no meaning without UDP.
        public var udpPort: UInt16
        /// The port that gets the inner frames, by interface name.
        public var interface: String

        public init(
            id: String, peers: [IPAddress], local: IPAddress? = nil, encapsulation: Encapsulation = .vxlan,
            tunnelID: UInt32, udpPort: UInt16? = nil, interface: String
        ) {
            self.id = id
            self.peers = peers
            self.local = local
            self.encapsulation = encapsulation
            self.tunnelID = tunnelID
            self.udpPort = udpPort ?? encapsulation.usualUDPPort ?? 0
            self.interface = interface
        }
    }

    /// Largest `generation`: a number that every JSON reader keeps exactly.
    public static let largestGeneration: UInt64 = 1 << 53 - 1
    /// Number of ports that one dataplane captures.
    public static let portsPerProgram = 1024
    /// Number of taps that one port can carry.
    public static let tapsPerPort = 64
    /// Number of different destinations that the taps of one port can have together.
    public static let destinationsPerPort = 64
    /// Number of destinations of one program: half of what the loop guard holds, for two programs at a switch.
    public static let destinationsPerProgram = 8192
    /// Number of peers and ids that one dataplane accepts copies from.
    public static let deliveriesPerProgram = 4096
    /// Snap lengths that a tap may have.
    public static let snaplens = 14...65535
    /// Instructions of one packet filter (linux/bpf_common.h, BPF_MAXINSNS).
    public static let instructionsPerFilter = 4096
}
