// The documents that clients read before they ask for objects: versions, resources, extensions.
// Before: Responder. After: Reply.

import ControlModel

enum Documents {
    /// - Parameter url: the server's URL as the client wrote it: keystoneauth follows these links.
    static func versions(_ url: String) -> JSON {
        [
            "versions": [
                [
                    "id": "v2.0", "status": "CURRENT",
                    "links": [["rel": "self", "href": .string(url + "/v2.0/")]],
                ]
            ]
        ]
    }

    static func resources(_ url: String) -> JSON {
        let resources = Kind.allCases.map { kind in
            let href = ([url, "v2.0"] + kind.path).joined(separator: "/")
            return [
                "links": [["href": .string(href), "rel": "self"]], "name": .string(kind.singular),
                "collection": .string(kind.collection),
            ] as JSON
        }
        return ["resources": .array(resources)]
    }

    /// What is offered beside Neutron's core, by alias.
    static let extensions: [(alias: String, document: JSON)] = [
        document(
            "taas", "Neutron Tap as a Service", "Neutron Tap as a Service Extension.", "2015-01-14T10:00:00-00:00"),
        document(
            "taas-vlan-filter", "VLAN filtering for Neutron Tap as a Service",
            "Neutron Tap as a Service Extension for filtering VLANs.", "2018-01-14T10:00:00-00:00"),
        document(
            "tap-mirror", "Tap as a Service GRE or ERSPAN mirror",
            "Neutron Tap as a Service extension for GRE or ERSPAN mirroring.", "2023-05-05T11:45:00-00:00"),
        document(
            "tap-mirror-both-direction", "Tap as a Service mirror with BOTH direction support",
            "Neutron Tap as a Service extension mirroring with support for BOTH direction.",
            "2025-12-15T11:45:00-00:00"),
        document(
            "binding", "Port Binding", "Expose port bindings of a virtual port to external application",
            "2014-02-03T10:00:00-00:00"),
        document(
            "pagination", "Pagination support", "Extension that indicates that pagination is enabled.",
            "2016-06-12T00:00:00-00:00"),
        document(
            "sorting", "Sorting support", "Extension that indicates that sorting is enabled.",
            "2016-06-12T00:00:00-00:00"),
        document(
            "project-id", "project_id field enabled", "Extension that indicates that project_id field is enabled.",
            "2016-09-09T09:09:09-09:09"),
        document(
            "empty-string-filtering", "Empty String Filtering Extension",
            "Allow filtering by attributes with empty string value", "2018-05-01T10:00:00-00:00"),
        document(
            "standard-attr-revisions", "Resource revision numbers",
            "This extension will display the revision number of neutron resources.", "2016-04-11T10:00:00-00:00"),
        document(
            "revision-if-match", "If-Match constraints based on revision_number",
            "Extension indicating that If-Match based on revision_number is supported.", "2016-12-11T00:00:00-00:00"),
        document(
            "standard-attr-timestamp", "Resource timestamps",
            "Adds created_at and updated_at fields to all Neutron resources that have Neutron standard attributes.",
            "2016-09-12T10:00:00-00:00"),
        document(
            "quotas", "Quota management support", "Expose functions for quotas management per project",
            "2012-07-29T10:00:00-00:00"),
        document(
            "quota_details", "Quota details management support",
            "Expose functions for quotas usage statistics per project", "2017-02-10T10:00:00-00:00"),
        document(
            "heliostat-filter", "Heliostat: which frames are copied, and how much of them",
            "Attributes filter, snaplen, sampling and rate_limit of tap flows and tap mirrors.",
            "2026-11-26T00:00:00-00:00"),
        document(
            "heliostat-destinations", "Heliostat: where copies go",
            "Attributes encapsulation, tunnel_id, destinations and spread of tap services; mirror_type erspanv2, vxlan and geneve of tap mirrors.",
            "2026-11-26T00:00:00-00:00"),
        document(
            "heliostat-status", "Heliostat: what became of an intent",
            "Attributes status_reason and statistics of tap services, tap flows and tap mirrors, status of tap mirrors, status_reason of ports.",
            "2026-11-26T00:00:00-00:00"),
        document(
            "heliostat-hosts", "Heliostat: hosts", "Hosts that ports are bound to, and the addresses of collectors.",
            "2026-11-26T00:00:00-00:00"),
    ]

    private static func document(
        _ alias: String, _ name: String, _ description: String, _ updated: String
    ) -> (alias: String, document: JSON) {
        let document: JSON = [
            "name": .string(name), "alias": .string(alias), "description": .string(description),
            "updated": .string(updated), "links": [],
        ]
        return (alias, document)
    }
}
