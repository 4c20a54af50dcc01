// What every store must do, and the SQLite store doing it. A new store adds a suite that runs `StoreConformance`.

import ControlModel
import ControlStore
import Foundation
import Testing

/// The promises of `Store`, each on an empty one.
enum StoreConformance {
    static let all: [@Sendable (any Store) async throws -> Void] = [
        commitsAndReads, refusesOldRevisions, keepsUniqueKeys, guardsKinds, isAllOrNothing, ordersByCreation, watches,
        serializesRaces, transactionsRetry,
    ]

    private static let key = Key("tap_flow", "a")

    @Sendable static func commitsAndReads(_ store: any Store) async throws {
        #expect(try await store.get(key) == nil)
        #expect(try await store.list(["tap_flow"]) == Rows(revision: 0, rows: []))
        var commit = Commit()
        #expect(try await store.commit(commit) == 0)
        commit.put(key, [1])
        #expect(try await store.commit(commit) == 1)
        #expect(try await store.get(key) == Row(key: key, value: [1], revision: 1))
        var other = Commit()
        other.put(Key("port", "b"), [])
        #expect(try await store.commit(other) == 2)
        #expect(try await store.list(["tap_flow"]).revision == 2)
        #expect(try await store.list(["tap_flow", "port"]).rows.map(\.key.id) == ["a", "b"])
        var removal = Commit()
        removal.delete(key)
        #expect(try await store.commit(removal) == 3)
        #expect(try await store.get(key) == nil)
    }

    @Sendable static func refusesOldRevisions(_ store: any Store) async throws {
        var first = Commit()
        first.put(key, [1])
        let revision = try await store.commit(first)
        var update = Commit()
        update.expectations[key] = .some(revision)
        update.put(key, [2])
        _ = try await store.commit(update)
        await #expect(throws: StoreError.conflict(key)) { try await store.commit(update) }
        #expect(try await store.get(key)?.value == [2])
        var gone = Commit()
        gone.expectations[Key("port", "none")] = .some(1)
        gone.put(key, [3])
        await #expect(throws: StoreError.conflict(Key("port", "none"))) { try await store.commit(gone) }
    }

    @Sendable static func keepsUniqueKeys(_ store: any Store) async throws {
        let unique = Key("tunnel_id", "5001")
        var first = Commit()
        first.expectations[unique] = .some(nil)
        first.put(unique, [1])
        _ = try await store.commit(first)
        var second = Commit()
        second.expectations[unique] = .some(nil)
        second.put(unique, [2])
        await #expect(throws: StoreError.conflict(unique)) { try await store.commit(second) }
        #expect(try await store.get(unique)?.value == [1])
        var free = Commit()
        free.delete(unique)
        _ = try await store.commit(free)
        _ = try await store.commit(second)
    }

    @Sendable static func guardsKinds(_ store: any Store) async throws {
        let seen = try await store.list(["tap_flow"]).revision
        var addition = Commit()
        addition.put(key, [1])
        _ = try await store.commit(addition)
        var guarded = Commit()
        guarded.unchangedKinds["tap_flow"] = seen
        guarded.put(Key("port", "p"), [1])
        await #expect(throws: StoreError.conflict(Key("tap_flow", ""))) { try await store.commit(guarded) }
        guarded.unchangedKinds["tap_flow"] = try await store.list(["tap_flow"]).revision
        _ = try await store.commit(guarded)
    }

    @Sendable static func isAllOrNothing(_ store: any Store) async throws {
        var commit = Commit()
        commit.put(key, [1])
        commit.put(Key("port", "p"), [2])
        commit.expectations[Key("host", "h")] = .some(9)
        await #expect(throws: StoreError.conflict(Key("host", "h"))) { try await store.commit(commit) }
        #expect(try await store.list(["tap_flow", "port"]) == Rows(revision: 0, rows: []))
    }

    @Sendable static func ordersByCreation(_ store: any Store) async throws {
        for id in ["c", "a", "b"] {
            var commit = Commit()
            commit.put(Key("port", id), [])
            _ = try await store.commit(commit)
        }
        var update = Commit()
        update.put(Key("port", "c"), [1])
        _ = try await store.commit(update)
        #expect(try await store.list(["port"]).rows.map(\.key.id) == ["c", "a", "b"])
    }

