// A host: a machine that runs Heliostat, or a bare collector that ends tunnels by itself (an IDS).
// Hosts are the administrator's; a port is bound to one by its name.

package import MirrorProgram

/// A machine that has ports.
package struct Host: Resource {
    package var id: String
    package var name: String
    /// Underlay addresses of the host; copies go to the first.
    package var tunnelAddresses: [IPAddress]
    /// Heliostat runs there; a host without it is a bare collector.
    package var isHeliostat: Bool
    package var revisionNumber: Int64

    package var projectID: String { "" }

    package init(id: String, name: String, tunnelAddresses: [IPAddress], isHeliostat: Bool, revisionNumber: Int64 = 1) {
        self.id = id
        self.name = name
        self.tunnelAddresses = tunnelAddresses
        self.isHeliostat = isHeliostat
        self.revisionNumber = revisionNumber
    }

    package static let kind = Kind.host
    package static let table = AttributeTable([
        .server("id"),
        Attribute("name", .hostName, .required),
        Attribute("tunnel_addresses", .tunnelAddresses, .optional([]), isUpdatable: true),
        Attribute("heliostat", .boolean, .optional(false)),
        .revision,
    ])

    package init(_ values: JSON.Object) throws(JSONError) {
        id = try values.text("id")
        name = try values.text("name")
        tunnelAddresses = (values["tunnel_addresses"]?.array ?? []).compactMap { $0.string.flatMap { IPAddress($0) } }
        isHeliostat = try values.flag("heliostat")
        revisionNumber = values.revisionNumber
    }

    package var values: JSON.Object {
        [
            "id": .string(id), "name": .string(name),
            "tunnel_addresses": .array(tunnelAddresses.map { .string($0.description) }),
            "heliostat": .bool(isHeliostat), "revision_number": .integer(revisionNumber),
        ]
    }
}

extension Validator {
    /// A list of unicast addresses, of either IP version.
    package static let tunnelAddresses = Validator(
        ["type": "array", "items": .object(ipAddress.schema)], shown: ["type": "array", "items": ["type": "string"]]
    ) { value throws(Refusal) in
        guard let values = value.array else { throw Refusal("'\(value.pythonText)' is not a list") }
        for value in values {
            guard let address = value.string.flatMap({ IPAddress($0) }) else {
                throw Refusal("'\(value.pythonText)' is not a valid IP address")
            }
            if let reason = address.unfitAsRemote { throw Refusal("\(address) \(reason); name a unicast address") }
        }
        return value
    }
}
