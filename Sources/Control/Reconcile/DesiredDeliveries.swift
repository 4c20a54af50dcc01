// What arrives from other hosts: a service's port here, a flow's port on another Heliostat host. The same path, source and
// remote address, is what that host sends on and what this one accepts. Third part of DesiredState.swift.

import ControlModel
import MirrorProgram

extension DesiredState {
    /// The addresses that copies go between: the first tunnel address of the receiver that the sender has one for of the
    /// same IP version.
    func path(from sender: String, to receiver: Host) -> Result<(source: IPAddress, remote: IPAddress), Verdict> {
        guard let host = hosts[sender], !host.tunnelAddresses.isEmpty else {
            return .failure(
                .error(
                    "\("host '\(sender)' has no tunnel address, so host '\(receiver.name)' cannot tell its copies; set its tunnel_addresses", members: Self.noPath)"
                ))
        }
        for remote in receiver.tunnelAddresses {
            if let source = host.tunnelAddresses.first(where: { $0.isIPv6 == remote.isIPv6 }) {
                return .success((source, remote))
            }
        }
        return .failure(
            .error(
                receiver.tunnelAddresses.isEmpty
                    ? "\(receiver.label) has no tunnel address\(Self.setAddresses)"
                    : "\("hosts '\(sender)' and '\(receiver.name)' have no tunnel addresses of one IP version", members: Self.noPath)"
            ))
    }

    private static let noPath = "the hosts of its ports have no tunnel addresses between them"

    /// One delivery for each service of this host that a flow of another one leads to.
    mutating func addDeliveries(_ flows: [TapFlow]) {
        guard let here = hosts[hostName] else { return }
        for service in services.values.sorted(by: { $0.id < $1.id }) where service.destinations.isEmpty {
            guard let port = ports[service.portID], port.hostName == hostName,
                case .success(let interface) = interface(of: port)
            else { continue }
            let senders = Set(
                flows.filter { $0.tapServiceID == service.id && $0.status != .pendingDelete }
                    .compactMap { ports[$0.sourcePortID]?.hostName }
            ).filter { $0 != hostName && hosts[$0]?.isHeliostat == true }
            let paths = senders.sorted().compactMap { try? path(from: $0, to: here).get() }
            if paths.isEmpty { continue }
            let locals = Set(paths.map(\.remote))
            let delivery = MirrorProgram.Delivery(
                id: service.id, peers: paths.map(\.source), local: locals.count == 1 ? locals.first : nil,
                encapsulation: service.encapsulation, tunnelID: UInt32(service.tunnelID), interface: interface)
            do throws(ProgramError) {
                try MirrorProgram(deliveries: program.deliveries + [delivery]).validate()
                program.deliveries.append(delivery)
            } catch { verdicts[service.id] = .error(error) }
        }
    }
}
