// Hosts: what making and deleting one involves. Before: Operations. After: the store.

import ControlIdentity
import ControlModel
import ControlStore
import FoundationEssentials

extension Host: Operable {
    static func make(
        _ values: JSON.Object, id: String, by caller: Caller, _ operations: Operations, _ transaction: inout Transaction
    ) async throws -> Host {
        let name = try values.text("name")
        if !(try await transaction.claim(nameKey(name), owner: id)) { throw Fault.hostNameInUse(name) }
        var values = values
        values["id"] = .string(id)
        return try Host(values)
    }

    /// A collector's addresses are remote ones; our own are what they are.
    func check(
        after before: Host?, by caller: Caller, _ operations: Operations, _ transaction: inout Transaction
    ) async throws {
        if isHeliostat { return }
        for address in tunnelAddresses where before?.tunnelAddresses.contains(address) != true {
            if let reason = operations.remotes.refusal(of: address, []) {
                throw Fault.invalid("tunnel_addresses", reason)
            }
        }
    }

    func delete(_ operations: Operations, _ transaction: inout Transaction) async throws {
        if name == operations.hostName { throw Fault.hostInUse(name, "is this host, on which Heliostat runs.") }
        let ports = try await transaction.list(Port.self).filter { $0.hostName == name }
        if !ports.isEmpty {
            throw Fault.hostInUse(name, "has \(ports.count) port(s); delete them first.")
        }
        transaction.delete(key)
        transaction.delete(Host.nameKey(name))
    }
}

extension Operations {
    /// Enters this host into the inventory at the first start, and its tunnel addresses when they are configured anew.
    ///
    /// - Throws: `Fault` for an address that copies cannot be sent to, `StoreError`.
    package func registerHost(tunnelAddresses: [String]) async throws {
        let body: JSON.Object = [
            "name": .string(hostName), "tunnel_addresses": .array(tunnelAddresses.map(JSON.string)), "heliostat": true,
        ]
        var values = try Host.table.create(body, project: "", isAdministrator: true)
        values["id"] = .string(UUID().uuidString.lowercased())
        let new = try Host(values)
        try await store.transact { transaction in
            if var host = try await transaction.list(Host.self).first(where: { $0.name == hostName }) {
                let before = host
                host.isHeliostat = true
                if !new.tunnelAddresses.isEmpty { host.tunnelAddresses = new.tunnelAddresses }
                if host != before { transaction.put(host) }
            } else if try await transaction.claim(Host.nameKey(hostName), owner: new.id) {
                transaction.put(new)
            }
        }
    }
}