    @Sendable static func watches(_ store: any Store) async throws {
        var changes = store.watch(after: 0).makeAsyncIterator()
        for value in 1...3 {
            var commit = Commit()
            commit.put(key, [UInt8(value)])
            _ = try await store.commit(commit)
        }
        // Revisions may be joined; the last is always seen.
        var seen: Revision = 0
        while seen < 3 { seen = try #require(await changes.next()) }
        var late = store.watch(after: 1).makeAsyncIterator()
        #expect(await late.next() == 3)
    }

    @Sendable static func serializesRaces(_ store: any Store) async throws {
        let winners = await withTaskGroup { group in
            for value in UInt8(0)..<32 {
                group.addTask {
                    var commit = Commit()
                    commit.expectations[key] = .some(nil)
                    commit.put(key, [value])
                    return (try? await store.commit(commit)) == nil ? 0 : 1
                }
            }
            return await group.reduce(0, +)
        }
        #expect(winners == 1)
    }

    @Sendable static func transactionsRetry(_ store: any Store) async throws {
        try await withThrowingTaskGroup { group in
            for _ in 0..<16 {
                group.addTask {
                    try await store.transact { transaction in
                        let value = try await transaction.row(key)?.value ?? [0]
                        transaction.put(key, .integer(Int64(value.count)))
                        transaction.put(Key("port", UUID().uuidString), .null)
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try await store.list(["port"]).rows.count == 16)
        #expect(try await store.list(["port"]).revision == 16)
    }
}

@Suite struct SQLiteStoreTests {
    @Test(arguments: StoreConformance.all.indices) func conforms(_ index: Int) async throws {
        let directory = try TemporaryDirectory()
        try await StoreConformance.all[index](SQLiteStore(path: directory.path + "/store.db"))
    }

    /// Two of them on one file are two processes to each other.
    @Test(.timeLimit(.minutes(1))) func watchSeesOtherProcesses() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/store.db"
        let (one, other) = (try SQLiteStore(path: path), try SQLiteStore(path: path))
        var changes = one.watch(after: 0).makeAsyncIterator()
        var commit = Commit()
        commit.put(Key("port", "p"), [1])
        let revision = try await other.commit(commit)
        #expect(await changes.next() == revision)
    }

    @Test func commitsOfOneGroupHaveEachTheirOutcome() async throws {
        let directory = try TemporaryDirectory()
        let store = try SQLiteStore(path: directory.path + "/store.db")
        let outcomes = try await withThrowingTaskGroup { group in
            for value in UInt8(0)..<100 {
                group.addTask {
                    var commit = Commit()
                    if value % 2 == 1 { commit.expectations[Key("port", "none")] = .some(7) }
                    commit.put(Key("port", "\(value)"), [value])
                    return try await store.conflict(of: commit) == nil
                }
            }
            return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(outcomes == 50)
        let rows = try await store.list(["port"])
        #expect(rows.revision == 50)
        #expect(Set(rows.rows.map(\.revision)).count == 50)
        #expect(rows.rows.allSatisfy { $0.value[0] % 2 == 0 })
    }

    @Test func refusesANewerSchema() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/store.db"
        try SQLiteStore(path: path).close()
        let shell = Process()
        shell.executableURL = URL(filePath: "/usr/bin/env")
        shell.arguments = [
            "python3", "-c",
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); "
                + "c.execute(\"INSERT INTO grdb_migrations VALUES ('9999: of tomorrow')\"); c.commit()", path,
        ]
        try shell.run()
        shell.waitUntilExit()
        #expect(shell.terminationStatus == 0)
        let error = #expect(throws: StoreError.self) { try SQLiteStore(path: path) }
        #expect(error?.description.contains("a newer heliostat wrote it") == true)
    }

    @Test func keepsWhatItAcknowledged() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/store.db"
        let first = try SQLiteStore(path: path)
        #expect(try await first.synchronousLevel() == 2)
        var commit = Commit()
        commit.put(Key("port", "p"), [1, 2, 3])
        let revision = try await first.commit(commit)
        // A copy of the files as they are now is what a machine finds after the power went.
        let copy = directory.path + "/copy.db"
        for suffix in ["", "-wal"] {
            try FileManager.default.copyItem(atPath: path + suffix, toPath: copy + suffix)
        }
        for path in [path, copy] {
            let second = try SQLiteStore(path: path)
            #expect(
                try await second.get(Key("port", "p"))
                    == Row(key: Key("port", "p"), value: [1, 2, 3], revision: revision))
        }
        try first.close()
        await #expect(throws: StoreError.self) { try await first.get(Key("port", "p")) }
    }

    @Test func saysWhatIsWrongWithTheFile() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/store.db"
        try Data(repeating: 0x41, count: 8192).write(to: URL(filePath: path))
        let error = #expect(throws: StoreError.self) { try SQLiteStore(path: path) }
        #expect(error?.description.hasPrefix("cannot open the store \(path): ") == true)
    }
}

/// A directory that goes with its owner.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "heliostat-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
