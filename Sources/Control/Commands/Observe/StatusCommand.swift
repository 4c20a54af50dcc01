// `heliostat status`: what the control process serves and what its dataplane really runs.

package import ArgumentParser
package import ControlModel

/// `heliostat status`
package struct StatusCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show what is captured, how, and where copies go.",
        discussion: "Example: heliostat status --json | jq .dataplane.connected")

    @OptionGroup package var globals: GlobalOptions

    package init() {}

    package mutating func run() async throws {
        let output = globals.output
        try await globals.withAPI { api in
            let status = try await api.get("/v2.0/heliostat/status")["status"]
            if output.json {
                output.write(status.prettyText + "\n")
            } else {
                output.write(Self.text(status, names: await Names.of([.port, .service, .flow], api)))
            }
        }
    }

    /// The status for people: a heading, then one table each of ports, destinations, taps and uplinks.
    package static func text(_ status: JSON, names: Names) -> String {
        let dataplane = status["dataplane"]
        let running = dataplane["status"]
        let connected = dataplane["connected"].bool == true
        let reason = display(dataplane["reason"])
        var heading = [
            ("host", display(status["host"])), ("version", display(status["version"])),
            ("dataplane", connected ? "connected" : "not connected" + (reason.isEmpty ? "" : ": \(reason)")),
        ]
        if running != .null {
            heading.append(
                (
                    "",
                    "version \(display(running["version"])), pid \(display(running["pid"])), program "
                        + (running["generation"] == .null ? "none yet" : display(running["generation"]))
                ))
        }
        var tables = [Table.pairs(heading)]
        tables.append(
            table(["PORT", "INTERFACE", "STATE", "CAPTURE", "HOOK", "SIDE", "MTU", "REASON"], running["ports"].items) {
                port in
                [
                    names.name(port["id"]), display(port["interface"]), display(port["state"]),
                    capture(port), hook(port), display(port["side"]), display(port["mtu"]), display(port["reason"]),
                ]
            })
        tables.append(
            table(
                ["DESTINATION", "STATE", "UPLINK", "SOURCE", "NEXT HOP", "MTU", "REASON"], running["destinations"].items
            ) {
                [
                    names.name($0["id"]), display($0["state"]), display($0["uplink"]), display($0["source"]),
                    display($0["next_hop"]), display($0["mtu"]), display($0["reason"]),
                ]
            })
        tables.append(
            table(["TAP FLOW", "STATE", "ENGINE", "REASON"], running["taps"].items) {
                let reasons = [$0["reason"], $0["engine_reason"]].filter { $0 != .null }.map { display($0) }
                return [
                    names.name($0["id"]), display($0["state"]), display($0["engine"]), reasons.joined(separator: "; "),
                ]
            })
        tables.append(
            table(["UPLINK", "KIND", "USE", "REASON"], running["uplinks"].items) {
                [
                    display($0["interface"]), kind(of: $0), $0["dedicated"].bool == true ? "dedicated" : "shared",
                    display($0["reason"]),
                ]
            })
        tables.append(
            table(["WORKER ON", "SCHEDULING", "PAGES", "NODE", "PORTS", "REASON"], running["workers"].items) {
                let cpus = $0["cpus"].items.map { display($0) }.joined(separator: ",")
                return [
                    cpus.isEmpty ? "all CPUs" : "CPU \(cpus)", display($0["scheduling"]), display($0["pages"]),
                    display($0["node"]), "\($0["ports"].items.count)", display($0["reason"]),
                ]
            })
        return tables.filter { !$0.isEmpty }.joined(separator: "\n")
    }

    private static func kind(of uplink: JSON) -> String {
        var words = uplink["kinds"].items.map { display($0) }
        if let zeroCopy = uplink["zero_copy"].bool { words.append(zeroCopy ? "zero-copy" : "copy") }
        if let frames = uplink["xdp_frames"].count { words.append("\(frames) as XDP frames") }
        if let refused = uplink["refused"].count, refused > 0 { words.append("\(refused) refused by the kernel") }
        return words.joined(separator: ", ")
    }

    /// The mode that was obtained, and the one asked for where that is another; of an inline port also its pair.
    private static func capture(_ port: JSON) -> String {
        let obtained = display(port["obtained"])
        let asked = display(port["capture"]) + (port["pair"] == .null ? "" : " to \(display(port["pair"]))")
        return obtained.isEmpty || obtained == display(port["capture"]) ? asked : "\(obtained), not \(asked)"
    }

    private static func hook(_ port: JSON) -> String {
        var words = [display(port["hook"])]
        if let zeroCopy = port["zero_copy"].bool { words.append(zeroCopy ? "zero-copy" : "copy") }
        if let queues = port["queues"].count { words.append("\(queues) queue\(queues == 1 ? "" : "s")") }
        if let limit = port["mtu_limit"].count { words.append("MTU up to \(limit)") }
        words += port["changes"].items.map { display($0) }
        return words.filter { !$0.isEmpty }.joined(separator: ", ")
    }

    private static func table(_ titles: [String], _ items: [JSON], _ cells: (JSON) -> [String]) -> String {
        if items.isEmpty { return "" }
        var table = Table(titles, right: ["MTU"])
        for item in items { table.add(cells(item)) }
        return table.text
    }
}
