// A tap service: the destination of copies. Made by POST /v2.0/taas/tap_services, named by tap flows,
// carried out as a destination of the MirrorProgram.

package import MirrorProgram

/// Where copies go: a port, and the tunnel that leads to it.
package struct TapService: Resource {
    package var id: String
    package var projectID: String
    package var name: String
    package var description: String
    /// The destination port.
    package var portID: String
    package var status: Status
    package var statusReason: String?
    /// The VNI, unique in the deployment: 0 ... 0xFF_FFFF.
    package var tunnelID: Int64
    package var encapsulation: MirrorProgram.Encapsulation

    /// VNIs that are given to services which do not ask for one: the highest sixteenth, far from what people choose.
    package static let tunnelIDPool: ClosedRange<Int64> = 0xF0_0000...0xFF_FFFF

    package static let kind = Kind.tapService
    package static let table = AttributeTable([
        .server("id"),
        .project,
        Attribute("name", .name, .optional(""), isUpdatable: true),
        Attribute("description", .string, .optional(""), isUpdatable: true),
        Attribute("port_id", .uuid, .required),
        .server("status"),
        .server("status_reason"),
        Attribute(
            "tunnel_id", .range(0...Int64(MirrorProgram.Encapsulation.vxlan.largestTunnelID)).orNone, .optional(.null),
            isAdministratorsToWrite: true),
        Attribute(
            "encapsulation", .values(MirrorProgram.Encapsulation.allCases.map(\.rawValue)), .optional("vxlan")),
    ])

    package init(_ values: JSON.Object) throws(JSONError) {
        id = try values.text("id")
        projectID = try values.text("tenant_id")
        name = try values.text("name")
        description = try values.text("description")
        portID = try values.text("port_id")
        status = try values.word("status", Status.self)
        statusReason = values["status_reason"]?.string
        tunnelID = try values.integer("tunnel_id")
        encapsulation = try values.word("encapsulation", MirrorProgram.Encapsulation.self)
    }

    package var values: JSON.Object {
        [
            "id": .string(id), "tenant_id": .string(projectID), "name": .string(name),
            "description": .string(description), "port_id": .string(portID), "status": .string(status.rawValue),
            "status_reason": .optional(statusReason), "tunnel_id": .integer(tunnelID),
            "encapsulation": .string(encapsulation.rawValue),
        ]
    }
}
