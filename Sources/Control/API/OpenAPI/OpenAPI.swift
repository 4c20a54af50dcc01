// The OpenAPI 3.1 description of the API, made from what the API itself goes by: kinds, routes, tables of attributes.
// Before: the tables of Model. After: GET /openapi.yaml, and docs/openapi.yaml, which a test holds equal to it.

package import ControlModel

package enum OpenAPI {
    package static let text = header + YAML.text(document)

    private static let header =
        "# Made by Tests/ControlTests/OpenAPITests.swift from the tables of Sources/Control/Model.\n"

    /// The whole document.
    package static let document: JSON.Object = [
        "openapi": "3.1.0",
        "info": [
            "title": "Heliostat", "version": .string(heliostatVersion), "summary": "Tap-as-a-Service for Linux hosts.",
            "description":
                "The prose is in api.md. A trailing slash, the suffix .json, and upstream's other spellings of the paths are not listed.",
            "license": ["name": "Apache-2.0", "identifier": "Apache-2.0"],
        ],
        "servers": [["url": "http://127.0.0.1:9696"]],
        "security": [["token": []]],
        "paths": .object(paths),
        "components": [
            "securitySchemes": ["token": ["type": "apiKey", "in": "header", "name": "X-Auth-Token"]],
            "parameters": .object(parameters),
            "headers": [
                "request_id": [
                    "description": "Name of the request in the log.",
                    "schema": ["type": "string", "pattern": "^req-[0-9a-f-]{36}$"],
                ]
            ],
            "responses": .object(responses),
            "schemas": .object(schemas),
        ],
    ]

    // MARK: Paths

    private static let paths: JSON.Object = {
        var paths = JSON.Object()
        for (path, operation) in documents { paths.append(path, .object(["get": .object(operation)])) }
        for kind in Kind.allCases {
            let path = (["", "v2.0"] + kind.path).joined(separator: "/")
            paths.append(path, .object(collection(kind)))
            paths.append(path + "/{id}", .object(member(kind)))
        }
        for (path, operations) in OpenAPIOperation.paths { paths.append(path, .object(operations)) }
        return paths
    }()

    /// Documents that are read only, with what they answer beside 200.
    private static let documents: [(String, JSON.Object)] = [
        (
            "/",
            [
                "summary": "Versions of the API; needs no token.", "operationId": "versions", "security": [],
                "responses": answers(["200": reference("responses", "Document")], [400]),
            ]
        ),
        (
            "/openapi.yaml",
            [
                "summary": "This document.", "operationId": "openapi",
                "responses": answers(
                    [
                        "200": [
                            "description": "OpenAPI 3.1 in YAML.",
                            "content": ["application/yaml": ["schema": ["type": "object"]]],
                        ]
                    ], [400, 401]),
            ]
        ),
        ("/v2.0", document("resources", "Resources of the API.", [])),
        ("/v2.0/extensions", document("extensions", "What is offered beside Neutron's core.", [])),
        (
            "/v2.0/extensions/{alias}",
            document(
                "extension", "One extension.", [404],
                [["name": "alias", "in": "path", "required": true, "schema": ["type": "string"]]])
        ),
        ("/v2.0/heliostat/status", document("status", "What the dataplane runs, as really obtained.", [403])),
        ("/v2.0/heliostat/statistics", document("statistics", "Counters by tap and destination.", [403, 503])),
    ]

    private static func document(
        _ id: String, _ summary: String, _ faults: [Int], _ parameters: [JSON] = []
    ) -> JSON.Object {
        var operation: JSON.Object = ["summary": .string(summary), "operationId": .string(id)]
        if !parameters.isEmpty { operation["parameters"] = .array(parameters) }
        operation["responses"] = answers(["200": reference("responses", "Document")], [400, 401] + faults)
        return operation
    }

    private static func collection(_ kind: Kind) -> JSON.Object {
        let words = kind.collection.replacing("_", with: " ")
        let all: JSON.Object = [
            kind.collection: ["type": "array", "items": reference("schemas", kind.schemaName)],
            kind.collection + "_links": reference("schemas", "Links"),
        ]
        let queries = ["fields", "sort_key", "sort_dir", "limit", "marker", "page_reverse"]
        return [
            "get": [
                "summary": .string("List \(words)."), "operationId": .string("list_\(kind.collection)"),
                "parameters": .array(queries.map { reference("parameters", $0) } + filters(kind)),
                "responses": answers(
                    ["200": success("The \(words) that the caller may see.", all, [kind.collection])], [400, 401, 503]),
            ],
            "post": [
                "summary": .string("Create \(kind == .tapMirror ? "one" : "one or several") of the \(words)."),
                "operationId": .string("create_\(kind.singular)"),
                "requestBody": body(kind),
                "responses": answers(
                    ["201": created(kind)], [400, 401, 403, 404, 409, 413, 415, 503]),
            ],
            "put": noCollection("update", kind),
            "delete": noCollection("delete", kind),
        ]
    }

    /// As upstream: what needs an id and has none asks for an object of the name `None`.
    private static func noCollection(_ verb: String, _ kind: Kind) -> JSON {
        [
            "summary": "Always 404, as upstream: the id is missing.",
            "operationId": .string("\(verb)_\(kind.collection)"),
            "responses": answers([:], verb == "update" ? [400, 401, 404, 415] : [400, 401, 404]),
        ]
    }

    private static func member(_ kind: Kind) -> JSON.Object {
        let words = kind.singular.replacing("_", with: " ")
        let one = success(
            "The \(words).", [kind.singular: reference("schemas", kind.schemaName)], [kind.singular])
        let ifMatch = reference("parameters", "if_match")
        return [
            "parameters": [reference("parameters", "id")],
            "get": [
                "summary": .string("Show one \(words)."), "operationId": .string("show_\(kind.singular)"),
                "parameters": [reference("parameters", "fields")],
                "responses": answers(["200": one], [400, 401, 404, 503]),
            ],
            "put": [
                "summary": .string("Change one \(words)."), "operationId": .string("update_\(kind.singular)"),
                "parameters": [ifMatch],
                "requestBody": json(envelope(kind.singular, reference("schemas", kind.schemaName + "Update"))),
                "responses": answers(["200": one], [400, 401, 403, 404, 409, 412, 413, 415, 503]),
            ],
            "delete": [
                "summary": .string("Delete one \(words)."), "operationId": .string("delete_\(kind.singular)"),
                "parameters": [ifMatch],
                "responses": answers(
                    [
                        "204": [
                            "description": "Deleted, or marked for deletion.",
                            "headers": ["x-openstack-request-id": reference("headers", "request_id")],
                        ]
                    ], [400, 401, 403, 404, 409, 412, 503]),
            ],
        ]
    }

    // MARK: Parts

    /// Every attribute is a filter.
    private static func filters(_ kind: Kind) -> [JSON] {
        kind.table.attributes.filter { !["tags", "subnets"].contains($0.name) }.map { attribute in
            [
                "name": .string(attribute.name), "in": "query",
                "description": "Only those that have one of the values.",
                "schema": ["type": "array", "items": ["type": "string"]],
            ]
        }
    }

    private static func body(_ kind: Kind) -> JSON {
        let create = reference("schemas", kind.schemaName + "Create")
        let one = envelope(kind.singular, create)
        if kind == .tapMirror { return json(one) }
        let many = envelope(
            kind.collection,
            ["type": "array", "minItems": 1, "maxItems": .integer(Int64(Body.mostObjects)), "items": create])
        return json(["oneOf": [one, many]])
    }

    private static func created(_ kind: Kind) -> JSON {
        let object = reference("schemas", kind.schemaName)
        return success(
            "What was created.", [kind.singular: object, kind.collection: ["type": "array", "items": object]], [])
    }

    private static func envelope(_ name: String, _ schema: JSON) -> JSON {
        [
            "type": "object", "required": [.string(name)], "additionalProperties": false,
            "properties": .object([name: schema]),
        ]
    }

    private static func json(_ schema: JSON) -> JSON {
        ["required": true, "content": ["application/json": ["schema": schema]]]
    }

    private static func success(_ description: String, _ properties: JSON.Object, _ required: [String]) -> JSON {
        [
            "description": .string(description),
            "headers": ["x-openstack-request-id": reference("headers", "request_id")],
            "content": [
                "application/json": [
                    "schema": [
                        "type": "object", "required": .array(required.map(JSON.string)),
                        "properties": .object(properties),
                    ]
                ]
            ],
        ]
    }

    static func answers(_ successes: JSON.Object, _ faults: [Int]) -> JSON {
        var answers = successes
        for status in faults.sorted() {
            answers[String(status)] = reference("responses", status == 401 ? "Unauthorized" : "Fault")
        }
        return .object(answers)
    }

    static func reference(_ part: String, _ name: String) -> JSON { ["$ref": .string("#/components/\(part)/\(name)")] }
}
