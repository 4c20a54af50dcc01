// Pure: what one port of a program asks of the kernel right now, given the interfaces that there are.

import CShims
package import MirrorProgram

/// A place for the capture program: one direction of one port on one interface.
package struct HookPlace: Hashable {
    package var point: CapturePoint
    package var interface: Int32
    /// The interface's own direction.
    package var ingress: Bool
    /// Where the interface is; nil for the dataplane's own.
    package var namespace: NetworkNamespace?

    package init(point: CapturePoint, interface: Int32, ingress: Bool, namespace: NetworkNamespace? = nil) {
        self.namespace = namespace
        self.point = point
        self.interface = interface
        self.ingress = ingress
    }
}

/// A port against the interfaces of this moment.
package struct PortPlan {
    package var port: MirrorProgram.Port
    package var slot: Int
    /// The interface to capture on; nil with a reason in `down`.
    package var link: Link?
    package var down: String?
    /// `down` is for good: this dataplane does not do what the port asks for.
    package var isRefused = false
    package var side: MirrorProgram.Side?
    package var mtu: Int?
    /// Where the interface is; nil for the dataplane's own.
    package var namespace: NetworkNamespace?
    /// Of a `tap` port.
    package var hooks: Set<HookPlace> = []

    /// - Parameters:
    ///   - port: a row of the program.
    ///   - slot: its place in the capture's tables.
    ///   - taps: the taps of the port.
    ///   - view: the interfaces of the port's network namespace.
    package init(_ port: MirrorProgram.Port, slot: Int, taps: [MirrorProgram.Tap], _ view: NamespaceView) {
        self.port = port
        self.slot = slot
        namespace = view.namespace
        if let refusal = Self.refusal(port) {
            down = refusal
            isRefused = true
            return
        }
        guard let link = view.links[port.interface] else {
            down = view.obstacle ?? "there is no interface \(port.interface)\(port.place)"
            return
        }
        // Inside a container's namespace an interface is its own, whatever it is a part of.
        mtu = link.mtu
        let side = port.side != .auto ? port.side : port.netns == nil ? link.side : .`self`
        self.side = side
        if let reason = Self.obstacle(port, link) {
            down = reason
        } else if taps.isEmpty {
            down = "no tap selects its frames"
        } else {
            self.link = link
        }
        guard self.link != nil, port.capture == .tap else { return }
        for direction in [HS_IN, HS_OUT] where taps.contains(where: { $0.direction.selects(direction) }) {
            // Seen from behind the link, what goes in comes out of the interface on this side.
            let ingress = (direction == HS_IN) == (side == .`self`)
            hooks.insert(
                HookPlace(
                    point: CapturePoint(slot: slot, direction: UInt8(direction.rawValue)), interface: link.index,
                    ingress: ingress, namespace: view.namespace))
        }
    }

    /// Captures nothing, for a reason that is not in the port itself.
    mutating func refuse(_ reason: String) {
        down = reason
        isRefused = true
        link = nil
        hooks = []
    }

    private static func refusal(_ port: MirrorProgram.Port) -> String? {
        if port.capture == .xdp || port.capture == .inline {
            return "\(port.capture.rawValue) capture is not served by this version; use tap or span"
        }
        if port.netns != nil, port.capture != .tap {
            return
                "\(port.capture.rawValue) capture in another network namespace is not served by this version; use tap"
        }
        return nil
    }

    private static func obstacle(_ port: MirrorProgram.Port, _ link: Link) -> String? {
        if !link.isEthernet { return "\(link.name) is not an Ethernet interface" }
        if let mac = port.mac, mac != link.mac {
            return "\(link.name) has the MAC address \(link.mac?.description ?? "none"), not \(mac)"
        }
        if port.capture == .span, !link.isUp { return "\(link.name) is down" }
        return nil
    }
}

extension MirrorProgram.Port {
    /// In the words of a reason: where the interface is, if not here.
    var place: String { netns.map { " in network namespace '\($0)'" } ?? "" }
}
