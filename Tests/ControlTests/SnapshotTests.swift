// Large numbers of rows: what one turn and one commit cost, and that less work gives the same.

import ControlModel
import ControlStore
import Testing

@Suite struct SnapshotTests {
    @Test func decodesOnlyWhatHasChanged() async throws {
        let directory = try TemporaryDirectory()
        let store = try SQLiteStore(path: directory.path + "/store.db")
        try await store.transact { transaction in
            for id in ["a", "b", "c"] { transaction.put(Sample.port(id)) }
            transaction.put(Sample.service("s", port: "a"))
        }
        let first = try await store.snapshot()
        #expect(try await store.snapshot(after: first) == first)
        try await store.transact { transaction in
            transaction.put(Sample.port("b", interface: "veth1"))
            transaction.delete(Port.key("a"))
            transaction.put(Sample.port("d"))
        }
        let second = try await store.snapshot(after: first)
        #expect(second.revision > first.revision)
        #expect(second == (try await store.snapshot()))
        #expect(second.ports.map(\.object.id) == ["b", "c", "d"])

        // A row that is as it was is taken over, not read again.
        var edited = second
        edited.ports[1].object.name = "from before"
        try await store.transact { $0.put(Sample.port("e")) }
        let third = try await store.snapshot(after: edited)
        #expect(third.ports.map(\.object.name) == ["", "from before", "", ""])
    }

    @Test(.timeLimit(.minutes(1))) func aLargeCommitIsLinear() {
        var commit = Commit()
        let begin = ContinuousClock.now
        for id in 0..<100_000 { commit.put(Key("port", String(id)), [1]) }
        for id in 0..<100_000 { commit.put(Key("port", String(id)), [2]) }
        #expect(ContinuousClock.now - begin < .seconds(5))
        #expect(commit.writes.count == 100_000)
        #expect(commit.writes.allSatisfy { $0.value == [2] })
        commit.forget(Key("port", "1"))
        commit.delete(Key("port", "2"))
        #expect(commit.writes.count == 99_999)
        #expect(commit.writes[1].key.id == "2")
        #expect(commit.writes[1].value == nil)
        #expect(!commit.puts(Key("port", "1")) && !commit.puts(Key("port", "2")) && commit.puts(Key("port", "3")))
    }
}
