// The kinds of objects that the commands handle: how the API spells each, and what a list of them shows.

/// One kind of object of the API.
package struct ResourceKind: Hashable, Sendable {
    /// The word of the commands: `heliostat service list`.
    package let noun: String
    /// The word of messages.
    package let title: String
    /// The collection's address.
    package let path: String
    /// Keys of the envelopes of one and of many.
    package let key: String
    package let collection: String
    /// Order of the attributes in `show`; the rest follows by name.
    package let attributes: [String]

    package static let port = ResourceKind(
        noun: "port", title: "port", path: "/v2.0/ports", key: "port", collection: "ports",
        attributes: ["name", "id", "status", "status_reason", "binding:host_id", "binding:profile", "mac_address"])

    package static let service = ResourceKind(
        noun: "service", title: "tap service", path: "/v2.0/taas/tap_services", key: "tap_service",
        collection: "tap_services",
        attributes: [
            "name", "id", "description", "status", "status_reason", "port_id", "encapsulation", "tunnel_id",
        ])

    package static let flow = ResourceKind(
        noun: "flow", title: "tap flow", path: "/v2.0/taas/tap_flows", key: "tap_flow", collection: "tap_flows",
        attributes: [
            "name", "id", "description", "status", "status_reason", "source_port", "direction", "tap_service_id",
            "vlan_filter", "filter", "snaplen", "sampling", "rate_limit", "statistics",
        ])

    package static let mirror = ResourceKind(
        noun: "mirror", title: "tap mirror", path: "/v2.0/taas/tap_mirrors", key: "tap_mirror",
        collection: "tap_mirrors",
        attributes: [
            "name", "id", "description", "status", "status_reason", "port_id", "directions", "remote_ip", "mirror_type",
            "filter", "snaplen", "sampling", "rate_limit", "statistics",
        ])

    package static let host = ResourceKind(
        noun: "host", title: "host", path: "/v2.0/heliostat/hosts", key: "host", collection: "hosts",
        attributes: ["name", "id", "tunnel_addresses", "heliostat"])
}
