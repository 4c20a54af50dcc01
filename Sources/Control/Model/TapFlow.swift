// A tap flow: which frames are copied to a tap service. Made by POST /v2.0/taas/tap_flows, carried out as a tap of
// the MirrorProgram.

package import MirrorProgram

/// The frames of one port in one direction, to one tap service.
package struct TapFlow: Resource {
    package var id: String
    package var projectID: String
    package var name: String
    package var description: String
    package var tapServiceID: String
    /// The port whose frames are copied.
    package var sourcePortID: String
    /// The port's view: IN is toward its owner.
    package var direction: MirrorProgram.Direction
    package var status: Status
    package var statusReason: Reason?
    /// As it was sent; whether it can be carried out is DesiredState's to say.
    package var vlanFilter: String?
    package var actions: TapActions
    package var revisionNumber: Int64

    package static let kind = Kind.tapFlow
    package static let table = AttributeTable(
        [
            .server("id"),
            .project,
            Attribute("tap_service_id", .uuid, .required),
            Attribute("name", .string, .optional(""), isUpdatable: true),
            Attribute("description", .string, .optional(""), isUpdatable: true),
            Attribute("source_port", .uuid, .required),
            Attribute("direction", .values(["IN", "OUT", "BOTH"]), .required),
            .server("status", .status),
            .server("status_reason", .string.orNone),
            Attribute("vlan_filter", .vlanFilter, .optional(.null)),
        ] + TapActions.attributes + [.revision])

    package init(_ values: JSON.Object) throws(JSONError) {
        id = try values.text("id")
        projectID = try values.text("tenant_id")
        tapServiceID = try values.text("tap_service_id")
        name = try values.text("name")
        description = try values.text("description")
        sourcePortID = try values.text("source_port")
        direction = try values.word("direction", MirrorProgram.Direction.self)
        status = try values.word("status", Status.self)
        statusReason = Reason(values["status_reason"])
        vlanFilter = values["vlan_filter"]?.string
        actions = try TapActions(values)
        revisionNumber = values.revisionNumber
    }

    package var values: JSON.Object {
        var values: JSON.Object = [
            "id": .string(id), "tenant_id": .string(projectID), "tap_service_id": .string(tapServiceID),
            "name": .string(name), "description": .string(description), "source_port": .string(sourcePortID),
            "direction": .string(direction.rawValue), "status": .string(status.rawValue),
            "status_reason": statusReason?.json ?? .null, "vlan_filter": .optional(vlanFilter),
        ]
        actions.write(to: &values)
        values.append("revision_number", .integer(revisionNumber))
        return values
    }
}
