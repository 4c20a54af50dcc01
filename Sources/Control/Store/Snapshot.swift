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

/// All objects of all kinds at one revision.
package struct Snapshot: Hashable, Sendable {
    package var revision: Revision
    package var hosts: [Versioned<Host>] = []
    package var ports: [Versioned<Port>] = []
    package var tapServices: [Versioned<TapService>] = []
    package var tapFlows: [Versioned<TapFlow>] = []

    package init(revision: Revision) { self.revision = revision }
}

extension Store {
    /// Reads everything at one revision.
    ///
    /// - Throws: `.unavailable`, also for a row that does not parse: a part of the intents is not a plan.
    package func snapshot() async throws(StoreError) -> Snapshot {
        let rows = try await list(Kind.allCases.map(\.rawValue))
        var snapshot = Snapshot(revision: rows.revision)
        for row in rows.rows {
            switch Kind(rawValue: row.key.kind) {
            case .host: snapshot.hosts.append(try row.decoded())
            case .port: snapshot.ports.append(try row.decoded())
            case .tapService: snapshot.tapServices.append(try row.decoded())
            case .tapFlow: snapshot.tapFlows.append(try row.decoded())
            case nil: break
            }
        }
        return snapshot
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
