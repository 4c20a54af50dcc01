// The JSON form of a program: snake_case keys, defaults where docs/program.md says so, unknown keys refused by name.

extension MirrorProgram {
    private enum Keys: String, CodingKey, CaseIterable {
        case generation, ports, destinations, taps, deliveries, uplinks
    }

    public init(from decoder: any Decoder) throws {
        let object = try decoder.strict(Keys.self)
        self.init(
            generation: try object.decodeIfPresent(UInt64.self, forKey: .generation) ?? 0,
            ports: try object.decodeIfPresent([Port].self, forKey: .ports) ?? [],
            destinations: try object.decodeIfPresent([Destination].self, forKey: .destinations) ?? [],
            taps: try object.decodeIfPresent([Tap].self, forKey: .taps) ?? [],
            deliveries: try object.decodeIfPresent([Delivery].self, forKey: .deliveries) ?? [],
            uplinks: try object.decodeIfPresent([UplinkRule].self, forKey: .uplinks) ?? [])
    }
}

extension MirrorProgram.Tap {
    private enum Keys: String, CodingKey, CaseIterable {
        case id, port, direction, destinations, filter, snaplen, sampling, engine
        case vlanFilter = "vlan_filter"
        case rateLimit = "rate_limit"
    }

    public init(from decoder: any Decoder) throws {
        let object = try decoder.strict(Keys.self)
        self.init(
            id: try object.decode(String.self, forKey: .id),
            port: try object.decode(String.self, forKey: .port),
            direction: try object.decodeIfPresent(MirrorProgram.Direction.self, forKey: .direction) ?? .both,
            destinations: try object.decode([String].self, forKey: .destinations),
            vlanFilter: try object.decodeIfPresent(MirrorProgram.VLANFilter.self, forKey: .vlanFilter),
            filter: try object.decodeIfPresent(MirrorProgram.PacketFilter.self, forKey: .filter),
            snaplen: try object.decodeIfPresent(Int.self, forKey: .snaplen),
            sampling: try object.decodeIfPresent(MirrorProgram.Sampling.self, forKey: .sampling),
            rateLimit: try object.decodeIfPresent(MirrorProgram.RateLimit.self, forKey: .rateLimit),
            engine: try object.decodeIfPresent(MirrorProgram.Engine.self, forKey: .engine) ?? .auto)
    }

    public func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: Keys.self)
        try object.encode(id, forKey: .id)
        try object.encode(port, forKey: .port)
        try object.encode(direction, forKey: .direction)
        try object.encode(destinations, forKey: .destinations)
        try object.encodeIfPresent(vlanFilter, forKey: .vlanFilter)
        try object.encodeIfPresent(filter, forKey: .filter)
        try object.encodeIfPresent(snaplen, forKey: .snaplen)
        try object.encodeIfPresent(sampling, forKey: .sampling)
        try object.encodeIfPresent(rateLimit, forKey: .rateLimit)
        if engine != .auto { try object.encode(engine, forKey: .engine) }
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
    func strict<Key: CodingKey & CaseIterable & RawRepresentable<String>>(
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
