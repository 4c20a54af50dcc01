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
        var claimed: Set<Key> = []
        for (_, asked, tunnelID) in mirror.tunnelIDs {
            let key = tunnelKey(project, tunnelID, asked)
            if claimed.insert(key).inserted, try await !transaction.claim(key, owner: id) {
                throw Fault.tunnelConflict(asked)
            }
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

    /// As upstream's, it goes at once; the dataplane is told until it has let go.
    func delete(_ operations: Operations, _ transaction: inout Transaction) async throws { remove(&transaction) }

    /// Removes the row and gives the tunnel ids back.
    func remove(_ transaction: inout Transaction) {
        transaction.delete(key)
        for (_, asked, tunnelID) in tunnelIDs { transaction.delete(Self.tunnelKey(projectID, tunnelID, asked)) }
    }

    /// The unique key of a tunnel id within a project: `"101"` and `101` are one tunnel.
    private static func tunnelKey(_ project: String, _ id: Int64?, _ asked: String) -> Key {
        Key("mirror_tunnel_id", "\(project)/\(id.map(String.init) ?? asked)")
    }
}
