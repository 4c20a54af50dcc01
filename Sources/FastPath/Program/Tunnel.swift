// How a copy is wrapped and sent to a remote monitor: the tunnel of a destination, and what may be set about it.
// Part of MirrorProgram.swift; its JSON is in TunnelCoding.swift.

extension MirrorProgram {
    /// How a copy is wrapped on its way to a remote monitor.
    public enum Encapsulation: String, Codable, Hashable, Sendable, CaseIterable {
        /// RFC 7348. Tunnel id: the VNI, 24 bits.
        case vxlan
        /// Transparent Ethernet bridging over GRE (RFC 2784, EtherType 0x6558) with a key (RFC 2890). Tunnel id: the
        /// key, 32 bits.
        case gre
        /// ERSPAN Type II (draft-foschiano-erspan-03 section 4.2, GRE protocol 0x88BE). Tunnel id: the session id, 10
        /// bits.
        case erspan2
        /// ERSPAN Type III (section 4.3, GRE protocol 0x22EB) with timestamp and direction. Tunnel id: the session
        /// id, 10 bits.
        case erspan3
        /// RFC 8926. Tunnel id: the VNI, 24 bits.
        case geneve

        /// Largest tunnel id.
        public var largestTunnelID: UInt32 {
            switch self {
            case .vxlan, .geneve: 0xFF_FFFF
            case .gre: .max
            case .erspan2, .erspan3: 0x3FF
            }
        }

        /// What the tunnel id is called in the field's terms.
        public var tunnelIDName: String {
            switch self {
            case .vxlan, .geneve: "a VNI"
            case .gre: "a GRE key"
            case .erspan2, .erspan3: "an ERSPAN session id"
            }
        }

        /// UDP port that IANA has given it; nil where there is no UDP.
        public var usualUDPPort: UInt16? {
            switch self {
            case .vxlan: 4789
            case .geneve: 6081
            case .gre, .erspan2, .erspan3: nil
            }
        }

        /// Every packet carries a sequence number (ERSPAN does, by its draft).
        public var isAlwaysSequenced: Bool { self == .erspan2 || self == .erspan3 }
    }

    /// What a copy that is too long for the path meets.
    public enum Oversize: String, Codable, Hashable, Sendable, CaseIterable {
        /// Cut to what fits; counted, and flagged where the encapsulation can say it.
        case truncate
        /// Dropped as `exceeds_mtu`.
        case drop
    }

    /// What a Geneve header tells of a copy, each as one option of the experimental class 0xFFF0 (RFC 8926 section 3.5).
    public enum GeneveOption: String, Codable, Hashable, Sendable, CaseIterable {
        /// Type 1, 4 bytes: number of the capture point within the dataplane.
        case sourcePort = "source_port"
        /// Type 2, 4 bytes: 1 for IN, 2 for OUT.
        case direction
        /// Type 3, 8 bytes: ns since 1970-01-01 UTC, when the frame was captured.
        case timestamp
    }

    /// A tunnel to a remote monitor.
    public struct Tunnel: Hashable, Sendable {
        public var remote: IPAddress
        public var encapsulation: Encapsulation
        /// 0 ... `encapsulation.largestTunnelID`.
        public var tunnelID: UInt32
        /// Outer source address, of `remote`'s version; nil for the one that the kernel's route prefers.
        public var source: IPAddress?
        /// UDP destination port, 1 ... 65535; of no meaning without UDP.
        public var udpPort: UInt16
        /// UDP source ports that the flow hash chooses from; a power of two of them is used (RFC 7348 section 5).
        public var sourcePorts: ClosedRange<UInt16>
        /// Whether the outer UDP checksum is filled; nil for: over IPv6 yes, over IPv4 no (RFC 7348 section 4.1).
        public var udpChecksum: Bool?
        /// Differentiated services code point, 0 ... 63 (RFC 2474).
        public var dscp: UInt8
        /// Outer time to live or hop limit, 1 ... 255.
        public var timeToLive: UInt8
        /// VLAN id of an outer 802.1Q tag, 1 ... 4094; nil for none.
        public var vlan: UInt16?
        /// GRE only: whether packets are numbered (RFC 2890). ERSPAN packets always are.
        public var isSequenced: Bool
        public var oversize: Oversize
        public var geneveOptions: Set<GeneveOption>

        public static let usualSourcePorts: ClosedRange<UInt16> = 49152...65535

        public init(
            remote: IPAddress, encapsulation: Encapsulation = .vxlan, tunnelID: UInt32, source: IPAddress? = nil,
            udpPort: UInt16? = nil, sourcePorts: ClosedRange<UInt16> = usualSourcePorts, udpChecksum: Bool? = nil,
            dscp: UInt8 = 0, timeToLive: UInt8 = 64, vlan: UInt16? = nil, isSequenced: Bool = false,
            oversize: Oversize = .truncate, geneveOptions: Set<GeneveOption> = Set(GeneveOption.allCases)
        ) {
            self.remote = remote
            self.encapsulation = encapsulation
            self.tunnelID = tunnelID
            self.source = source
            self.udpPort = udpPort ?? encapsulation.usualUDPPort ?? 0
            self.sourcePorts = sourcePorts
            self.udpChecksum = udpChecksum
            self.dscp = dscp
            self.timeToLive = timeToLive
            self.vlan = vlan
            self.isSequenced = isSequenced || encapsulation.isAlwaysSequenced
            self.oversize = oversize
            self.geneveOptions = encapsulation == .geneve ? geneveOptions : []
        }
    }
}
