// What a project sees of others': shared networks, and the ports on its own networks (neutron/conf/policies/network.py and
// port.py, ADMIN_OR_NET_OWNER_READER). Before: Operations. After: policy, as if the object were the caller's.

import ControlIdentity
import ControlModel
import ControlStore

/// The objects of one kind that a caller sees though another project owns them.
struct Sharing {
    /// Networks of the caller's project, where ports are asked for.
    fileprivate var networks: Set<String> = []

    func includes(_ object: some Resource) -> Bool {
        switch object {
        case let network as Network: network.isShared
        case let port as Port: networks.contains(port.networkID)
        default: false
        }
    }
}

extension Operations {
    func sharing(of kind: Kind, with caller: Caller) async throws -> Sharing {
        var sharing = Sharing()
        if kind == .port, !caller.isAdministrator {
            let rows = try await store.list([Kind.network.rawValue]).rows
            let networks = try rows.map { try $0.decoded(Network.self).object }
            sharing.networks = Set(networks.filter { $0.projectID == caller.projectID }.map(\.id))
        }
        return sharing
    }
}
