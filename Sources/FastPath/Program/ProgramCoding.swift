// The JSON form of a program: snake_case keys, defaults where docs/program.md says so, unknown keys refused by name.

extension MirrorProgram {
    private enum Keys: String, CodingKey, CaseIterable { case generation, ports, destinations, taps }

    public init(from decoder: any Decoder) throws {
        let object = try decoder.strict(Keys.self)
        self.init(
            generation: try object.decodeIfPresent(UInt64.self, forKey: .generation) ?? 0,
            ports: try object.decodeIfPresent([Port].self, forKey: .ports) ?? [],
            destinations: try object.decodeIfPresent([Destination].self, forKey: .destinations) ?? [],
            taps: try object.decodeIfPresent([Tap].self, forKey: .taps) ?? [])
    }
}

extension MirrorProgram.Port {
    private enum Keys: String, CodingKey, CaseIterable { case id, interface, mac, capture, side }

    public init(from decoder: any Decoder) throws {
        let object = try decoder.strict(Keys.self)
        self.init(
            id: try object.decode(String.self, forKey: .id),
            interface: try object.decode(String.self, forKey: .interface),
            mac: try object.decodeIfPresent(MACAddress.self, forKey: .mac),
            capture: try object.decodeIfPresent(MirrorProgram.CaptureMode.self, forKey: .capture) ?? .tap,
            side: try object.decodeIfPresent(MirrorProgram.Side.self, forKey: .side) ?? .auto)
    }
}

extension MirrorProgram.Destination {
    private enum Keys: String, CodingKey, CaseIterable {
        case id, interface, remote, encapsulation
        case tunnelID = "tunnel_id"
        case udpPort = "udp_port"
    }

    public init(from decoder: any Decoder) throws {
        let object = try decoder.strict(Keys.self)
        let id = try object.decode(String.self, forKey: .id)
        guard let interface = try object.decodeIfPresent(String.self, forKey: .interface) else {
            self.init(
                id: id,
                target: .tunnel(
                    .init(
                        remote: try object.decode(IPv4Address.self, forKey: .remote),
                        encapsulation: try object.decodeIfPresent(
                            MirrorProgram.Encapsulation.self, forKey: .encapsulation) ?? .vxlan,
                        tunnelID: try object.decode(UInt32.self, forKey: .tunnelID),
                        udpPort: try object.decodeIfPresent(UInt16.self, forKey: .udpPort) ?? 4789)))
            return
        }
        for key in [Keys.remote, .encapsulation, .tunnelID, .udpPort] where object.contains(key) {
            throw DecodingError.dataCorruptedError(
                forKey: key, in: object,
                debugDescription: "destination '\(id)' has both 'interface' and '\(key.rawValue)'; remove one of them")
        }
        self.init(id: id, target: .interface(interface))
    }

    public func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: Keys.self)
        try object.encode(id, forKey: .id)
        switch target {
        case .interface(let name):
            try object.encode(name, forKey: .interface)
        case .tunnel(let tunnel):
            try object.encode(tunnel.remote, forKey: .remote)
            try object.encode(tunnel.encapsulation, forKey: .encapsulation)
            try object.encode(tunnel.tunnelID, forKey: .tunnelID)
            try object.encode(tunnel.udpPort, forKey: .udpPort)
        }
    }
}

extension MirrorProgram.Tap {
    private enum Keys: String, CodingKey, CaseIterable { case id, port, direction, destinations }

    public init(from decoder: any Decoder) throws {
        let object = try decoder.strict(Keys.self)
        self.init(
            id: try object.decode(String.self, forKey: .id),
            port: try object.decode(String.self, forKey: .port),
            direction: try object.decodeIfPresent(MirrorProgram.Direction.self, forKey: .direction) ?? .both,
            destinations: try object.decode([String].self, forKey: .destinations))
    }
}

/// Any key at all, to see those that the schema does not know.
private struct AnyKey: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
}

extension Decoder {
    /// The object's container, after every key in it was found in `keys`.
    fileprivate func strict<Key: CodingKey & CaseIterable & RawRepresentable<String>>(
        _ keys: Key.Type
    ) throws -> KeyedDecodingContainer<Key> {
        let known = Set(Key.allCases.map(\.rawValue))
        let all = try container(keyedBy: AnyKey.self)
        for key in all.allKeys where !known.contains(key.stringValue) {
            throw DecodingError.dataCorruptedError(
                forKey: key, in: all,
                debugDescription:
                    "unknown key '\(key.stringValue)'; known here: \(known.sorted().joined(separator: ", "))")
        }
        return try container(keyedBy: keys)
    }
}
