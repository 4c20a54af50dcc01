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
    package typealias Context = PeerContext

    let operations: Operations
    let telemetry: Telemetry
    let authenticator: Authenticator
    /// Nil: whatever the client calls this server, and bodies of whatever type it says: nobody's browser gets here.
    let hostNames: HostNames?
    /// The listener has a certificate.
    let isEncrypted: Bool
    let audit: Audit
    /// This process keeps a dataplane in step.
    let reconciles: Bool
    let logger: Logger

    package init(
        operations: Operations, telemetry: Telemetry, authenticator: Authenticator, hostNames: HostNames?,
        isEncrypted: Bool = false, audit: Audit? = nil, reconciles: Bool = true, logger: Logger
    ) {
        self.operations = operations
        self.telemetry = telemetry
        self.authenticator = authenticator
        self.hostNames = hostNames
        self.isEncrypted = isEncrypted
        self.audit = audit ?? Audit(logger)
        self.reconciles = reconciles
        self.logger = logger
    }

    package func respond(to request: Request, context: PeerContext) async -> Response {
        await respond(to: request, from: context.peer)
    }

    package func respond(to request: Request, from peer: Peer = .local) async -> Response {
        let begin = ContinuousClock.now
        if !telemetry.beginRequest(limit: ListenerLimits.requests) {
            return Reply(Fault.tooManyRequests, url: "").response(requestID: nil, hasBody: true)
        }
        let response = await counted(request, from: peer)
        telemetry.endRequest(
            method: request.method.rawValue, status: response.status.code,
            seconds: (ContinuousClock.now - begin) / .seconds(1))
        return response
    }

    private func counted(_ request: Request, from peer: Peer) async -> Response {
        let id = "req-" + UUID().uuidString.lowercased()
        let scheme = isEncrypted ? "https://" : "http://"
        let url = scheme + (request.head.authority.flatMap { $0.isEmpty ? nil : $0 } ?? "localhost")
        var reply: Reply
        do {
            reply = try await answer(request, from: peer, url: url, id: id)
        } catch {
            reply = Reply(fault(for: error, id: id), url: authenticator.keystone?.settings.url ?? url)
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

    private func answer(_ request: Request, from peer: Peer, url: String, id: String) async throws -> Reply {
        // The first one is `authority` (RFC 9112, section 3.2: a request has one Host field).
        if request.headers[.furtherHost] != nil {
            throw Fault.badRequest("the request has more than one Host field; send one.")
        }
        if let hostNames, !hostNames.accepts(request.head.authority) {
            throw Fault.badRequest(
                "'\(request.head.authority ?? "")' is not a name of this server; use one that it listens on.")
        }
        try checkBody(request)
        let query = Query(request.uri.query ?? "")
        if let route = IdentityRoute(path: request.uri.path), let issuer = authenticator.issuer {
            return await identity(issuer, route, request, query, from: peer, url: url, id: id)
        }
        let route = Route(path: request.uri.path)
        // As upstream: what versions there are, everybody may know.
        if route == .versions, request.method == .get { return .ok(Documents.versions(url)) }
        let caller = try await authenticator.authenticate(
            token: request.headers[.authToken], method: request.method.rawValue, path: request.uri.path)
        guard let route else {
            throw request.uri.path.hasPrefix("/v2.0/") ? Fault.notFound : .versionNotFound
        }
        let asked = Asked(caller: caller, peer: peer, id: id)
        switch route {
        case .collection(let kind):
            return try await collection(kind, request, query, asked, url: url)
        case .member(let kind, let object):
            return try await member(kind, object, request, query, asked)
        case .quotas(let place):
            return try await quotas(place, request, caller)
        default:
            guard request.method == .get else { throw Fault.methodNotAllowed }
            if case .observability(let place) = route {
                try authorize("get_heliostat_metrics", caller)
                return await Observability(store: operations.store, telemetry: telemetry, reconciles: reconciles)
                    .answer(place)
            }
            if route == .openAPI {
                var reply = Reply(status: .ok)
                reply.text = (OpenAPI.text, "application/yaml")
                return reply
            }
            return .ok(try await document(route, caller, url: url))
        }
    }

    /// Who asks, and where the answer is to be found in the logs.
    private struct Asked {
        let caller: Caller
        let peer: Peer
        let id: String
    }

    /// A web page can make a browser send anything that a form can; that JSON is not among it.
    private func checkBody(_ request: Request) throws(Fault) {
        guard hostNames != nil, request.method == .post || request.method == .put else { return }
        let isEmpty = request.headers[.contentLength].map { $0 == "0" } ?? (request.headers[.transferEncoding] == nil)
        if isEmpty, request.headers[.contentType] == nil { return }
        let type = request.headers[.contentType] ?? ""
        let isJSON = type.split(separator: ";").first?.trimmingPrefix(" ").lowercased() == "application/json"
        if !isJSON { throw .bodyNotJSON(type) }
    }

    private func identity(
        _ issuer: TokenIssuer, _ route: IdentityRoute, _ request: Request, _ query: Query, from peer: Peer,
        url: String, id: String
    ) async -> Reply {
        let service = IdentityService(
            issuer: issuer, takesPasswords: isEncrypted || peer.isLocal, url: url, peer: peer, audit: audit)
        do throws(Fault) {
            return try await service.answer(route, request, query, body: try await bytes(of: request), id: id)
        } catch {
            var reply = Reply(status: .init(code: error.status), body: IdentityDocuments.fault(error))
            if error.status == 401 { reply.headers[.wwwAuthenticate] = "Keystone uri=\"\(url)/identity\"" }
            return reply
        }
    }

    private func document(_ route: Route, _ caller: Caller, url: String) async throws -> JSON {
        switch route {
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
        case .versions, .collection, .member, .openAPI, .quotas, .observability: throw Fault.notFound
        }
    }

    private func authorize(_ rule: String, _ caller: Caller) throws(Fault) {
        if !Policy.allows(rule, caller, project: "") { throw .notAuthorized("rule:\(rule)") }
    }

    private func quotas(_ place: QuotaRoute, _ request: Request, _ caller: Caller) async throws -> Reply {
        func allow(_ verb: String, _ project: String) throws(Fault) {
            if !Policy.allows("\(verb)_quota", caller, project: project) { throw .notAuthorized("rule:\(verb)_quota") }
        }
        switch (place, request.method) {
        case (.all, .get):
            try allow("get", "")
            return .ok(try await operations.quotas())
        case (.project(let project), .get):
            try allow("get", project)
            return .ok(try await operations.quota(project))
        case (.defaults(let project), .get):
            try allow("get", project)
            return .ok(["quota": .object(Quota().values)])
        case (.details(let project), .get):
            try allow("get", project)
            return .ok(try await operations.quotaDetails(project))
        case (.project(let project), .put):
            try allow("update", project)
            let body = try Body(envelope: "quota", try await bytes(of: request))
            return .ok(try await operations.updateQuota(project, body.objects[0]))
        case (.project(let project), .delete):
            try allow("delete", project)
            try await operations.deleteQuota(project)
            return .noContent
        default: throw Fault.methodNotAllowed
        }
    }

    // MARK: Objects

    private func collection(
        _ kind: Kind, _ request: Request, _ query: Query, _ asked: Asked, url: String
    ) async throws -> Reply {
        switch request.method {
        case .get:
            let place = ([url, "v2.0"] + kind.path).joined(separator: "/")
            return .ok(try await list(kind.type, query, asked.caller, url: place))
        case .post:
            let body = try Body(create: kind, try await bytes(of: request))
            return .created(try await create(kind.type, body, asked))
        case .put, .delete: throw kind.notFound("None")
        default: throw Fault.methodNotAllowed
        }
    }

    private func member(
        _ kind: Kind, _ object: String, _ request: Request, _ query: Query, _ asked: Asked
    ) async throws -> Reply {
        switch request.method {
        case .get: return .ok(try await show(kind.type, object, query, asked.caller))
        case .put:
            let revision = try Query.revision(ifMatch: request.headers[.ifMatch])
            let body = try Body(update: kind, try await bytes(of: request))
            return .ok(try await update(kind.type, object, body, ifRevision: revision, asked))
        case .delete:
            let revision = try Query.revision(ifMatch: request.headers[.ifMatch])
            let taps = await operations.taps(deletedWith: kind, object)
            try await operations.delete(kind.type, object, ifRevision: revision, by: asked.caller)
            for tap in taps { audit.record("deleted", tap, by: asked.caller, asked.peer, request: asked.id) }
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
        _ type: Object.Type, _ body: Body, _ asked: Asked
    ) async throws -> JSON {
        let objects = try await operations.create(type, body, by: asked.caller)
        for object in objects { await record("created", object, asked) }
        let view = view(of: type, for: asked.caller)
        let bodies = objects.map { view.body(of: $0, fields: []) }
        return body.isBulk
            ? .object([Object.kind.collection: .array(bodies)]) : .object([Object.kind.singular: bodies[0]])
    }

    private func update<Object: Operable>(
        _ type: Object.Type, _ id: String, _ body: Body, ifRevision revision: Int64?, _ asked: Asked
    ) async throws -> JSON {
        let object = try await operations.update(type, id, body, ifRevision: revision, by: asked.caller)
        await record("changed", object, asked)
        return .object([Object.kind.singular: view(of: type, for: asked.caller).body(of: object, fields: [])])
    }

    private func view<Object: Operable>(of type: Object.Type, for caller: Caller) -> View<Object> {
        View(caller: caller, statistics: Object.kind.hasStatistics ? telemetry.objectStatistics : nil)
    }

    private func record<Object: Operable>(_ verb: String, _ object: Object, _ asked: Asked) async {
        guard let tap = await operations.tap(Object.kind, object.values) else { return }
        audit.record(verb, tap, by: asked.caller, asked.peer, request: asked.id)
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
