// What the commands common to all kinds (`list`, `show`, `delete`) need to know of one.

package import ControlModel

/// A kind of object as a type, so that one generic command serves all.
package protocol CommandResource: Sendable {
    static var kind: ResourceKind { get }
    /// Kinds whose names the columns use.
    static var references: [ResourceKind] { get }
    static var columns: [Column] { get }
}

/// One column of a list.
package struct Column: Sendable {
    package let title: String
    package let value: @Sendable (JSON, Names) -> String

    package init(_ title: String, _ value: @escaping @Sendable (JSON, Names) -> String) {
        self.title = title
        self.value = value
    }

    /// A column that shows an attribute.
    package init(_ title: String, _ key: String) { self.init(title) { object, _ in display(object[key]) } }
}

package enum PortResource: CommandResource {
    package static let kind = ResourceKind.port
    package static let references: [ResourceKind] = []
    package static let columns = [
        Column("NAME", "name"), Column("ID", "id"), Column("HOST", "binding:host_id"),
        Column("INTERFACE") { port, _ in display(port["binding:profile"]["interface"]) },
        Column("CAPTURE") { port, _ in display(port["binding:profile"]["capture"]) },
        Column("MAC", "mac_address"), Column("STATUS", "status"),
    ]
}

package enum ServiceResource: CommandResource {
    package static let kind = ResourceKind.service
    package static let references = [ResourceKind.port]
    package static let columns = [
        Column("NAME", "name"), Column("ID", "id"), Column("PORT") { service, names in names.name(service["port_id"]) },
        Column("ENCAPSULATION", "encapsulation"), Column("TUNNEL ID", "tunnel_id"), Column("STATUS", "status"),
        Column("REASON", "status_reason"),
    ]
}

package enum FlowResource: CommandResource {
    package static let kind = ResourceKind.flow
    package static let references = [ResourceKind.port, .service]
    package static let columns = [
        Column("NAME", "name"), Column("ID", "id"),
        Column("PORT") { flow, names in names.name(flow["source_port"]) },
        Column("DIRECTION", "direction"),
        Column("SERVICE") { flow, names in names.name(flow["tap_service_id"]) },
        Column("STATUS", "status"), Column("REASON", "status_reason"),
    ]
}

package enum MirrorResource: CommandResource {
    package static let kind = ResourceKind.mirror
    package static let references = [ResourceKind.port]
    package static let columns = [
        Column("NAME", "name"), Column("ID", "id"),
        Column("PORT") { mirror, names in names.name(mirror["port_id"]) },
        Column("DIRECTIONS", "directions"), Column("TO", "remote_ip"), Column("TYPE", "mirror_type"),
        Column("STATUS", "status"), Column("REASON", "status_reason"),
    ]
}

package enum HostResource: CommandResource {
    package static let kind = ResourceKind.host
    package static let references: [ResourceKind] = []
    package static let columns = [
        Column("NAME", "name"), Column("ID", "id"), Column("ADDRESSES", "tunnel_addresses"),
        Column("KIND") { host, _ in host["heliostat"].bool == true ? "heliostat" : "collector" },
    ]
}
