// Reads and writes that hold together: every row that was read is still the same when the writes are committed, or the
// whole is done again. So concurrent requests need no lock, in one process or in several.
// Before: an operation of the API, or the reconciler. After: Store.commit.

package import ControlModel

/// One attempt: what was read becomes the commit's expectations.
package struct Transaction {
    private let store: any Store
    package private(set) var commit = Commit()

    fileprivate init(_ store: any Store) { self.store = store }

    /// The object, or nil; either way, the commit expects that it stays so.
    package mutating func get<Object: Resource>(
        _ type: Object.Type = Object.self, _ id: String
    ) async throws(StoreError) -> Object? {
        let row = try await row(Object.key(id))
        return try row.map { row throws(StoreError) in try row.decoded(Object.self).object }
    }

    /// A row that is not a resource, or nil; either way, the commit expects that it stays so.
    package mutating func row(_ key: Key) async throws(StoreError) -> Row? {
        let row = try await store.get(key)
        commit.expectations[key] = .some(row?.revision)
        return row
    }

    /// All objects of a kind; the commit expects that none is added or changed meanwhile.
    package mutating func list<Object: Resource>(_ type: Object.Type = Object.self) async throws(StoreError) -> [Object]
    {
        let rows = try await store.list([Object.kind.rawValue])
        commit.unchangedKinds[Object.kind.rawValue] = rows.revision
        return try rows.rows.map { row throws(StoreError) in try row.decoded(Object.self).object }
    }

    package mutating func put(_ object: some Resource) {
        commit.put(object.key, JSON.object(object.values).bytes)
    }

    package mutating func put(_ key: Key, _ value: JSON) { commit.put(key, value.bytes) }

    package mutating func delete(_ key: Key) { commit.delete(key) }

    /// Takes a unique key for `owner`: the commit fails if somebody else takes it first.
    ///
    /// - Returns: false if it is taken already.
    package mutating func claim(_ key: Key, owner: String) async throws(StoreError) -> Bool {
        if commit.puts(key) { return false }
        if try await row(key) != nil { return false }
        put(key, .object(["owner": .string(owner)]))
        return true
    }
}

extension Store {
    /// Runs `body` and commits what it wrote; runs it again when what it read has changed.
    ///
    /// - Throws: what `body` throws, `.unavailable` from the store, also after 100 attempts.
    package func transact<Result>(
        _ body: (inout Transaction) async throws -> Result
    ) async throws -> Result {
        for _ in 0..<100 {
            var transaction = Transaction(self)
            let result = try await body(&transaction)
            if try await conflict(of: transaction.commit) == nil { return result }
        }
        throw StoreError.unavailable("too many others write the same rows; try again")
    }

    /// Commits.
    ///
    /// - Returns: the row or kind that has changed meanwhile, if any; then nothing was written.
    package func conflict(of commit: Commit) async throws(StoreError) -> Key? {
        do throws(StoreError) {
            _ = try await self.commit(commit)
            return nil
        } catch {
            switch error {
            case .conflict(let key): return key
            case .unavailable: throw error
            }
        }
    }
}

extension TapService {
    /// The unique key of a tunnel id.
    package static func tunnelIDKey(_ id: Int64) -> Key { Key("tunnel_id", String(id)) }

    package var tunnelIDKey: Key { Self.tunnelIDKey(tunnelID) }
}

/// A tunnel id whose service is deleted, and which the dataplane may still use: nobody else gets it yet.
package struct OwedTunnelID: Hashable, Sendable {
    package static let kind = "owed_tunnel_id"

    package let tunnelID: Int64
    /// Id of the tap service that had it.
    package let serviceID: String
    package let revision: Revision

    package init(tunnelID: Int64, serviceID: String, revision: Revision) {
        self.tunnelID = tunnelID
        self.serviceID = serviceID
        self.revision = revision
    }

    init?(_ row: Row) {
        guard let id = Int64(row.key.id), let values = (try? JSON(parsing: row.value))?.object,
            let service = values["service"]?.string
        else { return nil }
        self.init(tunnelID: id, serviceID: service, revision: row.revision)
    }

    package static func key(_ tunnelID: Int64) -> Key { Key(kind, String(tunnelID)) }
}

extension Host {
    /// The unique key of a host's name.
    package static func nameKey(_ name: String) -> Key { Key("host_name", name) }
}
