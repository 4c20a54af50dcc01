// The API without a socket: requests go to the responder that a listener would use.

import ControlAPI
import ControlIdentity
import ControlModel
import ControlStore
import ControlTelemetry
import HTTPTypes
import Hummingbird
import Logging
import NIOCore

/// One API on a store of its own.
final class APIHarness: Sendable {
    let directory: TemporaryDirectory
    let store: SQLiteStore
    let telemetry = Telemetry()
    let responder: Responder
    private let operations: Operations

    init(
        authenticator: Authenticator = .administrator, hostNames: HostNames? = nil, remotes: RemoteRules = RemoteRules()
    ) async throws {
        directory = try TemporaryDirectory()
        store = try SQLiteStore(path: directory.path + "/store.db")
        operations = Operations(store: store, hostName: "here", remotes: remotes)
        try await operations.registerHost(tunnelAddresses: ["192.0.2.1"])
        responder = Responder(
            operations: operations, telemetry: telemetry, authenticator: authenticator, hostNames: hostNames,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    /// The same API for others.
    func responder(_ authenticator: Authenticator) -> Responder {
        Responder(
            operations: operations, telemetry: telemetry, authenticator: authenticator, hostNames: nil,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    struct Answer {
        var status: Int
        var headers: HTTPFields
        var text: String
        var json: JSON { (try? JSON(parsing: text.utf8)) ?? .null }
        var object: JSON.Object { json.object ?? [:] }
        /// `400 HTTPBadRequest: message` of a fault.
        var fault: String {
            let fault = object["NeutronError"]?.object
            return "\(status) \(fault?["type"]?.string ?? "-"): \(fault?["message"]?.string ?? "-")"
        }
    }

    func send(
        _ method: HTTPRequest.Method, _ path: String, _ body: String = "", headers: HTTPFields = [:],
        host: String? = "localhost", responder: Responder? = nil
    ) async throws -> Answer {
        let head = HTTPRequest(method: method, scheme: "http", authority: host, path: path, headerFields: headers)
        let request = Request(head: head, body: RequestBody(buffer: ByteBuffer(string: body)))
        let response = await (responder ?? self.responder).respond(to: request)
        let collector = Collector()
        try await response.body.write(collector)
        return Answer(status: response.status.code, headers: response.headers, text: String(buffer: collector.buffer))
    }

    func get(_ path: String) async throws -> Answer { try await send(.get, "/v2.0/" + path) }

    func post(_ path: String, _ body: JSON) async throws -> Answer { try await send(.post, "/v2.0/" + path, body.text) }

    func put(_ path: String, _ body: JSON) async throws -> Answer { try await send(.put, "/v2.0/" + path, body.text) }

    func delete(_ path: String) async throws -> Answer { try await send(.delete, "/v2.0/" + path) }

    /// Makes an object and gives its id.
    func make(_ path: String, _ name: String, _ values: JSON) async throws -> String {
        let answer = try await post(path, .object([name: values]))
        return answer.object[name]?.object?["id"]?.string ?? "no id in \(answer.text)"
    }

    func makePort(_ values: JSON = ["binding:profile": ["interface": "veth0"]]) async throws -> String {
        try await make("ports", "port", values)
    }

    /// A bare collector's port, a service on it, a source port and a flow: their ids.
    func makeTap() async throws -> (collector: String, service: String, source: String, flow: String) {
        _ = try await make("heliostat/hosts", "host", ["name": "ids", "tunnel_addresses": ["192.0.2.9"]])
        let collector = try await makePort(["binding:host_id": "ids"])
        let service = try await make("taas/tap_services", "tap_service", ["name": "s", "port_id": .string(collector)])
        let source = try await makePort()
        let flow = try await make(
            "taas/tap_flows", "tap_flow",
            ["name": "f", "tap_service_id": .string(service), "source_port": .string(source), "direction": "BOTH"])
        return (collector, service, source, flow)
    }

    /// Writes a status as the reconciler would.
    func set<Object: Resource>(_ type: Object.Type, _ id: String, _ status: Status) async throws {
        try await store.transact { transaction in
            var values = try await transaction.get(type, id)!.values
            values["status"] = .string(status.rawValue)
            transaction.put(try Object(values))
        }
    }
}

/// The body of a response.
private final class Collector: ResponseBodyWriter {
    var buffer = ByteBuffer()
    func write(_ buffer: ByteBuffer) async throws { self.buffer.writeImmutableBuffer(buffer) }
    func finish(_ trailingHeaders: HTTPFields?) async throws {}
}
