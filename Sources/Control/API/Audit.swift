// The record of who did what to whose traffic: one line for every tap that is made, changed or deleted, and for every
// login. Before: Responder and IdentityService. After: a logger of its own.

import ControlIdentity
import ControlModel
import ControlStore
package import Logging

/// Writes the lines. No token and no password is ever among what it is given.
package struct Audit: Sendable {
    private let logger: Logger

    package init(_ logger: Logger) { self.logger = logger }

    /// A tap that is about to be recorded: which port, and where its copies go.
    struct Tap: Hashable, Sendable {
        let kind: Kind
        let id: String
        let project: String
        let port: String
        let to: String
    }

    func record(_ verb: String, _ tap: Tap, by caller: Caller, _ peer: Peer, request: String) {
        logger.notice(
            "\(verb) \(tap.kind.singular) \(tap.id)",
            metadata: [
                "user": "\(caller.userName)", "user_id": "\(caller.userID)", "project": "\(caller.projectID)",
                "owner": "\(tap.project)", "request": "\(request)", "address": "\(address(peer))",
                "port": "\(tap.port)", "to": "\(tap.to)",
            ])
    }

    /// - Parameter user: as the client named it.
    func login(_ what: String, _ user: String, _ peer: Peer, _ request: String) {
        logger.notice(
            "\(what) a user",
            metadata: ["user": "\(user.prefix(64))", "request": "\(request)", "address": "\(address(peer))"])
    }

    private func address(_ peer: Peer) -> String { peer.address.isEmpty ? "unix" : peer.address }
}

extension Audit.Tap {
    /// Nil for what copies nothing (a network, a host, a port).
    init?(_ kind: Kind, _ values: JSON.Object, destination: String?) {
        guard kind.isTap, let id = values["id"]?.string else { return nil }
        self.kind = kind
        self.id = id
        project = values["tenant_id"]?.string ?? ""
        port = (values["source_port"] ?? values["port_id"])?.string ?? ""
        to = destination ?? Self.destination(values)
    }

    /// Where an object itself says that copies go.
    static func destination(_ values: JSON.Object) -> String {
        let names = [
            "remote_ip", "mirror_type", "directions", "tap_service_id", "encapsulation", "tunnel_id", "destinations",
        ]
        return names.compactMap { name in
            guard let value = values[name], value != .null else { return nil }
            return "\(name)=\(value.string ?? value.text)"
        }.joined(separator: " ")
    }
}

extension Operations {
    /// The tap as the audit names it: of a flow, with the port and the tunnel of its service.
    func tap(_ kind: Kind, _ values: JSON.Object) async -> Audit.Tap? {
        var destination = Audit.Tap.destination(values)
        if let service = values["tap_service_id"]?.string, let row = await stored(.tapService, service) {
            destination += " port_id=\(row["port_id"]?.string ?? "") \(Audit.Tap.destination(row))"
        }
        return Audit.Tap(kind, values, destination: destination)
    }

    /// What the deletion of an object takes with it, and the object itself.
    func taps(deletedWith kind: Kind, _ id: String) async -> [Audit.Tap] {
        var taps: [Audit.Tap] = []
        if let own = await stored(kind, id), let tap = await tap(kind, own) { taps.append(tap) }
        if kind == .tapService || kind == .port {
            let kinds = Kind.allCases.filter(\.isTap)
            let rows = (try? await store.list(kinds.map(\.rawValue)))?.rows ?? []
            let all = rows.compactMap { row -> (Kind, JSON.Object)? in
                guard let kind = Kind(rawValue: row.key.kind), let values = (try? JSON(parsing: row.value))?.object
                else { return nil }
                return (kind, values)
            }
            var gone: Set<String> = [id]
            // Services first: a port takes them, and they take their flows.
            for (kind, values) in all.filter({ $0.0 == .tapService }) + all.filter({ $0.0 != .tapService }) {
                let names = ["port_id", "source_port", "tap_service_id"].compactMap { values[$0]?.string }
                guard let own = values["id"]?.string, own != id, names.contains(where: gone.contains) else { continue }
                gone.insert(own)
                if let tap = await tap(kind, values) { taps.append(tap) }
            }
        }
        return taps
    }

    private func stored(_ kind: Kind, _ id: String) async -> JSON.Object? {
        guard let row = try? await store.get(Key(kind.rawValue, id)) else { return nil }
        return (try? JSON(parsing: row.value))?.object
    }
}

extension Kind {
    /// Whether such an object says that frames are copied.
    fileprivate var isTap: Bool { singular.hasPrefix("tap_") }
}
