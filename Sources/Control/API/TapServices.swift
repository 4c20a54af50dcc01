// Tap services: what making and deleting one involves. Before: Operations. After: the store.

import ControlIdentity
import ControlModel
import ControlStore
import MirrorProgram

extension TapService: Operable {
    static func make(
        _ values: JSON.Object, id: String, by caller: Caller, _ operations: Operations, _ transaction: inout Transaction
    ) async throws -> TapService {
        var values = values
        let project = try values.text("tenant_id")
        _ = try await operations.port(try values.text("port_id"), of: project, for: caller, &transaction)
        values["id"] = .string(id)
        values["status"] = .string(Status.down.rawValue)
        let encapsulation = try values.word("encapsulation", MirrorProgram.Encapsulation.self)
        if let wanted = values["tunnel_id"]?.integer { try encapsulation.require(wanted, in: "tunnel_id") }
        values["tunnel_id"] = .integer(
            try await claim(
                values["tunnel_id"]?.integer,
                from: tunnelIDPool(of: encapsulation, deployment: operations.tunnelIDPool), owner: id,
                operations.store, &transaction))
        return try TapService(values)
    }

    func check(
        after before: TapService?, by caller: Caller, _ operations: Operations, _ transaction: inout Transaction
    ) async throws {
        try encapsulation.require(tunnelID, in: "tunnel_id")
        for destination in destinations {
            try (destination.encapsulation ?? encapsulation).require(
                destination.tunnelID ?? tunnelID, in: "destinations")
            if before?.destinations.contains(destination) == true { continue }
            // Like the service's own, a tunnel id is never a member's choice.
            let rule = "create_tap_service:tunnel_id"
            if destination.tunnelID != nil, !Policy.allows(rule, caller, project: projectID) {
                throw Fault.notAuthorized("rule:\(rule)")
            }
            try await operations.allow(destination.remoteIP, in: "destinations", &transaction)
        }
    }

    /// The tunnel id that was asked for, or one of the pool that nobody has.
    private static func claim(
        _ wanted: Int64?, from pool: ClosedRange<Int64>, owner: String, _ store: any Store,
        _ transaction: inout Transaction
    ) async throws -> Int64 {
        if let wanted {
            if try await transaction.claim(tunnelIDKey(wanted), owner: owner) { return wanted }
            throw Fault.tunnelIDInUse(wanted)
        }
        for _ in 0..<16 {
            let candidate = Int64.random(in: pool)
            if try await transaction.claim(tunnelIDKey(candidate), owner: owner) { return candidate }
        }
        let taken = Set(try await store.list([tunnelIDKind]).rows.map(\.key.id))
        for candidate in pool where !taken.contains(String(candidate)) {
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

    /// Removes the row. The dataplane may still send copies with the tunnel id, whatever the status says by now: it is
    /// owed, and free when the reconciler has the dataplane's word that it has let go.
    func remove(_ transaction: inout Transaction) {
        transaction.delete(key)
        transaction.owe(tunnelIDKey, of: self)
    }
}

extension MirrorProgram.Encapsulation {
    /// Refuses a tunnel id that does not fit into the header.
    fileprivate func require(_ tunnelID: Int64, in attribute: String) throws(Fault) {
        if !(0...Int64(largestTunnelID)).contains(tunnelID) {
            throw .invalid(attribute, "'\(tunnelID)' is not \(tunnelIDName), 0 to \(largestTunnelID)")
        }
    }
}
