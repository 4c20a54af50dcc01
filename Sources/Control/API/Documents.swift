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
            "heliostat", "Heliostat",
            "tunnel_id, encapsulation and status_reason of tap services, status_reason of tap flows and ports, hosts.",
            "2026-11-23T00:00:00-00:00"),
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
