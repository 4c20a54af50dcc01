// The statistics for people. Before: the API's answer. After: the terminal.

package import ControlModel

/// Tables of counters.
package enum StatisticsText {
    /// - Parameter rates: shown beside the counters when watching.
    package static func text(_ statistics: JSON, rates: Rates?) -> String {
        if statistics["updated_at"] == .null {
            return "no counters yet; 'heliostat status' shows what the dataplane does\n"
        }
        var parts = [flows(statistics["tap_flows"].items, rates)]
        let destinations = statistics["destinations"].items
        if !destinations.isEmpty { parts.append(table(destinations)) }
        parts.append(footer(statistics))
        return parts.joined(separator: "\n")
    }

    private static func flows(_ flows: [JSON], _ rates: Rates?) -> String {
        if flows.isEmpty { return "no tap flow is running; 'heliostat flow list' shows why\n" }
        let counted = ["FRAMES", "BYTES", "TRUNCATED", "DROPPED", "FRAMES/S", "BITS/S"]
        let rateTitles = rates == nil ? [] : ["FRAMES/S", "BITS/S"]
        var table = Table(
            ["TAP FLOW"] + rateTitles + ["FRAMES", "BYTES", "TRUNCATED", "DROPPED", "REASONS"], right: Set(counted))
        for flow in flows {
            var cells = [label(flow)]
            if let rates {
                let rate = rates[flow["id"].string ?? ""]
                cells.append(rate.map { Quantity.rate($0.frames) } ?? "")
                cells.append(rate.map { Quantity.rate($0.bytes * 8) } ?? "")
            }
            table.add(cells + counters(flow))
        }
        return table.text
    }

    private static func table(_ destinations: [JSON]) -> String {
        var table = Table(
            ["DESTINATION", "OFFERED", "FRAMES", "BYTES", "TRUNCATED", "DROPPED", "REASONS"],
            right: ["OFFERED", "FRAMES", "BYTES", "TRUNCATED", "DROPPED"])
        for destination in destinations {
            table.add(
                [label(destination), Quantity.count(destination["offered"].count ?? 0)] + counters(destination))
        }
        return table.text
    }

    private static func label(_ object: JSON) -> String {
        let name = object["name"].string ?? ""
        return name.isEmpty ? display(object["id"]) : name
    }

    private static func counters(_ object: JSON) -> [String] {
        [
            Quantity.count(object["frames"].count ?? 0), Quantity.bytes(object["bytes"].count ?? 0),
            Quantity.count(object["truncated"].count ?? 0),
            Quantity.count(object["drops"].members.map { $0.value.count ?? 0 }.reduce(0, &+)),
            reasons(object["drops"]),
        ]
    }

    /// Those that happened, the most frequent first.
    private static func reasons(_ drops: JSON) -> String {
        let drops = drops.members.map { (reason: $0.name, count: $0.value.count ?? 0) }.filter { $0.count > 0 }
        return drops.sorted { ($1.count, $0.reason) < ($0.count, $1.reason) }.map {
            "\($0.reason) \(Quantity.count($0.count))"
        }.joined(separator: ", ")
    }

    private static func footer(_ statistics: JSON) -> String {
        var lines: [(String, String)] = []
        let strays = reasons(statistics["strays"])
        if !strays.isEmpty { lines.append(("drops of no tap", strays)) }
        let umem = statistics["umem"]
        if let chunks = umem["chunks"].count {
            let places = ["free", "fill", "receive", "transmit"].map { "\(display(umem[$0])) \($0)" }
            lines.append(("UMEM", "\(chunks) chunks: " + places.joined(separator: ", ")))
        }
        lines.append(("read at", display(statistics["updated_at"])))
        return Table.pairs(lines)
    }
}
