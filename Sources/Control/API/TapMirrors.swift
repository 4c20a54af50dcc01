// Tap mirrors: what making and deleting one involves. Before: Operations. After: the store.

import ControlIdentity
import ControlModel
import ControlStore
import MirrorProgram

extension TapMirror: Operable {
    static func make(
        _ values: JSON.Object, id: String, by caller: Caller, _ operations: Operations, _ transaction: inout Transaction
    ) async throws -> TapMirror {
        var values = values
        let project = try values.text("tenant_id")
        _ = try await operations.port(try values.text("port_id"), of: project, for: caller, &transaction)
        values["id"] = .string(id)
        values["status"] = .string(Status.down.rawValue)
        let mirror = try TapMirror(values)
        for (key, asked) in mirror.tunnelIDKeys where try await !transaction.claim(key, owner: id) {
            throw Fault.tunnelConflict(asked)
        }
        return mirror
    }

    func check(
        after before: TapMirror?, by caller: Caller, _ operations: Operations, _ transaction: inout Transaction
    ) async throws {
        if actions.filter != before?.actions.filter { try actions.checkFilter() }
        if before == nil, let address = IPAddress(remoteIP) {
            try await operations.allow(address, in: "remote_ip", &transaction)
        }
    }

    /// As upstream's, it goes at once.
    func delete(_ operations: Operations, _ transaction: inout Transaction) async throws {
        try await remove(&transaction)
    }

    /// Removes the row. Its tunnel ids are owed until the dataplane has let go; where no dataplane was ever given a
    /// program, none can hold them, and they are free at once.
    func remove(_ transaction: inout Transaction) async throws {
        let isOwed = try await transaction.hasRows(of: StoredProgram.kind)
        transaction.delete(key)
        for (key, _) in tunnelIDKeys {
            if isOwed { transaction.owe(key, of: self) } else { transaction.delete(key) }
        }
    }
}
