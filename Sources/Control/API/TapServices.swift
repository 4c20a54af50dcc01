// Tap services: what making and deleting one involves. Before: Operations. After: the store.

import ControlIdentity
import ControlModel
import ControlStore

extension TapService: Operable {
    static func make(
        _ values: JSON.Object, id: String, by caller: Caller, _ operations: Operations, _ transaction: inout Transaction
    ) async throws -> TapService {
        var values = values
        let project = try values.text("tenant_id")
        _ = try await operations.port(try values.text("port_id"), of: project, for: caller, &transaction)
        values["id"] = .string(id)
        values["status"] = .string(Status.down.rawValue)
        values["tunnel_id"] = .integer(
            try await claim(values["tunnel_id"]?.integer, owner: id, operations.store, &transaction))
        return try TapService(values)
    }

    /// The tunnel id that was asked for, or one of the pool that nobody has.
    private static func claim(
        _ wanted: Int64?, owner: String, _ store: any Store, _ transaction: inout Transaction
    ) async throws -> Int64 {
        if let wanted {
            if try await transaction.claim(tunnelIDKey(wanted), owner: owner) { return wanted }
            throw Fault.tunnelIDInUse(wanted)
        }
        for _ in 0..<16 {
            let candidate = Int64.random(in: tunnelIDPool)
            if try await transaction.claim(tunnelIDKey(candidate), owner: owner) { return candidate }
        }
        let taken = Set(try await store.list([tunnelIDKey(0).kind]).rows.map(\.key.id))
        for candidate in tunnelIDPool where !taken.contains(String(candidate)) {
            if try await transaction.claim(tunnelIDKey(candidate), owner: owner) { return candidate }
        }
        throw Fault.tunnelIDsExhausted
    }

    /// Deletes each flow by its own status, then the service; a service that goes at once takes all its flows with it.
    func delete(_ operations: Operations, _ transaction: inout Transaction) async throws {
        for flow in try await transaction.list(TapFlow.self) where flow.tapServiceID == id {
            if status == .active {
                try await flow.delete(operations, &transaction)
            } else {
                transaction.delete(flow.key)
            }
        }
        if status == .active {
            var service = self
            service.status = .pendingDelete
            transaction.put(service)
        } else {
            remove(&transaction)
        }
    }

    /// Removes the row and gives the tunnel id back.
    func remove(_ transaction: inout Transaction) {
        transaction.delete(key)
        transaction.delete(tunnelIDKey)
    }
}
