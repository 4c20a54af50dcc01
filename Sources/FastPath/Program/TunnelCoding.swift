// The JSON form of destinations, their tunnels, and deliveries; the keys are in docs/program.md.

extension MirrorProgram.Destination {
    enum Keys: String, CodingKey, CaseIterable {
        case id, interface, spread, remote, encapsulation, source, dscp, ttl, vlan, sequenced, oversize
        case tunnelID = "tunnel_id"
        case udpPort = "udp_port"
        case sourcePorts = "source_ports"
        case udpChecksum = "udp_checksum"
        case geneveOptions = "geneve_options"
    }

    public init(from decoder: any Decoder) throws {
        let object = try decoder.strict(Keys.self)
        let id = try object.decode(String.self, forKey: .id)
        if let interface = try object.decodeIfPresent(String.self, forKey: .interface) {
            try Self.refuseOthers(than: .interface, in: object, id)
            self.init(id: id, target: .interface(interface))
        } else if let members = try object.decodeIfPresent([String].self, forKey: .spread) {
            try Self.refuseOthers(than: .spread, in: object, id)
            self.init(id: id, target: .spread(members))
        } else {
            self.init(id: id, target: .tunnel(try MirrorProgram.Tunnel(object, id)))
        }
    }

    private static func refuseOthers(
        than own: Keys, in object: KeyedDecodingContainer<Keys>, _ id: String
    ) throws {
        for key in Keys.allCases where key != .id && key != own && object.contains(key) {
            throw DecodingError.dataCorruptedError(
                forKey: key, in: object,
                debugDescription:
                    "destination '\(id)' has both '\(own.rawValue)' and '\(key.rawValue)'; remove one of them")
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: Keys.self)
        try object.encode(id, forKey: .id)
        switch target {
        case .interface(let name): try object.encode(name, forKey: .interface)
        case .spread(let members): try object.encode(members, forKey: .spread)
        case .tunnel(let tunnel): try tunnel.encode(&object)
        }
    }
}

extension MirrorProgram.Tunnel {
    fileprivate typealias Keys = MirrorProgram.Destination.Keys

    fileprivate init(_ object: KeyedDecodingContainer<Keys>, _ id: String) throws {
        let encapsulation =
            try object.decodeIfPresent(MirrorProgram.Encapsulation.self, forKey: .encapsulation) ?? .vxlan
        // A key that has no meaning for the encapsulation is a mistake, not a default.
        let foreign: [Keys] =
            (encapsulation.usualUDPPort == nil ? [.udpPort, .sourcePorts, .udpChecksum] : [])
            + (encapsulation == .gre ? [] : [.sequenced]) + (encapsulation == .geneve ? [] : [.geneveOptions])
        for key in foreign where object.contains(key) {
            throw DecodingError.dataCorruptedError(
                forKey: key, in: object,
                debugDescription:
                    "destination '\(id)': '\(key.rawValue)' does not go with encapsulation \(encapsulation.rawValue); remove it"
            )
        }
        self.init(
            remote: try object.decode(IPAddress.self, forKey: .remote), encapsulation: encapsulation,
            tunnelID: try object.decode(UInt32.self, forKey: .tunnelID),
            source: try object.decodeIfPresent(IPAddress.self, forKey: .source),
            udpPort: try object.decodeIfPresent(UInt16.self, forKey: .udpPort),
            sourcePorts: try object.decodeIfPresent(PortRange.self, forKey: .sourcePorts)?.range
                ?? Self.usualSourcePorts,
            udpChecksum: try object.decodeIfPresent(Bool.self, forKey: .udpChecksum),
            dscp: try object.decodeIfPresent(UInt8.self, forKey: .dscp) ?? 0,
            timeToLive: try object.decodeIfPresent(UInt8.self, forKey: .ttl) ?? 64,
            vlan: try object.decodeIfPresent(UInt16.self, forKey: .vlan),
            isSequenced: try object.decodeIfPresent(Bool.self, forKey: .sequenced) ?? false,
            oversize: try object.decodeIfPresent(MirrorProgram.Oversize.self, forKey: .oversize) ?? .truncate,
            geneveOptions: try object.decodeIfPresent(Set<MirrorProgram.GeneveOption>.self, forKey: .geneveOptions)
                ?? Set(MirrorProgram.GeneveOption.allCases))
    }

