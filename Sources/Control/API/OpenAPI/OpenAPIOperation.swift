// The places of the API that are no kind of object: quotas, and what operators' tools ask for.
// Before: QuotaRoute and ObservabilityRoute. After: OpenAPI.swift.

import ControlModel

enum OpenAPIOperation {
    static let paths: [(String, JSON.Object)] = [
        (
            "/v2.0/quotas",
            ["get": operation("list_quotas", "Projects that have limits of their own.", ["200": document], [403, 503])]
        ),
        (
            "/v2.0/quotas/{project}",
            [
                "parameters": project,
                "get": operation("show_quota", "Limits; -1 is any number.", ["200": document], [403, 503]),
                "put": change,
                "delete": operation(
                    "delete_quota", "Back to the defaults.",
                    [
                        "204": [
                            "description": "Done.",
                            "headers": ["x-openstack-request-id": OpenAPI.reference("headers", "request_id")],
                        ]
                    ], [403, 404, 503]),
            ]
        ),
        (
            "/v2.0/quotas/{project}/default",
            [
                "parameters": project,
                "get": operation("default_quota", "Limits of a project without its own.", ["200": document], [403]),
            ]
        ),
        (
            "/v2.0/quotas/{project}/details",
            [
                "parameters": project,
                "get": operation("quota_details", "Limits and what is used.", ["200": document], [403, 503]),
            ]
        ),
        (
            "/metrics",
            ["get": operation("metrics", "Counters for Prometheus, format 0.0.4.", ["200": text], [403])]
        ),
        ("/healthz", ["get": operation("healthz", "The process answers.", ["200": text], [403])]),
        (
            "/readyz",
            [
                "get": operation(
                    "readyz", "Whether the dataplane runs what is desired, or why not.",
                    ["200": document, "503": document], [403])
            ]
        ),
    ]

    private static let document = OpenAPI.reference("responses", "Document")
    private static let text: JSON = ["description": "Text.", "content": ["text/plain": ["schema": ["type": "string"]]]]

    private static let project: JSON = [
        ["name": "project", "in": "path", "required": true, "schema": ["type": "string", "minLength": 1]]
    ]

    private static func operation(
        _ id: String, _ summary: String, _ successes: JSON.Object, _ faults: [Int]
    ) -> JSON {
        [
            "summary": .string(summary), "operationId": .string(id),
            "responses": OpenAPI.answers(successes, [400, 401] + faults),
        ]
    }

    private static let change: JSON = {
        var limits = JSON.Object()
        for kind in Quota.kinds {
            limits.append(
                kind.singular, ["type": "integer", "minimum": -1, "maximum": .integer(Int64(Int32.max))])
        }
        let quota: JSON = ["type": "object", "additionalProperties": false, "properties": .object(limits)]
        return [
            "summary": "Change limits of a project.", "operationId": "update_quota",
            "requestBody": [
                "required": true,
                "content": [
                    "application/json": [
                        "schema": [
                            "type": "object", "required": ["quota"], "additionalProperties": false,
                            "properties": ["quota": quota],
                        ]
                    ]
                ],
            ],
            "responses": OpenAPI.answers(["200": document], [400, 401, 403, 413, 415, 503]),
        ]
    }()
}
