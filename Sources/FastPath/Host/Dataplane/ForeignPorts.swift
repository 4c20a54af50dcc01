// Ports of other network namespaces that must not be captured: one interface under two names, and the far end of what
// copies go into. Only the kernel's view tells either. Before it: PortPlan.swift. After it: Reconcile.swift.

import MirrorProgram

extension Dataplane {
    /// An interface, if it is there still.
    func link(at place: InterfacePlace) -> Link? { links(in: place.namespace)[place.index] }

    /// The interfaces of a namespace, nil for the dataplane's own; none where it is not there any more.
    func links(in namespace: NetworkNamespace?) -> LinkTable {
        guard let namespace else { return kernel.links }
        return namespaces.links(of: namespace) ?? LinkTable()
    }

    /// Refuses ports of other namespaces that would be captured twice, or would mirror copies.
    func refuseForeignPorts(_ program: MirrorProgram) {
        let receivers = Set(
            program.destinations.compactMap { if case .interface(let name) = $0.target { name } else { nil } }
                + program.deliveries.map(\.interface))
        ports = Self.refusing(ports, receivers: receivers, kernel.links)
    }

    /// - Parameters:
    ///   - receivers: interfaces of the dataplane's own namespace that copies go into.
    ///   - links: of that namespace.
    package static func refusing(_ plans: [PortPlan], receivers: Set<String>, _ links: LinkTable) -> [PortPlan] {
        struct Interface: Hashable {
            var namespace: UInt64
            var index: Int32
        }
        var owners: [Interface: String] = [:]
        return plans.map { plan in
            guard let namespace = plan.namespace else { return plan }
            let id = plan.port.id
            var refused = plan
            for link in [plan.link, plan.pair].compactMap({ $0 }) {
                let owner = owners[Interface(namespace: namespace.inode, index: link.index), default: id]
                owners[Interface(namespace: namespace.inode, index: link.index)] = owner
                if owner != id {
                    refused.refuse(
                        "\(link.name)\(plan.port.place) is the interface of port '\(owner)' too; write one port and give it several taps"
                    )
                } else if let peer = link.peer.flatMap({ links[$0] }), peer.peer == link.index,
                    receivers.contains(peer.name)
                {
                    refused.refuse(
                        "\(link.name)\(plan.port.place) receives the copies that go into \(peer.name): they would be mirrored again"
                    )
                }
            }
            return refused
        }
    }
}
