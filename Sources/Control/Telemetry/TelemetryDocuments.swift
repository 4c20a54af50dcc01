// The administrator's view of the dataplane: what runs, and the counters.
// Before: Telemetry, which the reconciler fills. After: the API's answer.

package import ControlModel
import Foundation
import MirrorProgram

extension Telemetry {
    /// `GET /v2.0/heliostat/status`
    package func statusDocument(host: String) throws -> JSON {
        let observation = observation
        return [
            "status": [
                "host": .string(host), "version": .string(heliostatVersion),
                "dataplane": [
                    "connected": .bool(observation.isConnected), "reason": .optional(observation.reason),
                    "status": try observation.status.map { try JSON(encoding: $0) } ?? .null,
                ],
            ]
        ]
    }

    /// `GET /v2.0/heliostat/statistics`
    ///
    /// - Parameter names: names of tap services and tap flows by id.
    package func statisticsDocument(names: [String: String]) throws -> JSON {
        let observation = observation
        guard let statistics = observation.statistics, let time = observation.statisticsTime else {
            return [
                "statistics": [
                    "updated_at": nil, "epoch": nil, "tap_flows": [], "destinations": [], "strays": [:], "umem": nil,
                ]
            ]
        }
        func named(_ values: [some Encodable]) throws -> JSON {
            .array(
                try values.map { value in
                    guard case .object(var object) = try JSON(encoding: value) else { return .null }
                    object["name"] = .string(names[object["id"]?.string ?? ""] ?? "")
                    return .object(object)
                })
        }
        let updated = Date(timeIntervalSince1970: time).formatted(
            Date.ISO8601FormatStyle(includingFractionalSeconds: true))
        return [
            "statistics": [
                "updated_at": .string(updated), "epoch": .string(statistics.epoch),
                "tap_flows": try named(statistics.taps), "destinations": try named(statistics.destinations),
                "strays": try JSON(encoding: statistics.strays), "umem": try JSON(encoding: statistics.umem),
            ]
        ]
    }
}

extension JSON {
    /// The JSON form of a value that encodes itself.
    fileprivate init(encoding value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        self = try JSON(parsing: encoder.encode(value))
    }
}
