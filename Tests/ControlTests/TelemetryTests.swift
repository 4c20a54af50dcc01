// Counters as the API shows them: they only grow, though a dataplane that is started again counts from 0.

import ControlModel
import ControlTelemetry
import MirrorProgram
import Testing

@Suite struct TelemetryTests {
    private func statistics(_ epoch: String, _ taps: [String: UInt64]) -> DataplaneStatistics {
        let drops: (UInt64) -> [String: UInt64] = { ["no_route": $0, "malformed": 0] }
        return DataplaneStatistics(
            epoch: epoch, time: 0,
            taps: taps.sorted { $0.key < $1.key }.map {
                TapStatistics(id: $0, frames: $1, bytes: $1 * 60, truncated: $1, drops: drops($1))
            },
            destinations: taps.sorted { $0.key < $1.key }.map {
                DestinationStatistics(id: $0, offered: $1 * 2, frames: $1, bytes: $1, truncated: 0, drops: drops($1))
            },
            deliveries: [DeliveryStatistics(id: "d", frames: 5, bytes: 300, drops: ["failed": 1], gaps: 2)],
            strays: ["uplink_down": 3], umem: UMEMStatistics(chunks: 9, free: 9, fill: 0, receive: 0, transmit: 0))
    }

    @Test func countersOnlyGrow() throws {
        let telemetry = Telemetry()
        func record(_ epoch: String, _ taps: [String: UInt64]) throws -> DataplaneStatistics {
            telemetry.record(statistics(epoch, taps), time: 0)
            return try #require(telemetry.observation.statistics)
        }
        #expect(try record("one", ["a": 10, "gone": 4]) == statistics("one", ["a": 10, "gone": 4]))
        #expect(try record("one", ["a": 12]).taps.map(\.frames) == [12])
        let second = try record("two", ["a": 0, "new": 1])
        #expect(second.epoch == "two")
        #expect(second.taps.map(\.frames) == [12, 1])
        #expect(try record("two", ["a": 5, "new": 1]).taps.map(\.bytes) == [17 * 60, 60])
        let third = try record("three", ["a": 1])
        #expect(
            third.taps == [
                TapStatistics(
                    id: "a", frames: 18, bytes: 18 * 60, truncated: 18, drops: ["no_route": 18, "malformed": 0])
            ])
        #expect(third.destinations.map(\.offered) == [36] && third.destinations[0].drops["no_route"] == 18)
        #expect(
            third.deliveries == [DeliveryStatistics(id: "d", frames: 15, bytes: 900, drops: ["failed": 3], gaps: 6)])
        #expect(third.strays == ["uplink_down": 9] && third.umem.chunks == 9)
    }

    @Test func objectsShowTheLastStatistics() {
        let telemetry = Telemetry()
        #expect(telemetry.objectStatistics.document(of: "a") == .null)
        telemetry.record(statistics("one", ["a": 3]), time: 0)
        let first = telemetry.objectStatistics.document(of: "a")
        #expect(first != .null && telemetry.objectStatistics.document(of: "a") == first)
        telemetry.record(statistics("one", ["a": 7]), time: 0)
        #expect(telemetry.objectStatistics.document(of: "a") != first, "counters are added up anew with every poll")
    }
}
