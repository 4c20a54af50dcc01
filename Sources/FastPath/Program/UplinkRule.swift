// How copies may leave through an interface of this host. Before it: routes decide which interface that is.
// After it: the dataplane opens the kind of uplink that the rule and the interface allow, and `status` says which.

extension MirrorProgram {
    /// How frames are handed to the kernel for an interface.
    public enum UplinkKind: String, Codable, Hashable, Sendable, CaseIterable {
        /// The dataplane chooses by capability.
        case auto
        /// The TX ring of an AF_XDP socket.
        case afXDP = "af_xdp"
        /// Super-frames leave whole, through a device of the dataplane's own fed by an AF_PACKET socket; the rest as `afXDP`.
        case device
        /// An AF_PACKET socket: consecutive copies in one tunnel of one flow, equally long, go as one super-frame of UDP, other
        /// copies one by one.
        case udp
        /// As `afXDP`, but many copies that wait at once go as XDP frames: experimental.
        case live
    }

    /// What an operator allows on one interface that copies leave through.
    public struct UplinkRule: Hashable, Sendable {
        /// Linux interface name, 1 to 15 bytes.
        public var interface: String
        public var kind: UplinkKind
        /// No production traffic uses the interface: AF_XDP may take it over, zero-copy.
        public var dedicated: Bool
        /// Cap on all copies that leave through it, outer headers included in the bits; nil for none.
        public var limit: RateLimit?
        /// Nil for none: copies are tried always.
        public var fuse: Fuse?

        public init(
            interface: String, kind: UplinkKind = .auto, dedicated: Bool = false, limit: RateLimit? = nil,
            fuse: Fuse? = nil
        ) {
            self.fuse = fuse
            self.interface = interface
            self.kind = kind
            self.dedicated = dedicated
            self.limit = limit
        }
    }
}

extension MirrorProgram.UplinkRule: Codable {
    private enum Keys: String, CodingKey, CaseIterable { case interface, kind, dedicated, limit, fuse }

    public init(from decoder: any Decoder) throws {
        let object = try decoder.strict(Keys.self)
        self.init(
            interface: try object.decode(String.self, forKey: .interface),
            kind: try object.decodeIfPresent(MirrorProgram.UplinkKind.self, forKey: .kind) ?? .auto,
            dedicated: try object.decodeIfPresent(Bool.self, forKey: .dedicated) ?? false,
            limit: try object.decodeIfPresent(MirrorProgram.RateLimit.self, forKey: .limit))
        // `true` and `false` stand for one as it is by itself, and for none.
        if let isThere = try? object.decode(Bool.self, forKey: .fuse) {
            fuse = isThere ? MirrorProgram.Fuse() : nil
        } else {
            fuse = try object.decodeIfPresent(MirrorProgram.Fuse.self, forKey: .fuse)
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: Keys.self)
        try object.encode(interface, forKey: .interface)
        try object.encode(kind, forKey: .kind)
        try object.encode(dedicated, forKey: .dedicated)
        try object.encodeIfPresent(limit, forKey: .limit)
        try object.encodeIfPresent(fuse, forKey: .fuse)
    }

    func validate() throws(ProgramError) {
        try validateInterface(interface, of: "uplink '\(interface)'")
        try limit?.validate("uplink '\(interface)': limit")
        try fuse?.validate("uplink '\(interface)': fuse")
    }
}
