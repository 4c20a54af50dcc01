// Whoever takes our place again and again is borne with for longer and longer.

import FastPathHost
import Testing

@Suite struct PatienceTests {
    /// Seconds at which it is over where the place is taken at every look, once a second.
    private func acts(_ patience: inout Patience, _ seconds: Range<Int>, from start: ContinuousClock.Instant) -> [Int] {
        seconds.filter { patience.isOver(at: start.advanced(by: .seconds($0))) }
    }

    @Test func twoWhoInsistDoNotFightForEver() {
        var patience = Patience()
        #expect(acts(&patience, 0..<300, from: .now) == [0, 2, 6, 14, 30, 62, 126, 190, 254])
    }

    @Test func whoeverKeepsQuietIsForgiven() {
        var patience = Patience()
        let start = ContinuousClock.now
        #expect(acts(&patience, 0..<20, from: start) == [0, 2, 6, 14])
        #expect(acts(&patience, 100..<120, from: start) == [100])
        #expect(acts(&patience, 229..<240, from: start) == [229, 231, 235])
    }
}
