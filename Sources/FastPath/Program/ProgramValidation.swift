// What a program must satisfy before a dataplane looks at the kernel: pure, the same for the control process,
// `--check` and `apply`.

/// A program that cannot be run, said so that its author can mend it.
public struct ProgramError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Which object, what is wrong with it, and what to do.
    public let description: String

    public init(_ description: String) { self.description = description }
}

extension MirrorProgram {
    /// Checks ids, references, ranges and loops.
    ///
    /// - Throws: `ProgramError` for the first object that is wrong, in the order ports, destinations, taps.
    public func validate() throws(ProgramError) {
        if generation > Self.largestGeneration {
            throw ProgramError("generation \(generation) is too large; use at most \(Self.largestGeneration)")
        }
        if ports.count > Self.portsPerProgram {
            throw ProgramError(
                "the program has \(ports.count) ports; one dataplane captures \(Self.portsPerProgram) at most")
        }
        try unique(ports.map(\.id), "port")
        try unique(destinations.map(\.id), "destination")
        if destinations.count > Self.destinationsPerProgram {
            throw ProgramError(
                "the program has \(destinations.count) destinations; one dataplane serves \(Self.destinationsPerProgram) at most"
            )
        }
        try unique(taps.map(\.id), "tap")
        try unique(deliveries.map(\.id), "delivery")
        for port in ports { try port.validate() }
        try validateInterfacesOfPorts()
        for uplink in uplinks { try uplink.validate() }
        try unique(uplinks.map(\.interface), "uplink")
        for destination in destinations { try destination.validate() }
        try validateSpreads()
        try validateTaps()
        try validateDeliveries()
    }

    /// An interface is of one port, be it as its pair.
    private func validateInterfacesOfPorts() throws(ProgramError) {
        var owners: [[String?]: String] = [:]
        for port in ports {
            for interface in [port.interface, port.pair].compactMap({ $0 }) {
                guard let other = owners.updateValue(port.id, forKey: [port.netns, interface]) else { continue }
                throw ProgramError(
                    "ports '\(other)' and '\(port.id)' are both interface '\(interface)'; write one port and give it several taps"
                )
            }
        }
    }

    /// Tunnels and interfaces that a destination stands for: itself, or the members of a spread.
    private func members(
        _ id: String, of owner: String, _ byID: [String: Destination]
    ) throws(ProgramError) -> [Destination] {
        guard let destination = byID[id] else {
            throw ProgramError("\(owner) names destination '\(id)', which the program does not have")
        }
        guard case .spread(let ids) = destination.target else { return [destination] }
        var members: [Destination] = []
        for id in ids { members += try self.members(id, of: "destination '\(destination.id)'", byID) }
        return members
    }

    private func validateSpreads() throws(ProgramError) {
        let byID = Dictionary(uniqueKeysWithValues: destinations.map { ($0.id, $0) })
        for destination in destinations {
            guard case .spread(let ids) = destination.target else { continue }
            let owner = "destination '\(destination.id)'"
            if ids.isEmpty { throw ProgramError("\(owner) spreads over nothing; name at least one destination") }
            try unique(ids, "member of \(owner):")
            for id in ids {
                if case .spread = byID[id]?.target {
                    throw ProgramError("\(owner) spreads over '\(id)', which is a spread itself; name its members")
                }
            }
            _ = try members(destination.id, of: owner, byID)
        }
    }

    private func validateTaps() throws(ProgramError) {
        let portsByID = Dictionary(uniqueKeysWithValues: ports.map { ($0.id, $0) })
        let destinationsByID = Dictionary(uniqueKeysWithValues: destinations.map { ($0.id, $0) })
        var tapsOfPort: [String: Int] = [:]
        var destinationsOfPort: [String: Set<String>] = [:]
        for tap in taps {
            if tap.id.isEmpty { throw ProgramError("a tap has an empty id") }
            guard let port = portsByID[tap.port] else {
                throw ProgramError("tap '\(tap.id)' names port '\(tap.port)', which the program does not have")
            }
            if port.capture == .span, tap.direction == .out {
                throw ProgramError(
                    "tap '\(tap.id)' asks for OUT of port '\(port.id)', but a span port has IN only; use IN or BOTH")
            }
            if tap.destinations.isEmpty {
                throw ProgramError("tap '\(tap.id)' has no destination; name at least one")
            }
            try unique(tap.destinations, "destination of tap '\(tap.id)':")
            try tap.validateActions()
            if tap.engine == .kernel { try tap.validateForKernel(port, tap.destinations.map { destinationsByID[$0] }) }
            for id in tap.destinations {
                // A spread counts beside its members.
                destinationsOfPort[tap.port, default: []].insert(id)
                for destination in try members(id, of: "tap '\(tap.id)'", destinationsByID) {
                    destinationsOfPort[tap.port, default: []].insert(destination.id)
                    guard port.netns == nil, case .interface(let name) = destination.target else { continue }
                    if name == port.interface || name == port.pair {
                        throw ProgramError(
                            "tap '\(tap.id)' would send copies of '\(name)' back into it (destination '\(destination.id)'): that is a loop"
                        )
                    }
                }
            }
            if destinationsOfPort[tap.port]!.count > Self.destinationsPerPort {
                throw ProgramError(
                    "port '\(tap.port)' has more than \(Self.destinationsPerPort) destinations; mirror to fewer from one port"
                )
            }
            tapsOfPort[tap.port, default: 0] += 1
            if tapsOfPort[tap.port]! > Self.tapsPerPort {
                throw ProgramError(
                    "port '\(tap.port)' has more than \(Self.tapsPerPort) taps; give one tap several destinations")
            }
        }
    }
}

