// `heliostat flow create --dry-run`: what would become of a tap flow, before anything is stored. Before: the flow's
// attributes and the API's lists. After: the terminal. It asks the control process's own function, with one flow more.

package import ControlModel
import ControlReconcile
package import ControlStore
import MirrorProgram

/// The prospects of one tap flow.
package struct DryRun: Sendable {
    /// Why it would not run; nil if it would.
    package private(set) var refusal: String?
    /// What is found, in the order of the way of a frame.
    package private(set) var findings: [(name: String, value: String)] = []

    /// - Parameters:
    ///   - attributes: as they would be posted.
    ///   - status: `GET /v2.0/heliostat/status`
    ///   - portMTU: of the tapped interface, where it can be looked up; what the dataplane says goes first.
    package init(
        _ attributes: JSON.Object, in snapshot: Snapshot, status: JSON, portMTU: (String) -> Int?
    ) throws(CommandError) {
        let flow = try Self.flow(attributes)
        var snapshot = snapshot
        snapshot.tapFlows.append(Versioned(flow, revision: 0))
        let desired = DesiredState(snapshot, host: status["host"].string ?? "")
        if let verdict = desired.verdicts[flow.id] {
            refusal = "it would be \(verdict.status.rawValue): \(verdict.reason.full)"
            return
        }
        guard let tap = desired.program.taps.first(where: { $0.id == flow.id }),
            let port = desired.program.ports.first(where: { $0.id == tap.port })
        else {
            refusal = "it would not be carried out on host '\(display(status["host"]))'"
            return
        }
        findings = [
            ("mode", port.capture.rawValue), ("interface", port.interface), ("direction", tap.direction.rawValue),
            ("engine", "auto"),
        ]
        if let filter = tap.filter { findings.append(("filter", "\(filter.code.count) instructions")) }
        let members = Self.members(tap.destinations, desired.program)
        let running = status["dataplane"]["status"]
        let known = running["ports"].items.first { $0["interface"].string == port.interface }
        let mtu = known?["mtu"].integer.map { Int($0) } ?? portMTU(port.interface)
        for destination in members { look(at: destination, running, mtu) }
    }

    /// The object that the API would make of the attributes.
    private static func flow(_ attributes: JSON.Object) throws(CommandError) -> TapFlow {
        do {
            var values = try TapFlow.table.create(
                attributes, project: attributes["project_id"]?.string ?? "", isAdministrator: true)
            values["id"] = "dry-run"
            values["status"] = .string(Status.down.rawValue)
            return try TapFlow(values)
        } catch let fault as Fault {
            throw CommandError(fault.message, status: 400)
        } catch {
            throw CommandError("\(error)")
        }
    }

    private static func members(_ ids: [String], _ program: MirrorProgram) -> [MirrorProgram.Destination] {
        program.destinations.filter { ids.contains($0.id) }.flatMap { destination in
            guard case .spread(let members) = destination.target else { return [destination] }
            return program.destinations.filter { members.contains($0.id) }
        }
    }

    private mutating func look(at destination: MirrorProgram.Destination, _ running: JSON, _ portMTU: Int?) {
        guard case .tunnel(let tunnel) = destination.target else {
            if case .interface(let name) = destination.target { findings.append(("destination", "interface \(name)")) }
            return
        }
        findings.append(
            ("destination", "\(tunnel.encapsulation.rawValue) \(tunnel.tunnelID) to \(tunnel.remote)"))
        // A service that has been there before this flow is looked after already.
        guard let known = running["destinations"].items.first(where: { $0["id"].string == destination.id }) else {
            return findings.append(("uplink", "not known before the dataplane has looked for it"))
        }
        let reason = display(known["reason"])
        findings.append(
            ("uplink", display(known["uplink"]) + (reason.isEmpty ? "" : " (\(display(known["state"])): \(reason))")))
        guard let path = known["mtu"].integer.map({ Int($0) }) else { return }
        let room = path - tunnel.overhead
        let verdict =
            switch portMTU {
            case let mtu? where mtu + 14 > room:
                "frames of more than \(room) bytes would be cut (the port's MTU is \(mtu))"
            case let mtu?: "whole frames fit (the port's MTU is \(mtu))"
            case nil: "frames of up to \(room) bytes fit"
            }
        findings.append(("MTU", "\(path) toward the monitor: \(verdict)"))
    }

    package var text: String {
        refusal.map { "\($0)\n" } ?? Table.pairs(findings)
    }

    package var document: JSON {
        [
            "refusal": .optional(refusal),
            "findings": .array(findings.map { ["name": .string($0.name), "value": .string($0.value)] }),
        ]
    }
}

extension MirrorProgram.Tunnel {
    /// Bytes of an outer IP packet that are not inner frame.
    fileprivate var overhead: Int {
        let network = remote.isIPv6 ? 40 : 20
        switch encapsulation {
        case .vxlan: return network + 16
        case .geneve:
            let options = geneveOptions.reduce(0) { $0 + ($1 == .timestamp ? 12 : 8) }
            return network + 16 + options
        case .gre: return network + 8 + (isSequenced ? 4 : 0)
        case .erspan2: return network + 16
        case .erspan3: return network + 20
        }
    }
}
