// The store as everything else sees it: rows under keys, one revision that grows with every commit. Deliberately no
// more than SQLite and etcd can both keep; Tests/ControlTests/StoreConformance.swift is what every store must pass.
// Before: the API's operations and the reconciler's statuses (Transaction.swift). After: SQLiteStore.swift.

/// Number of a commit, 1 for the first: every commit that changes something has a larger one than all before it.
package typealias Revision = Int64

/// Name of a row: a kind (`tap_flow`) and an id that is unique in it.
package struct Key: Hashable, Sendable, CustomStringConvertible {
    package var kind: String
    package var id: String

    package init(_ kind: String, _ id: String) {
        self.kind = kind
        self.id = id
    }

    package var description: String { "\(kind)/\(id)" }
}

/// A row as it was at one revision.
package struct Row: Hashable, Sendable {
    package var key: Key
    package var value: [UInt8]
    /// Revision of the commit that wrote this value.
    package var revision: Revision

    package init(key: Key, value: [UInt8], revision: Revision) {
        self.key = key
        self.value = value
        self.revision = revision
    }
}

/// All rows of some kinds at one revision.
package struct Rows: Hashable, Sendable {
    package var revision: Revision
    /// By kind, then in the order in which the rows were made.
    package var rows: [Row]

    package init(revision: Revision, rows: [Row]) {
        self.revision = revision
        self.rows = rows
    }
}

/// Writes that happen all or not at all, on condition that what they were computed from still holds.
package struct Commit: Hashable, Sendable {
    /// Rows that must be at this revision; nil: must not exist. A unique key is a row of its own that must not exist.
    package var expectations: [Key: Revision?] = [:]
    /// Kinds of which no row may have been written after this revision (etcd: a compare over the range of the kind).
    package var unchangedKinds: [String: Revision] = [:]
    package private(set) var writes: [Write] = []
    /// Place in `writes` of each key.
    private var places: [Key: Int] = [:]

    /// A new value; nil removes the row.
    package struct Write: Hashable, Sendable {
        package var key: Key
        package var value: [UInt8]?
    }

    package init() {}

    package var isEmpty: Bool { writes.isEmpty }

    /// Whether a value is to be written to the row.
    package func puts(_ key: Key) -> Bool { places[key].map { writes[$0].value != nil } ?? false }

    package mutating func put(_ key: Key, _ value: [UInt8]) { write(key, value) }

    package mutating func delete(_ key: Key) { write(key, nil) }

    /// Takes back what was to be written to a row, and what was expected of it.
    package mutating func forget(_ key: Key) {
        expectations[key] = nil
        unchangedKinds[key.kind] = nil
        guard let place = places.removeValue(forKey: key) else { return }
        writes.remove(at: place)
        for index in place..<writes.count { places[writes[index].key] = index }
    }

    /// A later write of the same key replaces the earlier one.
    private mutating func write(_ key: Key, _ value: [UInt8]?) {
        if let place = places[key] {
            writes[place].value = value
        } else {
            places[key] = writes.count
            writes.append(Write(key: key, value: value))
        }
    }
}

/// Why a store did not do what it was asked.
package enum StoreError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The row (or, with an empty id, the kind) is no longer what the commit was computed from; nothing was written.
    case conflict(Key)
    /// The store cannot be read or written now: disk full, read-only, damaged. Nothing was written.
    case unavailable(String)

    package var description: String {
        switch self {
        case .conflict(let key): "\(key) has changed meanwhile"
        case .unavailable(let reason): reason
        }
    }
}

/// Rows under keys, with revisions.
package protocol Store: Sendable {
    /// The row, or nil where there is none.
    func get(_ key: Key) async throws(StoreError) -> Row?

    /// All rows of the kinds at one revision.
    func list(_ kinds: [String]) async throws(StoreError) -> Rows

    /// Writes everything or nothing. An acknowledged commit survives the death of process and machine.
    ///
    /// - Returns: the commit's revision, or the current one where there was nothing to write.
    /// - Throws: `.conflict` for the first expectation that does not hold.
    func commit(_ commit: Commit) async throws(StoreError) -> Revision

    /// Revisions later than `revision` as they come; several may be seen as one, the last is never missed.
    func watch(after revision: Revision) -> AsyncStream<Revision>
}
