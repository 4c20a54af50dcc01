// The embedded store: one SQLite file (WAL, synchronous=FULL), one transaction and one fsync for the commits that are
// ready together. Several processes may have the same file open.
// Before: Store.swift, CommitQueue.swift. After: the disk.

import Foundation
import GRDB
import Synchronization

/// A `Store` in one file of the state directory.
package final class SQLiteStore: Store {
    private let database: DatabasePool
    private let queue: CommitQueue
    private let watchers = Watchers()
    /// Looks for what other processes commit, while somebody watches.
    private let follower = Mutex<Task<Void, Never>?>(nil)

    /// How long another process's commit may stay unseen. A reader's look at the revision costs some ten microseconds.
    private static let lookInterval = Duration.milliseconds(20)

    /// Opens or makes the file and brings its schema up to date.
    ///
    /// - Parameter observe: called after each transaction of commits.
    /// - Throws: `StoreError.unavailable` naming the file and what is wrong with it, also where a newer version wrote it.
    package init(
        path: String, observe: @escaping @Sendable (CommitObservation) -> Void = { _ in }
    ) throws(StoreError) {
        do {
            let database = try Self.open(path)
            self.database = database
            queue = CommitQueue(observe: observe) { commits in await Self.write(commits, to: database) }
            watchers.publish(try database.read { try Self.revision($0) })
        } catch {
            throw .unavailable("cannot open the store \(path): \(Self.reason(error))")
        }
    }

    deinit { follower.withLock { $0?.cancel() } }

    /// Two processes that make the file at once are in each other's way once; the second attempt finds it made.
    private static func open(_ path: String) throws -> DatabasePool {
        var configuration = Configuration()
        configuration.busyMode = .timeout(5)
        // GRDB opens WAL with synchronous=NORMAL, which may lose the last commits with the machine's power.
        configuration.prepareDatabase { database in
            if !database.configuration.readonly { try database.execute(sql: "PRAGMA synchronous = FULL") }
        }
        var attempts = 0
        while true {
            do {
                let database = try DatabasePool(path: path, configuration: configuration)
                try database.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
                if try database.read(migrations.hasBeenSuperseded) {
                    throw StoreError.unavailable("a newer heliostat wrote it; run that one, or restore an older copy")
                }
                try migrations.migrate(database)
                return database
            } catch let error as DatabaseError where attempts < 5 && error.resultCode != .SQLITE_NOTADB {
                attempts += 1
                usleep(50_000)
            }
        }
    }

    package func get(_ key: Key) async throws(StoreError) -> Row? {
        try await reading { database in
            try Row(
                GRDB.Row.fetchOne(
                    database.cachedStatement(
                        sql: "SELECT kind, id, value, revision FROM entry WHERE kind = ? AND id = ?"),
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
        let revision = try await queue.commit(commit).get()
        watchers.publish(revision)
        return revision
    }

    package func watch(after revision: Revision) -> AsyncStream<Revision> {
        follow()
        return watchers.watch(after: revision)
    }

    /// Closes the file; every later call throws.
    package func close() throws(StoreError) {
        follower.withLock { $0?.cancel() }
        do { try database.close() } catch { throw .unavailable("the store cannot be closed: \(Self.reason(error))") }
    }

    /// `PRAGMA synchronous` of the connection that writes: 2 is FULL.
    package func synchronousLevel() async throws(StoreError) -> Int {
        do {
            return try await database.writeWithoutTransaction { try Int.fetchOne($0, sql: "PRAGMA synchronous") ?? -1 }
        } catch { throw .unavailable(Self.reason(error)) }
    }

    private func follow() {
        follower.withLock { follower in
            if follower != nil { return }
            follower = Task { [watchers, database] in
                while !Task.isCancelled {
                    if let revision = try? await database.read({ try Self.revision($0) }) { watchers.publish(revision) }
                    try? await Task.sleep(for: Self.lookInterval)
                }
            }
        }
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
        if let error = error as? StoreError { return error.description }
        return (error as? DatabaseError).map { $0.message ?? $0.resultCode.description } ?? "\(error)"
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
        try Revision.fetchOne(database.cachedStatement(sql: "SELECT revision FROM store")) ?? 0
    }

    /// All in one transaction. Where that fails as a whole, each is tried alone: one that does not fit on the disk is
    /// not to take others with it.
    private static func write(_ commits: [Commit], to database: DatabasePool) async -> [CommitQueue.Outcome] {
        do {
            return try await database.write { database in
                var current = try revision(database)
                let before = current
                let outcomes = try commits.map { commit -> CommitQueue.Outcome in
                    do throws(StoreError) { try check(commit, database) } catch { return .failure(error) }
                    if commit.isEmpty { return .success(current) }
                    current += 1
                    try write(commit, at: current, to: database)
                    return .success(current)
                }
                if current != before {
                    try database.cachedStatement(sql: "UPDATE store SET revision = ?").execute(arguments: [current])
                }
                return outcomes
            }
        } catch {
            if commits.count == 1 {
                return [.failure(.unavailable("the store cannot be written: \(reason(error))"))]
            }
            var outcomes: [CommitQueue.Outcome] = []
            for commit in commits { outcomes += await write([commit], to: database) }
            return outcomes
        }
    }

    /// - Throws: `.conflict` for the first expectation that does not hold; nothing is written yet.
    private static func check(_ commit: Commit, _ database: Database) throws(StoreError) {
        do {
            for (key, expected) in commit.expectations {
                let found = try Revision.fetchOne(
                    database.cachedStatement(sql: "SELECT revision FROM entry WHERE kind = ? AND id = ?"),
                    arguments: [key.kind, key.id])
                if found != expected { throw StoreError.conflict(key) }
            }
            for (kind, revision) in commit.unchangedKinds {
                let found = try Revision.fetchOne(
                    database.cachedStatement(sql: "SELECT max(revision) FROM entry WHERE kind = ?"), arguments: [kind])
                if let found, found > revision { throw StoreError.conflict(Key(kind, "")) }
            }
        } catch let error as StoreError {
            throw error
        } catch { throw .unavailable("the store cannot be read: \(reason(error))") }
    }

    private static func write(_ commit: Commit, at revision: Revision, to database: Database) throws {
        for write in commit.writes {
            if let value = write.value {
                let put = try database.cachedStatement(
                    sql: """
                        INSERT INTO entry (kind, id, value, revision) VALUES (?, ?, ?, ?)
                        ON CONFLICT (kind, id) DO UPDATE SET value = excluded.value, revision = excluded.revision
                        """)
                try put.execute(arguments: [write.key.kind, write.key.id, Data(value), revision])
            } else {
                try database.cachedStatement(sql: "DELETE FROM entry WHERE kind = ? AND id = ?")
                    .execute(arguments: [write.key.kind, write.key.id])
            }
        }
    }
}

extension Row {
    fileprivate init?(_ row: GRDB.Row?) throws {
        guard let row else { return nil }
        let value: Data = row["value"]
        self.init(key: Key(row["kind"], row["id"]), value: Array(value), revision: row["revision"])
    }
}
