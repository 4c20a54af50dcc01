// A tap mirror: the frames of one port, sent through a tunnel to a monitor that is no port of ours. Made by
// POST /v2.0/taas/tap_mirrors, carried out as one tap for each direction, and one tunnel for each tunnel id.

package import MirrorProgram

/// Copies of one port to one remote address, with a tunnel id for each direction.
package struct TapMirror: Resource {
    package var id: String
    package var projectID: String
    package var name: String
    package var description: String
    /// The port whose frames are copied.
    package var portID: String
    /// Tunnel id by direction, in the order and with the JSON types of the request.
    package var directions: JSON.Object
    /// As it was sent.
    package var remoteIP: String
    package var mirrorType: MirrorType
    package var status: Status
    package var statusReason: Reason?
    package var actions: TapActions
    package var revisionNumber: Int64

    /// The encapsulation in upstream's words, and ours beside them.
    package enum MirrorType: String, Hashable, Sendable, CaseIterable {
        case erspanv1, gre
        /// ERSPAN Type III: upstream numbers the versions of the draft, of which Type II is 1 and Type III is 2.
        case erspanv2
        case geneve, vxlan

        package var encapsulation: MirrorProgram.Encapsulation {
            switch self {
            case .erspanv1: .erspan2
            case .erspanv2: .erspan3
            case .geneve: .geneve
            case .gre: .gre
            case .vxlan: .vxlan
            }
        }
    }

    package static let kind = Kind.tapMirror
    package static let table = AttributeTable(
        [
            .server("id"),
            .project,
            Attribute("name", .name, .optional(""), isUpdatable: true),
            Attribute("description", .string, .optional(""), isUpdatable: true),
            Attribute("port_id", .uuid, .required),
            Attribute("directions", .directions, .required),
            Attribute("remote_ip", .ipAddress, .required),
            Attribute("mirror_type", .values(MirrorType.allCases.map(\.rawValue)), .required),
            // Upstream's has none, and refuses a request with one as unknown.
            Attribute("status", .status, .shown),
            .server("status_reason", .string.orNone),
        ] + TapActions.attributes + [.revision])

    package init(_ values: JSON.Object) throws(JSONError) {
        id = try values.text("id")
        projectID = try values.text("tenant_id")
        name = try values.text("name")
        description = try values.text("description")
        portID = try values.text("port_id")
        directions = values["directions"]?.object ?? [:]
        remoteIP = try values.text("remote_ip")
        mirrorType = try values.word("mirror_type", MirrorType.self)
        status = try values.word("status", Status.self)
        statusReason = Reason(values["status_reason"])
        actions = try TapActions(values)
        revisionNumber = values.revisionNumber
    }

    package var values: JSON.Object {
        var values: JSON.Object = [
            "id": .string(id), "tenant_id": .string(projectID), "name": .string(name),
            "description": .string(description), "port_id": .string(portID), "directions": .object(directions),
            "remote_ip": .string(remoteIP), "mirror_type": .string(mirrorType.rawValue),
            "status": .string(status.rawValue), "status_reason": statusReason?.json ?? .null,
        ]
        actions.write(to: &values)
        values.append("revision_number", .integer(revisionNumber))
        return values
    }

    /// Tunnel ids as they were asked for, by direction; one that 64 bits do not hold is nil.
    package var tunnelIDs: [(direction: MirrorProgram.Direction, asked: String, id: Int64?)] {
        directions.members.compactMap { member in
            guard let direction = MirrorProgram.Direction(rawValue: member.name) else { return nil }
            return (direction, member.value.pythonText, Self.tunnelID(member.value))
        }
    }

    /// The number that `101`, `101.0` and `" +1_01"` are to upstream's validator.
    private static func tunnelID(_ value: JSON) -> Int64? {
        switch value {
        case .integer(let id): id
        case .number(let id): Int64(exactly: id)
        case .string(let text): Int64(text.filter { $0 == "+" || $0 == "-" || $0.isNumber })
        default: nil
        }
    }
}

extension Validator {
    /// `type:dict` of `IN`, `OUT` and `BOTH`, each an integer or text that is one.
    package static let directions = Validator(
        directionsSchema(\.schema), shown: directionsSchema(\.shown)
    ) { value throws(Refusal) in
        guard let object = value.object else { throw Refusal("'\(value.pythonText)' is not a dictionary") }
        let known = MirrorProgram.Direction.allCases.map(\.rawValue)
        let unknown = object.members.map(\.name).filter { !known.contains($0) }
        if !unknown.isEmpty { throw Refusal("Unexpected keys supplied: \(unknown.joined(separator: ", "))") }
        for member in object.members { _ = try integer.check(member.value) }
        return value
    }

    private static func directionsSchema(_ path: KeyPath<Validator, JSON.Object>) -> JSON.Object {
        let values = MirrorProgram.Direction.allCases.map { ($0.rawValue, JSON.object(integer[keyPath: path])) }
        return ["type": "object", "additionalProperties": false, "properties": .object(JSON.Object(values))]
    }
}
