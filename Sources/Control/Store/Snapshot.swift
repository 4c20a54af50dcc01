// Every intent at one revision, in the order in which they were made: what a plan is computed from.
// Before: Store.list. After: the reconciler's DesiredState.

package import ControlModel

/// An object and the revision of its row.
package struct Versioned<Object: Resource>: Hashable, Sendable {
    package var object: Object
    package var revision: Revision

    package init(_ object: Object, revision: Revision) {
        self.object = object
        self.revision = revision
    }
}

/// All objects of the kinds that a plan is computed from, at one revision.
package struct Snapshot: Hashable, Sendable {
    package var revision: Revision
    package var hosts: [Versioned<Host>] = []
    package var ports: [Versioned<Port>] = []
    package var tapServices: [Versioned<TapService>] = []
    package var tapFlows: [Versioned<TapFlow>] = []
    package var tapMirrors: [Versioned<TapMirror>] = []
    package var owedTunnelIDs: [OwedTunnelID] = []

    package init(revision: Revision) { self.revision = revision }
}

extension Store {
    /// Reads everything at one revision.
    ///
    /// - Parameter last: an earlier snapshot; rows that are still as they were in it are not decoded again.
    /// - Throws: `.unavailable`, also for a row that does not parse: a part of the intents is not a plan.
    package func snapshot(after last: Snapshot = Snapshot(revision: 0)) async throws(StoreError) -> Snapshot {
        if last.revision > 0, try await list([]).revision == last.revision { return last }
        let rows = try await list(Kind.allCases.filter { $0 != .network }.map(\.rawValue) + [OwedTunnelID.kind])
        var snapshot = Snapshot(revision: rows.revision)
        let hosts = Known(last.hosts)
        let ports = Known(last.ports)
        let tapServices = Known(last.tapServices)
        let tapFlows = Known(last.tapFlows)
        let tapMirrors = Known(last.tapMirrors)
        for row in rows.rows {
            switch Kind(rawValue: row.key.kind) {
            case .host: snapshot.hosts.append(try hosts.object(in: row))
            case .port: snapshot.ports.append(try ports.object(in: row))
            case .tapService: snapshot.tapServices.append(try tapServices.object(in: row))
            case .tapFlow: snapshot.tapFlows.append(try tapFlows.object(in: row))
            case .tapMirror: snapshot.tapMirrors.append(try tapMirrors.object(in: row))
            case .network: break
            case nil: if let owed = OwedTunnelID(row) { snapshot.owedTunnelIDs.append(owed) }
            }
        }
        return snapshot
    }
}

/// Objects of one kind that were decoded before.
private struct Known<Object: Resource> {
    let byID: [String: Versioned<Object>]

    init(_ objects: [Versioned<Object>]) {
        byID = Dictionary(objects.map { ($0.object.id, $0) }) { first, _ in first }
    }

    func object(in row: Row) throws(StoreError) -> Versioned<Object> {
        if let known = byID[row.key.id], known.revision == row.revision { return known }
        return try row.decoded()
    }
}

extension Resource {
    /// Key of the object's row.
    package var key: Key { Self.key(id) }

    package static func key(_ id: String) -> Key { Key(kind.rawValue, id) }
}

extension Row {
    /// The object in the row.
    ///
    /// - Throws: `.unavailable` naming the row that does not parse.
    package func decoded<Object: Resource>(_ type: Object.Type = Object.self) throws(StoreError) -> Versioned<Object> {
        do throws(JSONError) {
            guard case .object(let values) = try JSON(parsing: value) else {
                throw JSONError(description: "not an object")
            }
            return Versioned(try Object(values), revision: revision)
        } catch {
            throw .unavailable("the store's row \(key) cannot be understood: \(error)")
        }
    }
}