extension MirrorProgram.Destination {
    fileprivate func validate() throws(ProgramError) {
        if id.isEmpty { throw ProgramError("a destination has an empty id") }
        switch target {
        case .interface(let name):
            try validateInterface(name, of: "destination '\(id)'")
        case .tunnel(let tunnel):
            try tunnel.validate("destination '\(id)'")
        case .spread: break
        }
    }
}

extension MirrorProgram.Tunnel {
    fileprivate func validate(_ owner: String) throws(ProgramError) {
        if let reason = remote.unfitAsRemote {
            throw ProgramError("\(owner): remote \(remote) \(reason); name a unicast address")
        }
        if let source, source.isIPv6 != remote.isIPv6 {
            throw ProgramError("\(owner): source \(source) and remote \(remote) are of different IP versions")
        }
        try encapsulation.validate(tunnelID: tunnelID, udpPort: udpPort, of: owner)
        if sourcePorts.lowerBound == 0 { throw ProgramError("\(owner): source_ports begin at 1") }
        if dscp > 63 { throw ProgramError("\(owner): dscp \(dscp) is not a code point, 0 to 63") }
        if timeToLive == 0 { throw ProgramError("\(owner): ttl 0 would go nowhere; use 1 to 255") }
        if let vlan, !(1...4094).contains(vlan) {
            throw ProgramError("\(owner): vlan \(vlan) is not a VLAN id, 1 to 4094")
        }
    }
}

extension MirrorProgram.Encapsulation {
    fileprivate func validate(tunnelID: UInt32, udpPort: UInt16, of owner: String) throws(ProgramError) {
        if tunnelID > largestTunnelID {
            throw ProgramError("\(owner): tunnel_id \(tunnelID) is not \(tunnelIDName), 0 to \(largestTunnelID)")
        }
        if usualUDPPort != nil, udpPort == 0 {
            throw ProgramError("\(owner): udp_port 0 cannot be sent to; use 1 to 65535")
        }
    }
}

extension MirrorProgram.Tap {
    fileprivate func validateActions() throws(ProgramError) {
        if let snaplen, !MirrorProgram.snaplens.contains(snaplen) {
            throw ProgramError("tap '\(id)': snaplen \(snaplen) is not within 14 to 65535 bytes")
        }
        if let sampling, !(1...1_000_000).contains(sampling.oneIn) {
            throw ProgramError("tap '\(id)': sampling one_in \(sampling.oneIn) is not within 1 to 1000000")
        }
        try rateLimit?.validate("tap '\(id)': rate_limit")
        try filter?.validate("tap '\(id)'")
    }
}

extension MirrorProgram.Tap {
    /// Why the kernel cannot carry the tap out, whatever the host; nil if it can.
    ///
    /// - Parameter destinations: the tap's own, none of them missing.
    public func obstacleToKernel(
        _ port: MirrorProgram.Port, _ destinations: [MirrorProgram.Destination]
    ) -> String? {
        if snaplen != nil { return "it does not cut frames (snaplen)" }
        if sampling != nil { return "it does not sample" }
        if rateLimit != nil { return "it has no rate limit" }
        if port.capture != .tap { return "port '\(port.id)' is captured as \(port.capture.rawValue), not as tap" }
        if port.netns != nil { return "port '\(port.id)' is in another network namespace" }
        return destinations.lazy.compactMap { destination in
            destination.obstacleToKernel.map { "destination '\(destination.id)' \($0)" }
        }.first
    }

