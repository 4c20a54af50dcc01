// The OpenAPI description is what the API goes by: docs/openapi.yaml is what it serves, and every place it names is there.
// `HELIOSTAT_WRITE_OPENAPI=1` writes the file anew.

import ControlAPI
import ControlModel
import Foundation
import HTTPTypes
import Testing

@Suite struct OpenAPITests {
    private static let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("docs/openapi.yaml")

    @Test func theFileIsWhatIsServed() async throws {
        if ProcessInfo.processInfo.environment["HELIOSTAT_WRITE_OPENAPI"] != nil {
            try OpenAPI.text.write(to: Self.file, atomically: true, encoding: .utf8)
        }
        let served = try await APIHarness().send(.get, "/openapi.yaml")
        #expect(served.status == 200)
        #expect(served.headers[.contentType] == "application/yaml")
        let file = try String(contentsOf: Self.file, encoding: .utf8)
        #expect(
            file == served.text,
            "docs/openapi.yaml is not what the tables say; run this test with HELIOSTAT_WRITE_OPENAPI=1")
    }

    /// Every documented operation is a route, and what is not documented of a documented path is 405.
    @Test func theDocumentIsTheRoutes() async throws {
        let api = try await APIHarness()
        let paths = try #require(OpenAPI.document["paths"]?.object)
        for path in paths.members {
            let place = path.name.replacing("{id}", with: "x").replacing("{alias}", with: "taas")
                .replacing("{project}", with: "p")
            let documented = Set(path.value.object?.members.map { $0.name.uppercased() } ?? [])
            for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
                let answer = try await api.send(HTTPRequest.Method(method)!, place)
                let isThere = answer.status != 405
                #expect(isThere == documented.contains(method), "\(method) \(path.name): \(answer.status)")
                let answers = path.value.object?[method.lowercased()]?.object?["responses"]?.object
                if isThere { #expect(answers?["\(answer.status)"] != nil, "\(method) \(path.name): \(answer.status)") }
            }
        }
        for kind in Kind.allCases {
            let path = (["", "v2.0"] + kind.path).joined(separator: "/")
            #expect(paths[path] != nil && paths[path + "/{id}"] != nil, "\(path)")
        }
    }
}
