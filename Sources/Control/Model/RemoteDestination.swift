// One of several remote addresses that a tap service sends copies to, in place of its port.
// Before: `destinations` of a tap service. After: a tunnel of the MirrorProgram.

package import MirrorProgram

/// A monitor that ends tunnels by itself.
package struct RemoteDestination: Hashable, Sendable {
    package var remoteIP: IPAddress
    /// Nil: the service's.
    package var encapsulation: MirrorProgram.Encapsulation?
    /// Nil: the service's.
    package var tunnelID: Int64?
    /// Nil: the usual one of the encapsulation.
    package var udpPort: UInt16?

    package init(
        remoteIP: IPAddress, encapsulation: MirrorProgram.Encapsulation? = nil, tunnelID: Int64? = nil,
        udpPort: UInt16? = nil
    ) {
        self.remoteIP = remoteIP
        self.encapsulation = encapsulation
        self.tunnelID = tunnelID
        self.udpPort = udpPort
    }

    package init(_ values: JSON.Object) throws(JSONError) {
        guard let address = IPAddress(try values.text("remote_ip")) else {
            throw JSONError(description: "remote_ip of a destination is not an IP address")
        }
        remoteIP = address
        encapsulation = values["encapsulation"]?.string.flatMap { MirrorProgram.Encapsulation(rawValue: $0) }
        tunnelID = values["tunnel_id"]?.integer
        udpPort = (values["udp_port"]?.integer).map { UInt16(clamping: $0) }
    }

    package var values: JSON.Object {
        [
            "remote_ip": .string(remoteIP.description), "encapsulation": .optional(encapsulation?.rawValue),
            "tunnel_id": tunnelID.map(JSON.integer) ?? .null,
            "udp_port": udpPort.map { .integer(Int64($0)) } ?? .null,
        ]
    }
}

extension Validator {
    package static let encapsulation = Validator.values(MirrorProgram.Encapsulation.allCases.map(\.rawValue))

    /// A list of `{"remote_ip", "encapsulation", "tunnel_id", "udp_port"}`; all but `remote_ip` may be null or left out.
    package static let remoteDestinations = list(
        of: object([
            ("remote_ip", .ipAddress, nil), ("encapsulation", .encapsulation.orNone, .null),
            ("tunnel_id", .range(0...Int64(UInt32.max)).orNone, .null), ("udp_port", .range(1...65535).orNone, .null),
        ]), atMost: MirrorProgram.destinationsPerPort)
}
