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
        for port in ports { try port.validate() }
        let interfaces = Dictionary(grouping: ports, by: \.interface)
        for (name, same) in interfaces.sorted(by: { $0.key < $1.key }) where same.count > 1 {
            throw ProgramError(
                "ports '\(same[0].id)' and '\(same[1].id)' are both interface '\(name)'; write one port and give it several taps"
            )
        }
        for destination in destinations { try destination.validate() }
        try validateTaps()
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
            for id in tap.destinations {
                guard let destination = destinationsByID[id] else {
                    throw ProgramError("tap '\(tap.id)' names destination '\(id)', which the program does not have")
                }
                if case .interface(port.interface) = destination.target {
                    throw ProgramError(
                        "tap '\(tap.id)' would send copies of '\(port.interface)' back into it (destination '\(id)'): that is a loop"
                    )
                }
            }
            destinationsOfPort[tap.port, default: []].formUnion(tap.destinations)
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

extension MirrorProgram.Port {
    fileprivate func validate() throws(ProgramError) {
        if id.isEmpty { throw ProgramError("a port has an empty id") }
        try validateInterface(interface, of: "port '\(id)'")
    }
}

extension MirrorProgram.Destination {
    fileprivate func validate() throws(ProgramError) {
        if id.isEmpty { throw ProgramError("a destination has an empty id") }
        switch target {
        case .interface(let name):
            try validateInterface(name, of: "destination '\(id)'")
        case .tunnel(let tunnel):
            if let reason = tunnel.remote.unfitAsRemote {
                throw ProgramError("destination '\(id)': remote \(tunnel.remote) \(reason); name a unicast address")
            }
            if tunnel.tunnelID > MirrorProgram.largestTunnelID {
                throw ProgramError("destination '\(id)': tunnel_id \(tunnel.tunnelID) is not a VNI, 0 to 16777215")
            }
            if tunnel.udpPort == 0 {
                throw ProgramError("destination '\(id)': udp_port 0 cannot be sent to; use 1 to 65535")
            }
        }
    }
}

/// Linux takes 1 to 15 bytes without `/`, `:` or white space, and neither `.` nor `..` (net/core/dev.c, dev_valid_name).
private func validateInterface(_ name: String, of owner: String) throws(ProgramError) {
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
