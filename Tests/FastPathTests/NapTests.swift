// How long the worker naps between two turns: long enough for a batch, never longer than a copy may be late.

import FastPath
import Testing

@Suite struct NapTests {
    /// Lengths in µs of the naps after turns with so many records.
    private func naps(after turns: [Int], budget: Int = 64, mayWait: Bool = true) -> [Int] {
        var nap = Nap()
        return turns.map {
            nap.follow($0, budget, mayWait: mayWait)
            return nap.nanoseconds / 1000
        }
    }

    @Test func turnsThatFindLittleAreFurtherApart() {
        #expect(naps(after: [1, 5, 15, 1, 1]) == [100, 200, 200, 200, 200])
    }

    @Test func turnsThatFindABatchStayAsTheyAre() {
        #expect(naps(after: [16, 48, 3, 16, 30, 48]) == [50, 50, 100, 100, 100, 100])
    }

    @Test func turnsThatFindMuchAreCloserTogether() {
        #expect(naps(after: [1, 1, 49, 64, 64]) == [100, 200, 100, 50, 50])
    }

    @Test func aBatchIsWhatATurnMayTake() {
        #expect(naps(after: [63, 63, 64, 192, 193], budget: 256) == [100, 200, 200, 200, 100])
    }

    @Test func receiveRingsAreNotLeftToThemselves() {
        #expect(naps(after: [1, 1, 64], mayWait: false) == [50, 50, 50])
        var nap = Nap()
        nap.follow(1, 64, mayWait: true)
        nap.follow(1, 64, mayWait: false)
        #expect(nap.nanoseconds == 50_000)
    }

    @Test func afterAPauseItBeginsAnew() {
        var nap = Nap()
        for _ in 0..<3 { nap.follow(1, 64, mayWait: true) }
        nap.begin()
        #expect(nap.nanoseconds == 50_000)
        nap.follow(1, 64, mayWait: true)
        #expect(nap.nanoseconds == 100_000)
    }
}
