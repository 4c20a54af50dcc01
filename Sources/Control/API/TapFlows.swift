// Tap flows: what making and deleting one involves. Before: Operations. After: the store.

import ControlIdentity
import ControlModel
import ControlStore

extension TapFlow: Operable {
    static func make(
        _ values: JSON.Object, id: String, by caller: Caller, _ operations: Operations, _ transaction: inout Transaction
    ) async throws -> TapFlow {
        let project = try values.text("tenant_id")
        let serviceID = try values.text("tap_service_id")
        guard let service = try await transaction.get(TapService.self, serviceID),
            caller.isAdministrator || caller.projectID == service.projectID, service.status != .pendingDelete
        else { throw Kind.tapService.notFound(serviceID) }
        if service.projectID != project { throw Fault.serviceNotOfTenant }
        _ = try await operations.port(try values.text("source_port"), of: project, for: caller, &transaction)
        var values = values
        values["id"] = .string(id)
        values["status"] = .string(Status.down.rawValue)
        return try TapFlow(values)
    }

    func check(
        after before: TapFlow?, by caller: Caller, _ operations: Operations, _ transaction: inout Transaction
    ) async throws {
        if actions.filter != before?.actions.filter { try actions.checkFilter() }
    }

    /// What the dataplane may run is marked, and goes when the dataplane has let it go; the rest goes at once.
    func delete(_ operations: Operations, _ transaction: inout Transaction) async throws {
        if status == .active {
            var flow = self
            flow.status = .pendingDelete
            transaction.put(flow)
        } else {
            transaction.delete(key)
        }
    }
}
