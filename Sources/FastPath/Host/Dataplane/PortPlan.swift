// Pure: what one port of a program asks of the kernel right now, given the interfaces that there are.

import CShims
package import MirrorProgram

/// A place for the capture program: one direction of one port on one interface.
package struct HookPlace: Hashable {
    package var point: CapturePoint
    package var interface: Int32
    /// The interface's own direction.
    package var ingress: Bool
    /// In the driver's XDP hook instead of tcx.
    package var isXDP: Bool
    /// Where the interface is; nil for the dataplane's own.
    package var namespace: NetworkNamespace?

    package init(
        point: CapturePoint, interface: Int32, ingress: Bool, isXDP: Bool = false, namespace: NetworkNamespace? = nil
    ) {
        self.namespace = namespace
        self.point = point
        self.interface = interface
        self.ingress = ingress
        self.isXDP = isXDP
    }

    package var place: InterfacePlace { InterfacePlace(interface, in: namespace) }
}

/// A port against the interfaces of this moment.
package struct PortPlan {
    package var port: MirrorProgram.Port
    package var slot: Int
    /// The interface to capture on; nil with a reason in `down` or `error`.
    package var link: Link?
    /// Of an `inline` port, the interface on the other side.
    package var pair: Link?
    package var down: String?
    /// Why the mode that the port requires cannot be had.
    package var error: String?
    package var side: MirrorProgram.Side?
    package var mtu: Int?
    /// Where the interface is; nil for the dataplane's own.
    package var namespace: NetworkNamespace?
    /// The mode to capture in: `tap` where another one is only preferred and cannot be had.
    package var mode: MirrorProgram.CaptureMode
    /// Why it is not the port's.
    package var refusal: String?
    /// Of the interface to capture on.
    package var place: InterfacePlace? { link.map { InterfacePlace($0.index, in: namespace) } }
    /// Of a port in mode `tap` or `xdp`.
    package var hooks: Set<HookPlace> = []

    /// - Parameters:
    ///   - port: a row of the program.
    ///   - slot: its place in the capture's tables.
    ///   - taps: the taps of the port.
    ///   - view: the interfaces of the port's network namespace.
    ///   - refused: why the kernel did not give the port its mode when that was tried.
    ///   - defaultRoutes: interfaces that carry one.
    package init(
        _ port: MirrorProgram.Port, slot: Int, taps: [MirrorProgram.Tap], _ view: NamespaceView, refused: String? = nil,
        defaultRoutes: Set<Int32> = []
    ) {
        self.port = port
        self.slot = slot
        mode = port.capture
        namespace = view.namespace
        guard let link = view.links[port.interface] else {
            down = view.obstacle ?? "there is no interface \(port.interface)\(port.place)"
            return
        }
        // Inside a container's namespace an interface is its own, whatever it is a part of.
        mtu = link.mtu
        let auto: MirrorProgram.Side = port.capture == .inline ? .peer : port.netns == nil ? link.side : .`self`
        let side = port.side == .auto ? auto : port.side
        self.side = side
        if let reason = Self.obstacle(port, link) {
            down = reason
            return
        }
        refusal = refused ?? Self.refusal(port, link, view.links, defaultRoutes)
        if let refusal, port.policy == .require {
            error = refusal
            return
        }
        if refusal != nil { mode = .tap }
        if mode == .inline {
            connect(link, view.links)
            return
        }
        if taps.isEmpty {
            down = "no tap selects its frames"
            return
        }
        self.link = link
        if mode != .span { placeHooks(link, side, taps) }
    }

    /// The wire goes through whether or not a tap selects its frames.
    private mutating func connect(_ link: Link, _ links: LinkTable) {
        let name = port.pair ?? ""
        guard let pair = links[name] else {
            down = "there is no interface \(name)"
            return
        }
        if !pair.isEthernet {
            down = "\(name) is not an Ethernet interface"
            return
        }
        self.link = link
        self.pair = pair
    }

    private mutating func placeHooks(_ link: Link, _ side: MirrorProgram.Side, _ taps: [MirrorProgram.Tap]) {
        for direction in [HS_IN, HS_OUT] where taps.contains(where: { $0.direction.selects(direction) }) {
            // Seen from behind the link, what goes in comes out of the interface on this side. A port that carries
            // copies has what it receives, whatever is behind it.
            if port.capture == .span, direction == HS_OUT { continue }
            let ingress = port.capture == .span || (direction == HS_IN) == (side == .`self`)
            hooks.insert(
                HookPlace(
                    point: CapturePoint(slot: slot, direction: UInt8(direction.rawValue)), interface: link.index,
                    ingress: ingress, isXDP: mode == .xdp && ingress, namespace: namespace))
        }
    }

    /// Captures nothing, for a reason that is not in the port itself.
    mutating func refuse(_ reason: String) {
        error = reason
        link = nil
        hooks = []
    }

    private static func obstacle(_ port: MirrorProgram.Port, _ link: Link) -> String? {
        if !link.isEthernet { return "\(link.name) is not an Ethernet interface" }
        if let mac = port.mac, mac != link.mac {
            return "\(link.name) has the MAC address \(link.mac?.description ?? "none"), not \(mac)"
        }
        if port.capture == .span, !link.isUp { return "\(link.name) is down" }
        return nil
    }

    /// What needs no try: interfaces that XDP would harm, unless it is required.
    private static func refusal(
        _ port: MirrorProgram.Port, _ link: Link, _ links: LinkTable, _ defaultRoutes: Set<Int32>
    ) -> String? {
        if port.capture != .xdp { return nil }
        // No copy is sent into another namespace but through a veth out of this one, which ForeignPorts.swift looks for.
        if port.netns == nil, link.kind == "veth", let peer = link.lower.flatMap({ links[$0] }) {
            return
                "\(peer.name), the other end of \(link.name), is on this host too, and XDP does not see the mark that "
                + "tells copies sent there from originals; use tap"
        }
        if port.policy == .require { return nil }
        return link.harmOfXDP(defaultRoutes).map { "\($0); require xdp to have it anyway" }
    }
}

/// The kernel has not given a port the mode that it prefers. It is not asked again until port or interface change: each
/// try would interrupt the copies.
struct ModeRefusal {
    var port: MirrorProgram.Port
    var place: InterfacePlace
    /// A lower one may do.
    var mtu: Int
    var reason: String
}

extension Link {
    /// Why an XDP program is not put there unless somebody requires it.
    ///
    /// - Parameter defaultRoutes: interfaces that one runs through.
    func harmOfXDP(_ defaultRoutes: Set<Int32>) -> String? {
        if kind == "veth" {
            return
                "\(name) is a veth: XDP costs its TCP three quarters of the rate, and attaching or detaching it may lose frames"
        }
        if defaultRoutes.contains(index) {
            return "\(name) carries this host's default route, and attaching XDP may take the link down for seconds"
        }
        return nil
    }
}

extension MirrorProgram.Port {
    /// In the words of a reason: where the interface is, if not here.
    var place: String { netns.map { " in network namespace '\($0)'" } ?? "" }
}
