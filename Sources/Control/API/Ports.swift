// Ports: what making and deleting one involves. Before: Operations. After: the store.

import ControlIdentity
import ControlModel
import ControlStore

extension Port: Operable {
    static func make(
        _ values: JSON.Object, id: String, by caller: Caller, _ operations: Operations, _ transaction: inout Transaction
    ) async throws -> Port {
        var values = values
        let networkID = try values.text("network_id")
        if !networkID.isEmpty {
            guard let network = try await transaction.get(Network.self, networkID),
                caller.isAdministrator || caller.projectID == network.projectID || network.isShared
            else { throw Fault.networkNotFound(networkID) }
        }
        values["id"] = .string(id)
        values["status"] = .string(Status.down.rawValue)
        if values["mac_address"] == .null { values["mac_address"] = .string(randomMAC()) }
        if values["binding:host_id"] == .null {
            // A port with an interface and no host is one of this host's.
            let isBound = values["binding:profile"] != [:]
            values["binding:host_id"] = .string(isBound ? operations.hostName : "")
        }
        return try Port(values)
    }

    func check(
        after before: Port?, by caller: Caller, _ operations: Operations, _ transaction: inout Transaction
    ) async throws {}

    /// Everything that names the port goes with it, at once.
    func delete(_ operations: Operations, _ transaction: inout Transaction) async throws {
        let services = try await transaction.list(TapService.self).filter { $0.portID == id }
        let gone = Set(services.map(\.id))
        for flow in try await transaction.list(TapFlow.self)
        where flow.sourcePortID == id || gone.contains(flow.tapServiceID) {
            transaction.delete(flow.key)
        }
        for service in services { service.remove(&transaction) }
        for mirror in try await transaction.list(TapMirror.self) where mirror.portID == id {
            try await mirror.remove(&transaction)
        }
        transaction.delete(key)
    }

    /// Three random octets under upstream's prefix, `fa:16:3e` (neutron `base_mac`).
    private static func randomMAC() -> String {
        let octets = (0..<3).map { _ in UInt8.random(in: 0...255) }
        return "fa:16:3e:" + octets.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
    }
}
