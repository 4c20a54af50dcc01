// A tap service: the destination of copies. Made by POST /v2.0/taas/tap_services, named by tap flows,
// carried out as a destination of the MirrorProgram, or as several.

package import MirrorProgram

/// Where copies go: a port, and the tunnel that leads to it; or remote addresses in its place.
package struct TapService: Resource {
    package var id: String
    package var projectID: String
    package var name: String
    package var description: String
    /// The destination port.
    package var portID: String
    package var status: Status
    package var statusReason: Reason?
    /// Unique in the deployment: 0 ... `encapsulation.largestTunnelID`.
    package var tunnelID: Int64
    package var encapsulation: MirrorProgram.Encapsulation
    /// Where copies go instead of the port; empty: to the port.
    package var destinations: [RemoteDestination]
    /// Each flow of frames goes to one of `destinations`, and not to all of them.
    package var isSpread: Bool
    package var revisionNumber: Int64

    /// Tunnel ids that are given to services which do not ask for one: the highest sixteenth of all VNIs, far from what
    /// people choose, or of all session ids.
    package static let tunnelIDPool: ClosedRange<Int64> = 0xF0_0000...0xFF_FFFF

    /// The pool of an encapsulation: the deployment's, or where its ids do not fit (ERSPAN has 10 bits) the highest
    /// sixteenth of those that do.
    package static func tunnelIDPool(
        of encapsulation: MirrorProgram.Encapsulation, deployment pool: ClosedRange<Int64> = tunnelIDPool
    ) -> ClosedRange<Int64> {
        let largest = Int64(encapsulation.largestTunnelID)
        return largest >= pool.upperBound ? pool : largest / 16 * 15 + 1...largest
    }

    package static let kind = Kind.tapService
    package static let table = AttributeTable([
        .server("id"),
        .project,
        Attribute("name", .name, .optional(""), isUpdatable: true),
        Attribute("description", .string, .optional(""), isUpdatable: true),
        Attribute("port_id", .uuid, .required),
        .server("status", .status),
        .server("status_reason", .string.orNone),
        Attribute(
            "tunnel_id", .range(0...Int64(UInt32.max)).orNone, .optional(.null), isAdministratorsToWrite: true),
        Attribute("encapsulation", .encapsulation, .optional("vxlan"), isUpdatable: true),
        Attribute("destinations", .remoteDestinations, .optional([]), isUpdatable: true),
        Attribute("spread", .boolean, .optional(false), isUpdatable: true),
        .revision,
    ])

    package init(_ values: JSON.Object) throws(JSONError) {
        id = try values.text("id")
        projectID = try values.text("tenant_id")
        name = try values.text("name")
        description = try values.text("description")
        portID = try values.text("port_id")
        status = try values.word("status", Status.self)
        statusReason = Reason(values["status_reason"])
        tunnelID = try values.integer("tunnel_id")
        encapsulation = try values.word("encapsulation", MirrorProgram.Encapsulation.self)
        destinations = []
        for value in values["destinations"]?.array ?? [] {
            destinations.append(try RemoteDestination(value.object ?? [:]))
        }
        isSpread = values["spread"]?.bool ?? false
        revisionNumber = values.revisionNumber
    }

    package var values: JSON.Object {
        [
            "id": .string(id), "tenant_id": .string(projectID), "name": .string(name),
            "description": .string(description), "port_id": .string(portID), "status": .string(status.rawValue),
            "status_reason": statusReason?.json ?? .null, "tunnel_id": .integer(tunnelID),
            "encapsulation": .string(encapsulation.rawValue),
            "destinations": .array(destinations.map { .object($0.values) }), "spread": .bool(isSpread),
            "revision_number": .integer(revisionNumber),
        ]
    }

    /// The tunnel to one of `destinations`: what it leaves open is the service's.
    package func tunnel(to destination: RemoteDestination) -> MirrorProgram.Tunnel {
        MirrorProgram.Tunnel(
            remote: destination.remoteIP, encapsulation: destination.encapsulation ?? encapsulation,
            tunnelID: UInt32(clamping: destination.tunnelID ?? tunnelID), udpPort: destination.udpPort)
    }
}
