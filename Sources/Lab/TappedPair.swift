// The lab's town: two hosts that talk through a third, whose ports are tapped, and monitors that receive the copies.
// Made of Namespace.swift; the processes under test run in `host` (DataplaneProcess.swift, ServeProcess.swift).

import Foundation

/// A tapped pair of hosts and the monitors of its copies.
///
/// ```
///  a:eth0 ── host:port-a ─┐                        ┌─ host:uplink  ── monitor:eth0  (vxlan0 behind it)
///                     host:br0     the processes   ├─ host:uplink2 ── monitor2:eth0 (vxlan0 behind it)
///  b:eth0 ── host:port-b ─┘        under test      ├─ host:local0  ── collector:eth0
///                                                  └─ host:span0   ── feeder:eth0
/// ```
///
/// `port-a` is the port that is tapped: OUT is what a sends (its ingress), IN what a receives (its egress). `span0`
/// receives what the feeder sends, as from a switch's SPAN port. `vxlan0` is the kernel's own decapsulator.
public final class TappedPair: Sendable {
    /// What varies between labs.
    public struct Options: Sendable {
        /// MTU of everything but the uplinks.
        public var mtu = 1500
        /// MTU of the uplinks; nil leaves room for the whole of a copy.
        public var uplinkMTU: Int?
        public var vni: UInt32 = 5001
        public var secondVNI: UInt32 = 5002
        /// `port-a` and `port-b` are no bridge's: what is put between them is the wire.
        public var isWire = false
        /// NICs in place of the veths between `host` and a, and b; both or none.
        public var cables: [Cable] = []
        /// NICs in place of the veth between `host` and the monitor.
        public var uplinkCable: Cable?

        public init(mtu: Int = 1500, uplinkMTU: Int? = nil) {
            self.mtu = mtu
            self.uplinkMTU = uplinkMTU
        }
    }

    /// The port that is tapped, the other one, the port that carries copies, the same-host destination; all in `host`.
    public static let tappedPort = "port-a"
    public static let otherPort = "port-b"
    public static let spanPort = "span0"
    public static let localPort = "local0"
    /// The uplinks of `host`, and the monitors' interfaces: underlay and the kernel's vxlan device.
    public static let uplink = "uplink"
    public static let secondUplink = "uplink2"
    public static let underlay = "eth0"
    public static let vxlan = "vxlan0"
    /// Underlay addresses.
    public static let hostAddress = "192.0.2.1"
    public static let monitorAddress = "192.0.2.9"
    public static let secondHostAddress = "198.51.100.1"
    public static let secondMonitorAddress = "198.51.100.9"
    /// Addresses of the pair.
    public static let addressOfA = "10.0.0.1"
    public static let addressOfB = "10.0.0.2"
    public static let macOfA = MAC(0x0200_0000_000A)
    public static let macOfB = MAC(0x0200_0000_000B)

    public let options: Options
    public let host: Namespace
    public let a: Namespace
    public let b: Namespace
    public let monitor: Namespace
    public let secondMonitor: Namespace
    public let collector: Namespace
    public let feeder: Namespace

    /// Builds the lab; what stands already is taken down when a step fails.
    public init(_ options: Options = Options()) throws {
        self.options = options
        var made: [Namespace] = []
        do {
            for label in ["host", "a", "b", "mon", "mon2", "coll", "feed"] { made.append(try Namespace(label)) }
            (host, a, b, monitor) = (made[0], made[1], made[2], made[3])
            (secondMonitor, collector, feeder) = (made[4], made[5], made[6])
            try addLinks()
            try addMonitor(monitor, Self.monitorAddress, from: Self.hostAddress, vni: options.vni)
            try addMonitor(
                secondMonitor, Self.secondMonitorAddress, from: Self.secondHostAddress, vni: options.secondVNI)
        } catch {
            made.reversed().forEach { $0.delete() }
            throw error
        }
    }

    /// Ends every process in the lab's namespaces and deletes them.
    public func delete() {
        for (cable, end) in zip(options.cables, [(Self.tappedPort, a), (Self.otherPort, b)]) {
            cable.unplug(end.0, of: host, from: end.1)
        }
        options.uplinkCable?.unplug(Self.uplink, of: host, from: monitor)
        for namespace in [feeder, collector, secondMonitor, monitor, b, a, host] { namespace.delete() }
    }

    /// Builds a lab, hands it out and takes it down again, whatever happens.
    public static func with<Outcome>(
        _ options: Options = Options(), _ body: (TappedPair) throws -> Outcome
    ) throws -> Outcome {
        let lab = try TappedPair(options)
        defer { lab.delete() }
        return try body(lab)
    }

