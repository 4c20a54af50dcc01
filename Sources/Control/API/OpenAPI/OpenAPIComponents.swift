// The parts of the OpenAPI description that several operations share: parameters, answers, and a schema for what is made,
// changed and shown of each kind. Before: the tables of Model. After: OpenAPI.swift.

import ControlModel

extension OpenAPI {
    static let parameters: JSON.Object = [
        "id": [
            "name": "id", "in": "path", "required": true, "description": "Never a name.", "schema": ["type": "string"],
        ],
        "if_match": [
            "name": "If-Match", "in": "header", "description": "Only if this is the revision of the object.",
            "schema": ["type": "string", "pattern": "^revision_number=[0-9]{1,18}$"],
        ],
        "fields": query("fields", "Attributes to show, repeated; all if left out.", list),
        "sort_key": query("sort_key", "Attributes to sort by, one for each sort_dir.", list),
        "sort_dir": query(
            "sort_dir", "Order of each sort_key.",
            ["type": "array", "items": ["type": "string", "enum": ["asc", "desc"]]]),
        "limit": query("limit", "Most objects of one answer; 0 for all.", ["type": "integer", "minimum": 0]),
        "marker": query("marker", "Id of the last object of the page before.", ["type": "string"]),
        "page_reverse": query("page_reverse", "What is before the marker.", ["type": "boolean"]),
    ]

    private static let list: JSON = ["type": "array", "items": ["type": "string"]]

    private static func query(_ name: String, _ description: String, _ schema: JSON) -> JSON {
        ["name": .string(name), "in": "query", "description": .string(description), "schema": schema]
    }

    static let responses: JSON.Object = [
        "Document": answer("A JSON object.", ["type": "object"]),
        "Fault": answer(
            "Refused; type and message are upstream's.", reference("schemas", "Fault")),
        "Unauthorized": answer(
            "No token, or a wrong one.", reference("schemas", "Unauthorized"),
            ["WWW-Authenticate": ["schema": ["type": "string"]]]),
    ]

    private static func answer(_ description: String, _ schema: JSON, _ headers: JSON.Object = [:]) -> JSON {
        var headers = headers
        headers["x-openstack-request-id"] = reference("headers", "request_id")
        return [
            "description": .string(description), "headers": .object(headers),
            "content": ["application/json": ["schema": schema]],
        ]
    }

    static let schemas: JSON.Object = {
        var schemas: JSON.Object = [
            "Fault": object(
                [
                    "NeutronError": object(
                        [
                            "type": ["type": "string"], "message": ["type": "string"], "detail": ["type": "string"],
                        ], ["type", "message", "detail"])
                ], ["NeutronError"]),
            "Unauthorized": object(
                [
                    "error": object(
                        ["code": ["const": 401], "title": ["type": "string"], "message": ["type": "string"]],
                        ["code", "title", "message"])
                ], ["error"]),
            "Links": [
                "type": "array",
                "items": object(
                    ["rel": ["type": "string", "enum": ["next", "previous"]], "href": ["type": "string"]],
                    ["rel", "href"]),
            ],
            "Statistics": [
                "description": "Copies since the dataplane began to count; null of what it does not carry out.",
                "anyOf": [
                    object(
                        [
                            "frames": ["type": "integer"], "bytes": ["type": "integer"],
                            "truncated": ["type": "integer"],
                            "drops": ["type": "object", "additionalProperties": ["type": "integer"]],
                            "updated_at": ["type": "string"],
                        ], ["frames", "bytes", "truncated", "drops", "updated_at"]), ["type": "null"],
                ],
            ],
        ]
        for kind in Kind.allCases {
            schemas.append(kind.schemaName, shown(kind))
            schemas.append(kind.schemaName + "Create", create(kind))
            schemas.append(kind.schemaName + "Update", update(kind))
        }
        return schemas
    }()

    /// What answers have; nothing is required, since `fields` may leave out everything.
    private static func shown(_ kind: Kind) -> JSON {
        var properties = JSON.Object()
        for attribute in kind.table.attributes { properties.append(attribute.name, .object(attribute.shown)) }
        if kind.table["tenant_id"] != nil { properties.append("project_id", ["type": "string"]) }
        if kind.hasStatistics { properties.append("statistics", reference("schemas", "Statistics")) }
        return object(properties, [])
    }

    private static func create(_ kind: Kind) -> JSON {
        var properties = JSON.Object()
        var required: [String] = []
        for attribute in kind.table.attributes {
            switch attribute.presence {
            case .server, .shown: continue
            case .required: if attribute.name != "tenant_id" { required.append(attribute.name) }
            case .optional: break
            }
            properties.append(attribute.name, .object(attribute.validator.schema))
            if attribute.name == "tenant_id" { properties.append("project_id", .object(attribute.validator.schema)) }
        }
        return object(properties, required)
    }

    private static func update(_ kind: Kind) -> JSON {
        let attributes = kind.table.attributes.filter(\.isUpdatable)
        return object(JSON.Object(attributes.map { ($0.name, .object($0.validator.schema)) }), [])
    }

    private static func object(_ properties: JSON.Object, _ required: [String]) -> JSON {
        [
            "type": "object", "additionalProperties": false, "required": .array(required.map(JSON.string)),
            "properties": .object(properties),
        ]
    }
}

extension Attribute {
    /// The schema of what answers have: what a request may leave to a default may be shown as that default.
    fileprivate var shown: JSON.Object {
        guard case .optional(.null) = presence, !["tunnel_id", "mac_address", "binding:host_id"].contains(name) else {
            return validator.shown
        }
        return validator.shown["anyOf"] == nil
            ? ["anyOf": [.object(validator.shown), ["type": "null"]]] : validator.shown
    }
}

extension Kind {
    /// `TapService`
    var schemaName: String {
        singular.split(separator: "_").map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
    }
}
