// Where frames are captured: one interface, how, and how far something else may stand in for it.
// Before it: MirrorProgram.swift, the table that it is a row of. After it: the taps that select its frames.

extension MirrorProgram {
    /// How the frames of a port are captured.
    public enum CaptureMode: String, Codable, Hashable, Sendable, CaseIterable {
        /// A copy of every matched frame, made in the kernel at the head of tcx; the original is not touched.
        case tap
        /// The same copy made by a native XDP program, of what the interface receives; what it sends is copied by tcx.
        case xdp
        /// The port already carries copies: every frame is taken into an AF_XDP socket.
        case span
        /// A bump in the wire between two ports: every frame is received by an AF_XDP socket and sent out of the other one.
        case inline
    }

    /// What to do where a port's mode cannot be had.
    public enum CapturePolicy: String, Codable, Hashable, Sendable, CaseIterable {
        /// Capture nothing, and say why.
        case require
        /// Capture in mode `tap`, and say why.
        case prefer
    }

    /// Which end of the link the interface is, seen from the port's owner.
    public enum Side: String, Codable, Hashable, Sendable, CaseIterable {
        /// The dataplane derives it: `peer` for a veth, a tap device or an `inline` port, `self` for the rest.
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

    /// A capture point: one interface of this host.
    public struct Port: Codable, Hashable, Sendable {
        public var id: String
        /// Linux interface name, 1 to 15 bytes.
        public var interface: String
        /// Network namespace of the interface: a name under /run/netns, or the absolute path of a namespace file; nil
        /// for the dataplane's own.
        public var netns: String?
        /// Captured only while the interface has this MAC address; nil for any.
        public var mac: MACAddress?
        public var capture: CaptureMode
        public var policy: CapturePolicy
        /// `inline` alone: the interface on the other side of the bump, in the same namespace.
        public var pair: String?
        public var side: Side

        /// - Parameter policy: nil for the mode's usual one, `prefer` for `xdp` and `require` for the rest.
        public init(
            id: String, interface: String, netns: String? = nil, mac: MACAddress? = nil, capture: CaptureMode = .tap,
            policy: CapturePolicy? = nil, pair: String? = nil, side: Side = .auto
        ) {
            self.id = id
            self.interface = interface
            self.netns = netns
            self.mac = mac
            self.capture = capture
            self.policy = policy ?? capture.usualPolicy
            self.pair = pair
            self.side = side
        }
    }
}

extension MirrorProgram.CaptureMode {
    /// Of a port that names no policy.
    public var usualPolicy: MirrorProgram.CapturePolicy { self == .xdp ? .prefer : .require }
}

extension MirrorProgram.Port {
    private enum Keys: String, CodingKey, CaseIterable {
        case id, interface, netns, mac, capture, policy, pair, side
    }

    public init(from decoder: any Decoder) throws {
        let object = try decoder.strict(Keys.self)
        self.init(
            id: try object.decode(String.self, forKey: .id),
            interface: try object.decode(String.self, forKey: .interface),
            netns: try object.decodeIfPresent(String.self, forKey: .netns),
            mac: try object.decodeIfPresent(MACAddress.self, forKey: .mac),
            capture: try object.decodeIfPresent(MirrorProgram.CaptureMode.self, forKey: .capture) ?? .tap,
            policy: try object.decodeIfPresent(MirrorProgram.CapturePolicy.self, forKey: .policy),
            pair: try object.decodeIfPresent(String.self, forKey: .pair),
            side: try object.decodeIfPresent(MirrorProgram.Side.self, forKey: .side) ?? .auto)
    }

    func validate() throws(ProgramError) {
        if id.isEmpty { throw ProgramError("a port has an empty id") }
        try validateInterface(interface, of: "port '\(id)'")
        try validateNamespace()
        switch (capture, pair) {
        case (.inline, nil):
            throw ProgramError("port '\(id)' is inline and has no pair; name the interface on the other side")
        case (.inline, let pair?):
            try validateInterface(pair, of: "port '\(id)', pair")
            if pair == interface {
                throw ProgramError(
                    "port '\(id)' is a pair of '\(pair)' with itself; name the interface on the other side")
            }
        case (_, .some):
            throw ProgramError(
                "port '\(id)' has a pair and is captured as \(capture.rawValue); only inline ports have one")
        case (_, nil): break
        }
    }

    private func validateNamespace() throws(ProgramError) {
        guard let netns else { return }
        let isPath = netns.hasPrefix("/") && netns.utf8.count < 4096
        let isName = !netns.contains("/") && (1...255).contains(netns.utf8.count) && netns != "." && netns != ".."
        if netns.utf8.contains(0) || !(isPath || isName) {
            throw ProgramError(
                "port '\(id)': '\(netns)' is no network namespace; write a name under /run/netns or an absolute path")
        }
    }
}