    /// Defaults are left out, so that a program reads as its author wrote it.
    fileprivate func encode(_ object: inout KeyedEncodingContainer<Keys>) throws {
        try object.encode(remote, forKey: .remote)
        try object.encode(encapsulation, forKey: .encapsulation)
        try object.encode(tunnelID, forKey: .tunnelID)
        try object.encodeIfPresent(source, forKey: .source)
        if let usual = encapsulation.usualUDPPort {
            if udpPort != usual { try object.encode(udpPort, forKey: .udpPort) }
            if sourcePorts != Self.usualSourcePorts {
                try object.encode(PortRange(range: sourcePorts), forKey: .sourcePorts)
            }
            try object.encodeIfPresent(udpChecksum, forKey: .udpChecksum)
        }
        if dscp != 0 { try object.encode(dscp, forKey: .dscp) }
        if timeToLive != 64 { try object.encode(timeToLive, forKey: .ttl) }
        try object.encodeIfPresent(vlan, forKey: .vlan)
        if encapsulation == .gre, isSequenced { try object.encode(true, forKey: .sequenced) }
        if oversize != .truncate { try object.encode(oversize, forKey: .oversize) }
        if encapsulation == .geneve, geneveOptions.count != MirrorProgram.GeneveOption.allCases.count {
            try object.encode(geneveOptions.sorted { $0.rawValue < $1.rawValue }, forKey: .geneveOptions)
        }
    }
}

/// `"49152-65535"`
private struct PortRange: Codable, LosslessStringConvertible {
    var range: ClosedRange<UInt16>

    init(range: ClosedRange<UInt16>) { self.range = range }

    init?(_ text: String) {
        let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { UInt16($0) }
        guard ends.count == 2, let low = ends[0], let high = ends[1], low > 0, low <= high else { return nil }
        range = low...high
    }

    var description: String { "\(range.lowerBound)-\(range.upperBound)" }

    init(from decoder: any Decoder) throws { self = try decodeText(decoder, "a range of ports such as 49152-65535") }
    func encode(to encoder: any Encoder) throws { try encodeText(description, encoder) }
}

extension MirrorProgram.Delivery {
    private enum Keys: String, CodingKey, CaseIterable {
        case id, peers, local, encapsulation, interface
        case tunnelID = "tunnel_id"
        case udpPort = "udp_port"
    }

    public init(from decoder: any Decoder) throws {
        let object = try decoder.strict(Keys.self)
        self.init(
            id: try object.decode(String.self, forKey: .id),
            peers: try object.decode([IPAddress].self, forKey: .peers),
            local: try object.decodeIfPresent(IPAddress.self, forKey: .local),
            encapsulation: try object.decodeIfPresent(MirrorProgram.Encapsulation.self, forKey: .encapsulation)
                ?? .vxlan,
            tunnelID: try object.decode(UInt32.self, forKey: .tunnelID),
            udpPort: try object.decodeIfPresent(UInt16.self, forKey: .udpPort),
            interface: try object.decode(String.self, forKey: .interface))
    }

    public func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: Keys.self)
        try object.encode(id, forKey: .id)
        try object.encode(peers, forKey: .peers)
        try object.encodeIfPresent(local, forKey: .local)
        try object.encode(encapsulation, forKey: .encapsulation)
        try object.encode(tunnelID, forKey: .tunnelID)
        if let usual = encapsulation.usualUDPPort, udpPort != usual { try object.encode(udpPort, forKey: .udpPort) }
        try object.encode(interface, forKey: .interface)
    }
}