    fileprivate func validateForKernel(
        _ port: MirrorProgram.Port, _ destinations: [MirrorProgram.Destination?]
    ) throws(ProgramError) {
        // One that is missing is told of by the caller.
        guard let reason = obstacleToKernel(port, destinations.compactMap { $0 }) else { return }
        throw ProgramError("tap '\(id)': engine kernel cannot carry it out: \(reason); use auto or user")
    }
}

extension MirrorProgram.Destination {
    fileprivate var obstacleToKernel: String? {
        switch target {
        case .interface: "is an interface of this host"
        case .spread: "is a spread"
        case .tunnel(let tunnel): tunnel.obstacleToKernel
        }
    }
}

extension MirrorProgram.Tunnel {
    /// Why the kernel cannot put its header in front of a frame; nil if it can.
    public var obstacleToKernel: String? {
        if isSequenced { return "numbers its packets" }
        if vlan != nil { return "has an outer VLAN tag" }
        let hasChecksum = encapsulation.usualUDPPort != nil && (udpChecksum ?? remote.isIPv6)
        return hasChecksum ? "has an outer UDP checksum (set udp_checksum to false)" : nil
    }
}

extension MirrorProgram.RateLimit {
    func validate(_ owner: String) throws(ProgramError) {
        if bitsPerSecond == nil, framesPerSecond == nil {
            throw ProgramError("\(owner) sets neither bits_per_second nor frames_per_second")
        }
        for (name, value) in [("bits_per_second", bitsPerSecond), ("frames_per_second", framesPerSecond)]
        where !(1...1_000_000_000_000).contains(value ?? 1) {
            throw ProgramError("\(owner) \(name) \(value!) is not within 1 to 10^12")
        }
    }
}

extension MirrorProgram {
    fileprivate func validateDeliveries() throws(ProgramError) {
        var seen: [Accepted: String] = [:]
        for delivery in deliveries {
            if delivery.id.isEmpty { throw ProgramError("a delivery has an empty id") }
            let owner = "delivery '\(delivery.id)'"
            try validateInterface(delivery.interface, of: owner)
            try delivery.encapsulation.validate(tunnelID: delivery.tunnelID, udpPort: delivery.udpPort, of: owner)
            if delivery.peers.isEmpty { throw ProgramError("\(owner) accepts no peer; name at least one") }
            for peer in delivery.peers {
                if let reason = peer.unfitAsRemote {
                    throw ProgramError("\(owner): peer \(peer) \(reason); name a unicast address")
                }
                if let local = delivery.local, local.isIPv6 != peer.isIPv6 {
                    throw ProgramError("\(owner): local \(local) and peer \(peer) are of different IP versions")
                }
                let accepted = Accepted(
                    peer: peer,
                    encapsulation: delivery.encapsulation.usualUDPPort == nil ? delivery.encapsulation : nil,
                    tunnelID: delivery.tunnelID,
                    udpPort: delivery.udpPort)
                if let other = seen.updateValue(delivery.id, forKey: accepted) {
                    throw ProgramError(
                        "\(owner) accepts peer \(peer) with tunnel_id \(delivery.tunnelID), as delivery '\(other)' does; one of them is enough"
                    )
                }
            }
        }
        if seen.count > Self.deliveriesPerProgram {
            throw ProgramError(
                "the program accepts \(seen.count) peers and ids; one dataplane serves \(Self.deliveriesPerProgram) at most"
            )
        }
    }

    private struct Accepted: Hashable {
        var peer: IPAddress
        /// Nil with UDP: the port alone tells what is behind it.
        var encapsulation: Encapsulation?
        var tunnelID: UInt32
        var udpPort: UInt16
    }
}

/// Linux takes 1 to 15 bytes without `/`, `:` or white space, and neither `.` nor `..` (net/core/dev.c, dev_valid_name).
func validateInterface(_ name: String, of owner: String) throws(ProgramError) {
    let bad = name.utf8.contains { $0 == 0x2F || $0 == 0x3A || $0 == 0x20 || (0x09...0x0D).contains($0) || $0 == 0 }
    if !(1...15).contains(name.utf8.count) || bad || name == "." || name == ".." {
        throw ProgramError("\(owner): '\(name)' is not an interface name (1 to 15 bytes, no '/', ':' or white space)")
    }
    if name.hasPrefix("hs-") {
        throw ProgramError("\(owner): interfaces whose names begin with 'hs-' are Heliostat's own")
    }
}

private func unique(_ ids: [String], _ kind: String) throws(ProgramError) {
    var seen: Set<String> = []
    for id in ids where !seen.insert(id).inserted {
        throw ProgramError("\(kind) '\(id)' is there twice; ids are unique")
    }
}
