// /metrics, /healthz and /readyz: of a listener of their own, where whoever can reach it may read, or of the API's with
// the administrator's token. Before: Hummingbird, or Responder. After: Telemetry, and a look at the store.

import ControlModel
package import ControlStore
package import ControlTelemetry
import HTTPTypes
package import Hummingbird
import NIOCore

/// What an operator's tools ask for.
package enum ObservabilityRoute: String, Hashable, Sendable, CaseIterable {
    case metrics
    case health = "healthz"
    case readiness = "readyz"

    package init?(path: String) {
        let parts = path.split(separator: "/")
        guard parts.count == 1, let route = Self(rawValue: String(parts[0])) else { return nil }
        self = route
    }
}

/// Answers them.
package struct Observability: HTTPResponder {
    package typealias Context = BasicRequestContext

    let store: any Store
    let telemetry: Telemetry
    /// This process keeps a dataplane in step.
    let reconciles: Bool

    package init(store: any Store, telemetry: Telemetry, reconciles: Bool) {
        self.store = store
        self.telemetry = telemetry
        self.reconciles = reconciles
    }

    package func respond(to request: Request, context: BasicRequestContext) async -> Response {
        var reply = Reply(status: .notFound)
        reply.text = ("404: there are /metrics, /healthz and /readyz\n", "text/plain; charset=utf-8")
        if let route = ObservabilityRoute(path: request.uri.path) {
            reply = Reply(status: .methodNotAllowed)
            reply.headers[.allow] = "GET, HEAD"
            if request.method == .get || request.method == .head { reply = await answer(route) }
        }
        return reply.response(requestID: nil, hasBody: request.method != .head)
    }

    func answer(_ route: ObservabilityRoute) async -> Reply {
        switch route {
        case .metrics:
            var reply = Reply(status: .ok)
            reply.text = (telemetry.metricsDocument(), "text/plain; version=0.0.4; charset=utf-8")
            return reply
        case .health:
            var reply = Reply(status: .ok)
            reply.text = ("ok\n", "text/plain; charset=utf-8")
            return reply
        case .readiness:
            var trouble: String?
            do throws(StoreError) { _ = try await store.list([]) } catch { trouble = error.description }
            let (body, isReady) = telemetry.readinessDocument(storeTrouble: trouble, reconciles: reconciles)
            return Reply(status: isReady ? .ok : .serviceUnavailable, body: body)
        }
    }
}
