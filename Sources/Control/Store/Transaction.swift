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

    /// Whether there are rows of a kind; the commit expects that none is added or changed meanwhile.
    package mutating func hasRows(of kind: String) async throws(StoreError) -> Bool {
        let rows = try await store.list([kind])
        commit.unchangedKinds[kind] = rows.revision
        return !rows.rows.isEmpty
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
    /// Kind of the unique keys of tunnel ids.
    package static let tunnelIDKind = "tunnel_id"

    /// The unique key of a tunnel id.
    package static func tunnelIDKey(_ id: Int64) -> Key { Key(tunnelIDKind, String(id)) }

    package var tunnelIDKey: Key { Self.tunnelIDKey(tunnelID) }
}

extension TapMirror {
    /// Kind of the unique keys of tunnel ids within a project.
    package static let tunnelIDKind = "mirror_tunnel_id"

    /// The unique keys of its tunnel ids: `"101"` and `101` are one tunnel.
    package var tunnelIDKeys: [(key: Key, asked: String)] {
        var keys: [(key: Key, asked: String)] = []
        for (_, asked, id) in tunnelIDs {
            let key = Key(Self.tunnelIDKind, "\(projectID)/\(id.map(String.init) ?? asked)")
            if !keys.contains(where: { $0.key == key }) { keys.append((key, asked)) }
        }
        return keys
    }
}

extension Host {
    /// The unique key of a host's name.
    package static func nameKey(_ name: String) -> Key { Key("host_name", name) }
}

/// The program of a host: kept before the dataplane sees it.
package enum StoredProgram {
    package static let kind = "program"
    package static func key(_ host: String) -> Key { Key(kind, host) }
}
