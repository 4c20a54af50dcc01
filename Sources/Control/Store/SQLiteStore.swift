// The embedded store: one SQLite file (WAL, synchronous=FULL), one transaction per commit.
// Before: Store.swift. After: the disk.

import Foundation
import GRDB

/// A `Store` in one file of the state directory.
package final class SQLiteStore: Store {
    private let database: DatabasePool
    private let watchers = Watchers()

    /// Opens or makes the file and brings its schema up to date.
    ///
    /// - Throws: `StoreError.unavailable` naming the file and what is wrong with it.
    package init(path: String) throws(StoreError) {
        do {
            var configuration = Configuration()
            configuration.busyMode = .timeout(5)
            database = try DatabasePool(path: path, configuration: configuration)
            // GRDB opens WAL with synchronous=NORMAL, which may lose the last commits with the machine's power.
            try database.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
            try Self.migrations.migrate(database)
            let revision = try database.read { try Self.revision($0) }
            watchers.publish(revision)
        } catch {
            throw .unavailable("cannot open the store \(path): \(Self.reason(error))")
        }
    }

    package func get(_ key: Key) async throws(StoreError) -> Row? {
        try await reading { database in
            try Row(
                GRDB.Row.fetchOne(
                    database, sql: "SELECT kind, id, value, revision FROM entry WHERE kind = ? AND id = ?",
                    arguments: [key.kind, key.id]))
        }
    }

    package func list(_ kinds: [String]) async throws(StoreError) -> Rows {
        try await reading { database in
            var rows: [Row] = []
            for kind in kinds {
                let cursor = try GRDB.Row.fetchCursor(
                    database, sql: "SELECT kind, id, value, revision FROM entry WHERE kind = ? ORDER BY ordinal",
                    arguments: [kind])
                while let row = try Row(cursor.next()) { rows.append(row) }
            }
            return Rows(revision: try Self.revision(database), rows: rows)
        }
    }

    package func commit(_ commit: Commit) async throws(StoreError) -> Revision {
        do {
            let revision = try await database.write { try Self.apply(commit, to: $0) }
            watchers.publish(revision)
            return revision
        } catch let error as StoreError {
            throw error
        } catch {
            throw .unavailable("the store cannot be written: \(Self.reason(error))")
        }
    }

    package func watch(after revision: Revision) -> AsyncStream<Revision> { watchers.watch(after: revision) }

    /// Closes the file; every later call throws.
    package func close() throws(StoreError) {
        do { try database.close() } catch { throw .unavailable("the store cannot be closed: \(Self.reason(error))") }
    }

    /// `PRAGMA synchronous` of the connection that writes: 2 is FULL.
    package func synchronousLevel() async throws(StoreError) -> Int {
        do {
            return try await database.writeWithoutTransaction { try Int.fetchOne($0, sql: "PRAGMA synchronous") ?? -1 }
        } catch { throw .unavailable(Self.reason(error)) }
    }

    private func reading<Result: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Result
    ) async throws(StoreError) -> Result {
        do {
            return try await database.read(body)
        } catch {
            throw .unavailable("the store cannot be read: \(Self.reason(error))")
        }
    }

    private static func reason(_ error: any Error) -> String {
        (error as? DatabaseError).map { $0.message ?? $0.resultCode.description } ?? "\(error)"
    }
}

extension SQLiteStore {
    /// Every change of the schema, in order; a released one is never edited.
    private static var migrations: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1: entries and their revision") { database in
            try database.execute(
                sql: """
                    CREATE TABLE entry (
                        ordinal INTEGER PRIMARY KEY AUTOINCREMENT,
                        kind TEXT NOT NULL,
                        id TEXT NOT NULL,
                        value BLOB NOT NULL,
                        revision INTEGER NOT NULL,
                        UNIQUE (kind, id)
                    );
                    CREATE INDEX entry_by_revision ON entry (kind, revision);
                    CREATE TABLE store (revision INTEGER NOT NULL);
                    INSERT INTO store (revision) VALUES (0);
                    """)
        }
        return migrator
    }

    private static func revision(_ database: Database) throws -> Revision {
        try Revision.fetchOne(database, sql: "SELECT revision FROM store") ?? 0
    }

    /// Inside one transaction, which a throw rolls back.
    private static func apply(_ commit: Commit, to database: Database) throws -> Revision {
        let current = try revision(database)
        for (key, expected) in commit.expectations {
            let found = try Revision.fetchOne(
                database, sql: "SELECT revision FROM entry WHERE kind = ? AND id = ?", arguments: [key.kind, key.id])
            if found != expected { throw StoreError.conflict(key) }
        }
        for (kind, revision) in commit.unchangedKinds {
            let found = try Revision.fetchOne(
                database, sql: "SELECT max(revision) FROM entry WHERE kind = ?", arguments: [kind])
            if let found, found > revision { throw StoreError.conflict(Key(kind, "")) }
        }
        if commit.isEmpty { return current }
        let next = current + 1
        for write in commit.writes {
            if let value = write.value {
                try database.execute(
                    sql: """
                        INSERT INTO entry (kind, id, value, revision) VALUES (?, ?, ?, ?)
                        ON CONFLICT (kind, id) DO UPDATE SET value = excluded.value, revision = excluded.revision
                        """,
                    arguments: [write.key.kind, write.key.id, Data(value), next])
            } else {
                try database.execute(
                    sql: "DELETE FROM entry WHERE kind = ? AND id = ?", arguments: [write.key.kind, write.key.id])
            }
        }
        try database.execute(sql: "UPDATE store SET revision = ?", arguments: [next])
        return next
    }
}

extension Row {
    fileprivate init?(_ row: GRDB.Row?) throws {
        guard let row else { return nil }
        let value: Data = row["value"]
        self.init(key: Key(row["kind"], row["id"]), value: Array(value), revision: row["revision"])
    }
}
