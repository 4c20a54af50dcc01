// A network of the standalone inventory: what clients name when they make a port. It groups ports and carries nothing.

/// A named group of ports.
package struct Network: Resource {
    package var id: String
    package var projectID: String
    package var name: String
    package var description: String
    package var isAdministrativelyUp: Bool
    /// Seen, and ports made on it, by every project.
    package var isShared: Bool
    package var mtu: Int64
    package var createdAt: String
    package var updatedAt: String
    package var revisionNumber: Int64

    package static let kind = Kind.network
    package static let table = AttributeTable([
        .server("id"),
        Attribute("name", .string(atMost: 255), .optional(""), isUpdatable: true),
        .project,
        Attribute("admin_state_up", .boolean, .optional(true), isUpdatable: true),
        Attribute("mtu", .range(68...65535), .optional(1500), isUpdatable: true),
        .server("status", .status),
        .server("subnets", .emptyList),
        Attribute("shared", .boolean, .optional(false), isUpdatable: true, isAdministratorsToWrite: true),
        Attribute("description", .string(atMost: 255), .optional(""), isUpdatable: true),
        .server("tags", .emptyList),
        .server("created_at"),
        .server("updated_at"),
        .revision,
    ])

    package init(_ values: JSON.Object) throws(JSONError) {
        id = try values.text("id")
        name = try values.text("name")
        projectID = try values.text("tenant_id")
        isAdministrativelyUp = try values.flag("admin_state_up")
        mtu = try values.integer("mtu")
        isShared = try values.flag("shared")
        description = try values.text("description")
        createdAt = try values.text("created_at")
        updatedAt = try values.text("updated_at")
        revisionNumber = values.revisionNumber
    }

    package var values: JSON.Object {
        [
            "id": .string(id), "name": .string(name), "tenant_id": .string(projectID),
            "admin_state_up": .bool(isAdministrativelyUp), "mtu": .integer(mtu), "status": "ACTIVE", "subnets": [],
            "shared": .bool(isShared), "description": .string(description), "tags": [],
            "created_at": .string(createdAt), "updated_at": .string(updatedAt),
            "revision_number": .integer(revisionNumber),
        ]
    }
}
