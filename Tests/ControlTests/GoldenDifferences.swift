// Where Heliostat answers otherwise than the recorded Neutron, on purpose: a closed list. docs/api.md says the same.

/// A difference that is meant.
struct GoldenDifference {
    /// Labels of the recorded calls.
    let labels: Set<String>
    let why: String

    static let all = [
        GoldenDifference(
            labels: ["tf-alt-src-on-demo-net", "tf-admin-as-demo-alt-src"],
            why: "the source port of a flow must belong to the flow's project, as upstream's specification says"),
        GoldenDifference(
            labels: ["s-name", "s-named", "s-two"],
            why: "sort_key takes every attribute; upstream's taas attributes lack is_sort_key"),
        GoldenDifference(labels: ["s-baddir"], why: "as sort_key is right, the fault is that of sort_dir"),
        GoldenDifference(labels: ["tm-list-reader"], why: "tap mirrors are offered; the recorded server had no plugin"),
        GoldenDifference(labels: ["ts-post-member"], why: "POST to a member's URL is 405; upstream makes a new object"),
        GoldenDifference(labels: ["ts-options"], why: "OPTIONS is 405; upstream answers as to GET"),
    ]

    /// Attributes that answers have beside upstream's, each announced in /v2.0/extensions.
    static let announced: Set<String> = [
        "status_reason", "statistics", "revision_number", "tunnel_id", "encapsulation", "destinations", "spread",
        "filter", "snaplen", "sampling", "rate_limit",
    ]

    /// What the inventory's networks and ports do not have: no addresses, security groups, zones, routers, DHCP or vifs;
    /// and what every run makes anew.
    static let inventory: Set<String> = [
        "port_security_enabled", "router:external", "availability_zone_hints", "availability_zones",
        "ipv4_address_scope", "ipv6_address_scope", "mtu", "mac_address", "created_at", "updated_at",
        "allowed_address_pairs", "extra_dhcp_opts", "security_groups", "binding:vif_type", "binding:vif_details",
    ]
}
