// Tunnel ids that outlive their objects: until the dataplane has let go of a deleted tunnel, nobody else gets its id.
// Before: the deletion of a tap service or tap mirror. After: Outcome, which frees them.

package import ControlModel

/// A tunnel id whose tap service or tap mirror is deleted, and which the dataplane may still use.
package struct OwedTunnelID: Hashable, Sendable {
    package static let kind = "owed_tunnel_id"

    /// The unique key that stays taken.
    package let taken: Key
    /// Id of the tap service or tap mirror that had it.
    package let owner: String
    package let revision: Revision

    init?(_ row: Row) {
        guard let values = (try? JSON(parsing: row.value))?.object else { return nil }
        for (name, kind) in Self.kinds {
            guard let owner = values[name]?.string else { continue }
            (taken, self.owner, revision) = (Key(kind, row.key.id), owner, row.revision)
            return
        }
        return nil
    }

    /// Of the owner in the row, and of the key that it had.
    private static let kinds = [("service", TapService.tunnelIDKind), ("mirror", TapMirror.tunnelIDKind)]

    package var key: Key { Key(Self.kind, taken.id) }
}

extension Transaction {
    /// Keeps the key of a deleted object's tunnel id taken.
    package mutating func owe(_ taken: Key, of owner: some Resource) {
        let name = taken.kind == TapMirror.tunnelIDKind ? "mirror" : "service"
        put(Key(OwedTunnelID.kind, taken.id), .object([name: .string(owner.id)]))
    }
}