    private func addLinks() throws {
        // VXLAN over IPv4 adds 50 bytes, of which 36 and a possible tag lie inside the outer IP packet's MTU.
        let wide = options.uplinkMTU ?? options.mtu + 100
        try host.ip("link add br0 type bridge stp_state 0 mcast_snooping 0", "link set br0 mtu \(options.mtu) up")
        try addTappedLink()
        if options.cables.count > 1 {
            try options.cables[1].plug(Self.otherPort, of: host, to: b, mac: Self.macOfB)
        } else {
            try host.ip(Self.veth(Self.otherPort, to: b, mac: Self.macOfB))
        }
        if let cable = options.uplinkCable {
            try cable.plug(Self.uplink, of: host, to: monitor)
        } else {
            try host.ip(Self.veth(Self.uplink, to: monitor))
        }
        try host.ip(
            Self.veth(Self.secondUplink, to: secondMonitor), Self.veth(Self.localPort, to: collector),
            Self.veth(Self.spanPort, to: feeder))
        for (name, mtu) in [
            (Self.otherPort, options.mtu), (Self.uplink, wide), (Self.secondUplink, wide),
            (Self.localPort, options.mtu), (Self.spanPort, options.mtu),
        ] { try host.ip("link set \(name) mtu \(mtu) up") }
        try host.ip(
            "link set \(Self.otherPort) master br0", "address add \(Self.hostAddress)/24 dev \(Self.uplink)",
            "address add \(Self.secondHostAddress)/24 dev \(Self.secondUplink)")
        try b.ip("link set eth0 mtu \(options.mtu) up", "address add \(Self.addressOfB)/24 dev eth0")
        for namespace in [collector, feeder] { try namespace.ip("link set eth0 mtu \(options.mtu) up") }
        for name in [Self.uplink, Self.secondUplink, Self.localPort] { try Self.asOnWire(name, in: host) }
        if options.isWire { try openWire() }
        try collector.receiveOnOneCPU("eth0")
        try collector.offloads(of: "eth0", ["gro": false])
    }

    /// The hosts' ends as NICs would be: they take XDP frames (a veth does with GRO), and leave nothing to the other end.
    private func openWire() throws {
        try host.ip("link set \(Self.tappedPort) nomaster", "link set \(Self.otherPort) nomaster")
        for end in [a, b] {
            try end.offloads(of: "eth0", ["gro": true, "tx": false, "tso": false, "txvlan": false])
            try end.receiveOnOneCPU("eth0")
        }
    }

    /// Adds a's link; again after `deleteTappedLink`.
    public func addTappedLink() throws {
        if let cable = options.cables.first {
            try cable.plug(Self.tappedPort, of: host, to: a, mac: Self.macOfA)
        } else {
            try host.ip(Self.veth(Self.tappedPort, to: a, mac: Self.macOfA))
        }
        try host.ip("link set \(Self.tappedPort) mtu \(options.mtu) master br0 up")
        try a.ip("link set eth0 mtu \(options.mtu) up", "address add \(Self.addressOfA)/24 dev eth0")
    }

    /// Deletes a's link, as when a virtual machine is stopped.
    public func deleteTappedLink() throws {
        try host.ip("link delete \(Self.tappedPort)")
    }

    /// Adds the first uplink's link, with its addresses, after `link delete` of it.
    public func addUplinkAgain() throws {
        let mtu = options.uplinkMTU ?? options.mtu + 100
        try host.ip(
            Self.veth(Self.uplink, to: monitor), "link set \(Self.uplink) mtu \(mtu)",
            "address add \(Self.hostAddress)/24 dev \(Self.uplink)", "link set \(Self.uplink) up")
        try monitor.offloads(of: Self.underlay, ["gro": false])
        try monitor.receiveOnOneCPU(Self.underlay)
        try monitor.ip(
            "link set \(Self.underlay) mtu \(mtu) up", "address add \(Self.monitorAddress)/24 dev \(Self.underlay)")
        try Self.asOnWire(Self.uplink, in: host)
    }

    private func addMonitor(_ monitor: Namespace, _ address: String, from remote: String, vni: UInt32) throws {
        let mtu = options.uplinkMTU ?? options.mtu + 100
        try monitor.ip(
            "link set \(Self.underlay) mtu \(mtu) up", "address add \(address)/24 dev \(Self.underlay)",
            "link add \(Self.vxlan) type vxlan id \(vni) dstport 4789 local \(address) remote \(remote) nolearning",
            "link set \(Self.vxlan) mtu \(options.mtu) arp off up")
        for name in [Self.underlay, Self.vxlan] {
            try monitor.offloads(of: name, ["gro": false])
            try monitor.receiveOnOneCPU(name)
        }
    }

    private static func veth(_ name: String, to peer: Namespace, mac: MAC? = nil) -> String {
        let address = mac.map { " address \($0)" } ?? ""
        return "link add \(name) type veth peer name eth0\(address) netns \(peer.name)"
    }

    /// What leaves here looks as on a wire: no super-frames, no checksum left to hardware.
    private static func asOnWire(_ interface: String, in namespace: Namespace) throws {
        try namespace.offloads(of: interface, ["tso": false, "gso": false, "tx": false])
    }
}
