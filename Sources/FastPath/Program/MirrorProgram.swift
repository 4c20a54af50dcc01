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

    public init(generation: UInt64 = 0, ports: [Port] = [], destinations: [Destination] = [], taps: [Tap] = []) {
        self.generation = generation
        self.ports = ports
        self.destinations = destinations
        self.taps = taps
    }

    /// How the frames of a port are captured.
    public enum CaptureMode: String, Codable, Hashable, Sendable, CaseIterable {
        /// A copy of every matched frame, made in the kernel; the original is not touched.
        case tap
        /// The port already carries copies: every frame is taken into an AF_XDP socket.
        case span
    }

    /// Which end of the link the interface is, seen from the port's owner.
    public enum Side: String, Codable, Hashable, Sendable, CaseIterable {
        /// The dataplane derives it: `peer` for a veth or tap device, `self` for the rest.
        case auto
        /// The other end is the owner (a virtual machine, a container): IN is this interface's egress.
        case peer
        /// The interface is the owner's own: IN is this interface's ingress.
        case `self`
    }

    /// The port's view: IN is toward its owner, OUT is from it.
    public enum Direction: String, Codable, Hashable, Sendable, CaseIterable {
        case `in` = "IN"
        case out = "OUT"
        case both = "BOTH"
    }

    /// How a copy is wrapped on its way to a remote monitor.
    public enum Encapsulation: String, Codable, Hashable, Sendable, CaseIterable {
        /// RFC 7348.
        case vxlan
    }

    /// A capture point: one interface of this host.
    public struct Port: Codable, Hashable, Sendable {
        public var id: String
        /// Linux interface name, 1 to 15 bytes.
        public var interface: String
        /// Captured only while the interface has this MAC address; nil for any.
        public var mac: MACAddress?
        public var capture: CaptureMode
        public var side: Side

        public init(
            id: String, interface: String, mac: MACAddress? = nil, capture: CaptureMode = .tap, side: Side = .auto
        ) {
            self.id = id
            self.interface = interface
            self.mac = mac
            self.capture = capture
            self.side = side
        }
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
        }
    }

    /// A tunnel to a remote monitor.
    public struct Tunnel: Hashable, Sendable {
        public var remote: IPv4Address
        public var encapsulation: Encapsulation
        /// The VNI, 0 ... 0xFF_FFFF.
        public var tunnelID: UInt32
        /// UDP destination port, 1 ... 65535; 4789 by default (RFC 7348 section 5).
        public var udpPort: UInt16

        public init(
            remote: IPv4Address, encapsulation: Encapsulation = .vxlan, tunnelID: UInt32, udpPort: UInt16 = 4789
        ) {
            self.remote = remote
            self.encapsulation = encapsulation
            self.tunnelID = tunnelID
            self.udpPort = udpPort
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

        public init(id: String, port: String, direction: Direction, destinations: [String]) {
            self.id = id
            self.port = port
            self.direction = direction
            self.destinations = destinations
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
    /// Largest VNI (24 bits).
    public static let largestTunnelID: UInt32 = 0xFF_FFFF
}
