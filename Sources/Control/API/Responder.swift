// One request from its first header to its answer: name the server, authenticate, route, do, reply. No input gives a
// 5xx. Before: Hummingbird's HTTP parser (Listener.swift). After: Operations, Documents, Telemetry.

package import ControlIdentity
import ControlModel
import ControlStore
package import ControlTelemetry
import FoundationEssentials
import HTTPTypes
package import Hummingbird
package import Logging
import NIOCore

/// The API of one listener.
package struct Responder: HTTPResponder {
    package typealias Context = BasicRequestContext

    let operations: Operations
    let telemetry: Telemetry
    let authenticator: Authenticator
    /// Nil: whatever the client calls this server.
    let hostNames: HostNames?
    let logger: Logger

    package init(
        operations: Operations, telemetry: Telemetry, authenticator: Authenticator, hostNames: HostNames?,
        logger: Logger
    ) {
        self.operations = operations
        self.telemetry = telemetry
        self.authenticator = authenticator
        self.hostNames = hostNames
        self.logger = logger
    }

    package func respond(to request: Request, context: BasicRequestContext) async -> Response {
        await respond(to: request)
    }

    package func respond(to request: Request) async -> Response {
        let id = "req-" + UUID().uuidString.lowercased()
        let url = "http://" + (request.head.authority.flatMap { $0.isEmpty ? nil : $0 } ?? "localhost")
        var reply: Reply
        do {
            reply = try await answer(request, url: url, id: id)
        } catch {
            reply = Reply(fault(for: error, id: id), url: url)
            if reply.status == .methodNotAllowed, let route = Route(path: request.uri.path) {
                reply.headers[.allow] = route.methods
            }
        }
        return reply.response(requestID: id, hasBody: request.method != .head)
    }

    /// What the client is told of an error.
    private func fault(for error: any Error, id: String) -> Fault {
        switch error {
        case let fault as Fault: return fault
        case let error as StoreError:
            logger.error("store: \(error)", metadata: ["request": "\(id)"])
            return .storeUnavailable(error.description)
        default:
            logger.error("unexpected: \(error)", metadata: ["request": "\(id)"])
            return .internalError
        }
    }

    private func answer(_ request: Request, url: String, id: String) async throws -> Reply {
        if let hostNames, !hostNames.accepts(request.head.authority) {
            throw Fault.badRequest(
                "'\(request.head.authority ?? "")' is not a name of this server; use one that it listens on.")
        }
        let caller = try authenticator.authenticate(token: request.headers[.authToken])
        guard let route = Route(path: request.uri.path) else {
            throw request.uri.path.hasPrefix("/v2.0/") ? Fault.notFound : .versionNotFound
        }
        let query = Query(request.uri.query ?? "")
        switch route {
        case .collection(let kind):
            return try await collection(kind, request, query, caller, url: url, id: id)
        case .member(let kind, let object):
            return try await member(kind, object, request, query, caller, id: id)
        default:
            guard request.method == .get else { throw Fault.methodNotAllowed }
            if route == .openAPI {
                var reply = Reply(status: .ok)
                reply.text = (OpenAPI.text, "application/yaml")
                return reply
            }
            return .ok(try await document(route, caller, url: url))
        }
    }

    private func document(_ route: Route, _ caller: Caller, url: String) async throws -> JSON {
        switch route {
        case .versions: return Documents.versions(url)
        case .resources: return Documents.resources(url)
        case .extensions: return ["extensions": .array(Documents.extensions.map(\.document))]
        case .extension(let alias):
            guard let found = Documents.extensions.first(where: { $0.alias == alias }) else {
                throw Fault(404, "ExtensionNotFound", "Extension with alias \(alias) does not exist")
            }
            return ["extension": found.document]
        case .status:
            try authorize("get_heliostat_status", caller)
            return try telemetry.statusDocument(host: operations.hostName)
        case .statistics:
            try authorize("get_heliostat_statistics", caller)
            return try telemetry.statisticsDocument(names: try await operations.names())
        case .collection, .member, .openAPI: throw Fault.notFound
        }
    }

    private func authorize(_ rule: String, _ caller: Caller) throws(Fault) {
        if !Policy.allows(rule, caller, project: "") { throw .notAuthorized("rule:\(rule)") }
    }

    // MARK: Objects

    private func collection(
        _ kind: Kind, _ request: Request, _ query: Query, _ caller: Caller, url: String, id: String
    ) async throws -> Reply {
        switch request.method {
        case .get:
            let place = ([url, "v2.0"] + kind.path).joined(separator: "/")
            return .ok(try await list(kind.type, query, caller, url: place))
        case .post:
            let body = try Body(create: kind, try await bytes(of: request))
            return .created(try await create(kind.type, body, caller, id: id))
        case .put, .delete: throw kind.notFound("None")
        default: throw Fault.methodNotAllowed
        }
    }

    private func member(
        _ kind: Kind, _ object: String, _ request: Request, _ query: Query, _ caller: Caller, id: String
    ) async throws -> Reply {
        switch request.method {
        case .get: return .ok(try await show(kind.type, object, query, caller))
        case .put:
            let revision = try Query.revision(ifMatch: request.headers[.ifMatch])
            let body = try Body(update: kind, try await bytes(of: request))
            return .ok(try await update(kind.type, object, body, ifRevision: revision, caller, id: id))
        case .delete:
            let revision = try Query.revision(ifMatch: request.headers[.ifMatch])
            try await operations.delete(kind.type, object, ifRevision: revision, by: caller)
            audit("deleted", kind, object, caller, id)
            return .noContent
        default: throw Fault.methodNotAllowed
        }
    }

    /// The whole body. What else can go wrong with it (chunks that are none, a client that goes away) is the client's.
    private func bytes(of request: Request) async throws(Fault) -> [UInt8] {
        do {
            return Array(buffer: try await request.body.collect(upTo: Body.largestSize))
        } catch is NIOTooManyBytesError {
            throw .bodyTooLarge
        } catch {
            throw .bodyIncomplete
        }
    }

    private func list<Object: Operable>(
        _ type: Object.Type, _ query: Query, _ caller: Caller, url: String
    ) async throws -> JSON {
        let view = view(of: type, for: caller)
        let all = try await operations.list(type, for: caller).filter { view.matches($0, query) }
        let page = try Page(of: try view.sorted(all, query), query, url: url)
        let fields = query.values("fields")
        var body: JSON.Object = [
            Object.kind.collection: .array(page.objects.map { view.body(of: $0, fields: fields) })
        ]
        if let links = page.links { body["\(Object.kind.collection)_links"] = links }
        return .object(body)
    }

    private func show<Object: Operable>(
        _ type: Object.Type, _ id: String, _ query: Query, _ caller: Caller
    ) async throws -> JSON {
        let object = try await operations.show(type, id, for: caller)
        let body = view(of: type, for: caller).body(of: object, fields: query.values("fields"))
        return .object([Object.kind.singular: body])
    }

    private func create<Object: Operable>(
        _ type: Object.Type, _ body: Body, _ caller: Caller, id: String
    ) async throws -> JSON {
        let objects = try await operations.create(type, body, by: caller)
        for object in objects { audit("created", Object.kind, object.id, caller, id, object.values) }
        let view = view(of: type, for: caller)
        let bodies = objects.map { view.body(of: $0, fields: []) }
        return body.isBulk
            ? .object([Object.kind.collection: .array(bodies)]) : .object([Object.kind.singular: bodies[0]])
    }

    private func update<Object: Operable>(
        _ type: Object.Type, _ id: String, _ body: Body, ifRevision revision: Int64?, _ caller: Caller,
        id request: String
    ) async throws -> JSON {
        let object = try await operations.update(type, id, body, ifRevision: revision, by: caller)
        audit("updated", Object.kind, id, caller, request, object.values)
        return .object([Object.kind.singular: view(of: type, for: caller).body(of: object, fields: [])])
    }

    private func view<Object: Operable>(of type: Object.Type, for caller: Caller) -> View<Object> {
        View(caller: caller, statistics: Object.kind.hasStatistics ? telemetry.objectStatistics : nil)
    }

    /// Who did what to which object.
    private func audit(
        _ verb: String, _ kind: Kind, _ id: String, _ caller: Caller, _ request: String, _ values: JSON.Object = [:]
    ) {
        logger.info(
            "\(verb) \(kind.singular) \(id)",
            metadata: [
                "project": "\(caller.projectID)", "request": "\(request)",
                "object": "\(values.members.isEmpty ? "" : JSON.object(values).text)",
            ])
    }
}

extension Kind {
    /// Whether its objects have counters.
    var hasStatistics: Bool { path.first == "taas" }

    var table: AttributeTable { type.table }

    /// The type of the kind's objects.
    fileprivate var type: any Operable.Type {
        switch self {
        case .tapService: TapService.self
        case .tapFlow: TapFlow.self
        case .tapMirror: TapMirror.self
        case .network: Network.self
        case .port: Port.self
        case .host: Host.self
        }
    }
}
