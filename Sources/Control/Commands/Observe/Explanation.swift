// From the API's documents to the chain of links between an intent and the wire: pure. Each link is in order, broken
// with its remedy, or cannot be judged from here. Before: ExplainCommand.swift. After: the terminal, or JSON.

package import ControlModel

/// Why the copies of one tap arrive, or do not.
package struct Explanation: Sendable {
    /// What is known.
    package struct Facts: Sendable {
        package var kind: ResourceKind
        package var tap: JSON
        package var port = JSON.null
        package var service = JSON.null
        /// The port of the service.
        package var collector = JSON.null
        package var hosts: [JSON] = []
        /// `GET /v2.0/heliostat/status`
        package var status = JSON.null
        /// `GET /v2.0/heliostat/statistics`, twice.
        package var counters: (before: JSON, after: JSON) = (.null, .null)

        package init(kind: ResourceKind, tap: JSON) {
            self.kind = kind
            self.tap = tap
        }
    }

    package enum Verdict: String, Sendable {
        case ok, broken
        /// Works, but not as somebody may expect.
        case warning
        case unknown
    }

    /// One link of the chain.
    package struct Link: Sendable {
        package var name: String
        package var verdict: Verdict
        package var finding: String
        package var remedy: String?
    }

    package private(set) var links: [Link] = []
    package var isBroken: Bool { links.contains { $0.verdict == .broken } }

    private let facts: Facts

    package init(_ facts: Facts) {
        self.facts = facts
        intent()
        source()
        guard dataplane() else { return }
        capture()
        selection()
        for destination in destinations { self.destination(destination) }
        drops()
        collector()
    }

    private mutating func add(_ name: String, _ verdict: Verdict, _ finding: String, _ remedy: String? = nil) {
        links.append(Link(name: name, verdict: verdict, finding: finding, remedy: remedy))
    }

    private var running: JSON { facts.status["dataplane"]["status"] }
    private var id: String { facts.tap["id"].string ?? "" }

    /// Whether an object of the dataplane belongs to `id`: a mirror has one for each direction.
    private static func belongs(_ object: JSON, to id: String) -> Bool {
        guard let own = object["id"].string, !id.isEmpty else { return false }
        return own == id || own.hasPrefix(id + "/") || own.hasPrefix(id + ":")
    }

    /// Ids of the taps that a dataplane runs for tap flow or tap mirror `id`.
    static func taps(of id: String, in running: JSON) -> [String] {
        running["taps"].items.filter { belongs($0, to: id) }.compactMap { $0["id"].string }
    }

    private var destinations: [JSON] {
        let owner = facts.kind == .flow ? facts.service["id"].string ?? "" : id
        return running["destinations"].items.filter { Self.belongs($0, to: owner) }
    }

    // MARK: The links, in order

    private mutating func intent() {
        let what =
            "\(facts.kind.title) '\(display(facts.tap["name"]))' of project '\(display(facts.tap["project_id"]))'"
        let reason = display(facts.tap["status_reason"])
        let status = display(facts.tap["status"])
        switch status {
        case "ACTIVE": add("intent", .ok, "\(what) is ACTIVE" + (reason.isEmpty ? "" : ": \(reason)"))
        case "DOWN": add("intent", .broken, "\(what) is DOWN: \(reason)", "mend what the reason names")
        case "PENDING_DELETE":
            add("intent", .broken, "\(what) is being deleted", "create it again once it has gone")
        default:
            add("intent", .broken, "\(what) is \(status): \(reason)", "change it as the reason says, or delete it")
        }
    }

    private mutating func source() {
        let port = facts.port
        let name = "port '\(display(port["name"]))'"
        let profile = port["binding:profile"]
        let host = display(port["binding:host_id"])
        if port == .null {
            add("port", .broken, "its port is gone", "delete the tap")
        } else if port["admin_state_up"].bool == false {
            add(
                "port", .broken, "\(name) has admin_state_up false",
                "openstack port set --enable \(display(port["id"]))")
        } else if host.isEmpty || profile["interface"] == .null {
            add(
                "port", .broken, "\(name) is not bound to an interface",
                "heliostat port update \(display(port["id"])) --interface NAME")
        } else if host != display(facts.status["host"]), facts.status != .null {
            add(
                "port", .unknown, "\(name) is on host '\(host)', which has a dataplane of its own",
                "run this command there, or 'heliostat program --host \(host)'")
        } else {
            let netns = profile["netns"].string.map { " in network namespace '\($0)'" } ?? ""
            add("port", .ok, "\(name) is interface \(display(profile["interface"]))\(netns) of host '\(host)'")
        }
    }

    /// Whether there is an answer to read on in.
    private mutating func dataplane() -> Bool {
        let dataplane = facts.status["dataplane"]
        guard dataplane["connected"].bool == true, running != .null else {
            add(
                "dataplane", .broken, "not connected: \(display(dataplane["reason"]))",
                "start heliostat-dataplane (systemctl start heliostat-dataplane, or 'heliostat serve' as root)")
            return false
        }
        add("dataplane", .ok, "pid \(display(running["pid"])) runs program \(display(running["generation"]))")
        return true
    }

    /// What a command begins with that is meant for the port's network namespace.
    private var there: String {
        guard let netns = facts.port["binding:profile"]["netns"].string else { return "" }
        return "nsenter --net=\(netns.hasPrefix("/") ? netns : "/run/netns/\(netns)") "
    }

    private mutating func capture() {
        guard let port = running["ports"].items.first(where: { $0["id"] == facts.port["id"] }) else {
            add("capture", .broken, "the dataplane's program does not have the port", "see the reason of the intent")
            return
        }
        let mode = port["obtained"] == .null ? port["capture"] : port["obtained"]
        let how = "\(display(mode)) by \(display(port["hook"])) on \(display(port["interface"]))"
        if port["state"] == "capturing" {
            let why = port["reason"] == .null ? "" : ": \(display(port["reason"]))"
            add(
                "capture", why.isEmpty ? .ok : .warning,
                "\(how), side \(display(port["side"])), MTU \(display(port["mtu"]))\(why)")
        } else {
            add(
                "capture", .broken, "\(display(port["interface"])) is not captured: \(display(port["reason"]))",
                "'\(there)ip link show \(display(port["interface"]))' and 'heliostat doctor' say more")
        }
    }

    private mutating func selection() {
        let taps = Self.taps(of: id, in: running)
        if taps.isEmpty {
            add("selection", .broken, "the dataplane's program does not have the tap", "see the reason of the intent")
            return
        }
        let names = ["direction", "directions", "vlan_filter", "filter", "sampling", "snaplen", "rate_limit"]
        let set = names.filter { facts.tap[$0] != .null }.map { "\($0) \(display(facts.tap[$0]))" }
        let moved = delta(of: "tap_flows", taps, "frames")
        let dropped = dropsDelta(of: "tap_flows", taps).reduce(0) { $0 + $1.count }
        if moved + dropped > 0 {
            add("selection", .ok, "\(set.joined(separator: ", ")); \(moved) copies between two looks")
        } else {
            add(
                "selection", .unknown, "\(set.joined(separator: ", ")); no frame was selected between two looks",
                "is there traffic? '\(there)tcpdump -ni \(display(facts.port["binding:profile"]["interface"]))' with the same filter tells"
            )
        }
    }

    private mutating func destination(_ destination: JSON) {
        let reason = display(destination["reason"])
        let uplink = display(destination["uplink"])
        let name = "destination"
        if destination["state"] != "ready" {
            add(
                name, .broken, "\(display(destination["state"])): \(reason)",
                "'ip route get' and 'ip neighbour' show the way; copies are dropped and counted meanwhile")
            return
        }
        var way = uplink.isEmpty ? "ready" : "through \(uplink)"
        if destination["next_hop"] != .null {
            way += ", source \(display(destination["source"])), next hop \(display(destination["next_hop"]))"
        }
        add(name, .ok, way + (reason.isEmpty ? "" : " (\(reason))"))
        let ports = running["ports"].items.filter { $0["id"] == facts.port["id"] }
        guard let path = destination["mtu"].count, let own = ports.first?["mtu"].count,
            destination["next_hop"] != .null
        else { return }
        // Ethernet header and the outer headers behind the outer Ethernet header: 36 bytes at least.
        if own + 14 + 36 > path {
            add(
                "mtu", .warning, "a path MTU of \(path) truncates copies of frames as long as the port's MTU, \(own)",
                "raise the MTU toward the monitor to \(own + 100), or set a snaplen")
        } else {
            add("mtu", .ok, "a path MTU of \(path) takes whole copies of the port's frames (MTU \(own))")
        }
    }

    private mutating func drops() {
        let taps = Self.taps(of: id, in: running)
        let now = dropsDelta(of: "tap_flows", taps)
        if now.isEmpty {
            add("drops", .ok, "no copy was dropped between two looks")
            return
        }
        for drop in now {
            let expected = drop.reason == "rate_limited"
            add(
                "drops", expected ? .warning : .broken, "\(drop.count) copies dropped as \(drop.reason)",
                Self.remedies[drop.reason])
        }
    }

    private mutating func collector() {
        if facts.kind == .mirror || facts.service["destinations"].items.isEmpty == false {
            add("monitor", .unknown, "what arrives there cannot be seen from here", "tcpdump on the monitor shows it")
            return
        }
        let host = facts.hosts.first { $0["name"] == facts.collector["binding:host_id"] } ?? .null
        if host["name"] == facts.status["host"] {
            add("monitor", .ok, "copies leave \(display(facts.collector["binding:profile"]["interface"])) of this host")
        } else if host["heliostat"].bool == true {
            add(
                "monitor", .unknown, "host '\(display(host["name"]))' delivers them to its port",
                "there: 'heliostat-dataplane run --program FILE' with what 'heliostat program --host \(display(host["name"]))' prints"
            )
        } else {
            let tunnel = "\(display(facts.service["encapsulation"])) \(display(facts.service["tunnel_id"]))"
            add(
                "monitor", .unknown, "'\(display(host["name"]))' has to end \(tunnel) by itself",
                "tcpdump on it shows what arrives")
        }
    }

    // MARK: Counters

    private func rows(_ statistics: JSON, _ list: String, _ ids: [String]) -> [JSON] {
        statistics[list].items.filter { ids.contains($0["id"].string ?? "") }
    }

    /// What a counter rose by between the two looks; all of it where counting began anew.
    private func delta(of list: String, _ ids: [String], _ counter: String) -> UInt64 {
        let sum = { (statistics: JSON) in
            rows(statistics, list, ids).reduce(UInt64(0)) { $0 &+ ($1[counter].count ?? 0) }
        }
        let (before, after) = (sum(facts.counters.before), sum(facts.counters.after))
        return after >= before ? after - before : after
    }

    private func dropsDelta(of list: String, _ ids: [String]) -> [(reason: String, count: UInt64)] {
        var counts: [String: UInt64] = [:]
        for row in rows(facts.counters.after, list, ids) {
            for drop in row["drops"].members { counts[drop.name, default: 0] &+= drop.value.count ?? 0 }
        }
        for row in rows(facts.counters.before, list, ids) {
            for drop in row["drops"].members {
                let now = counts[drop.name] ?? 0
                counts[drop.name] = now - min(now, drop.value.count ?? 0)
            }
        }
        return counts.filter { $0.value > 0 }.sorted { $0.value > $1.value }.map { ($0.key, $0.value) }
    }

    /// By drop reason, as docs/program.md has them.
    private static let remedies = [
        "capture_ring_full": "the worker is behind: tap less, filter, or give the dataplane more CPU",
        "receive_ring_full": "the worker is behind: tap less, filter, or give the dataplane more CPU",
        "unknown_generation": "none is needed: it happens while programs change",
        "malformed": "look at the sender: headers of its super-frames do not add up",
        "unsegmentable": "turn that offload off on the port ('ethtool -K')",
        "rate_limited": "raise the tap's rate_limit if more should arrive",
        "no_route": "add a route to the monitor",
        "neighbour_unresolved": "is the monitor up? 'ip neighbour' shows its entry",
        "uplink_down": "bring the uplink up",
        "exceeds_mtu": "raise the MTU toward the monitor, or set a snaplen",
        "umem_exhausted": "the uplink is too slow for what is tapped: filter, sample or limit",
        "tx_ring_full": "the uplink is too slow for what is tapped: filter, sample or limit",
        "uplink_limited": "raise the uplink's cap, or tap less: filter, sample or limit",
        "fused": "the uplink or this host is overloaded, and is tried again by itself: filter, sample or limit",
    ]

    // MARK: As text and as JSON

    package var text: String {
        links.map { link in
            let mark = [Verdict.ok: "ok", .broken: "BROKEN", .warning: "warning", .unknown: "?"][link.verdict]!
            let head = mark.padding(8) + link.name.padding(12) + printable(link.finding) + "\n"
            let remedy = link.verdict == .ok ? nil : link.remedy
            return head + (remedy.map { String(repeating: " ", count: 20) + "-> \(printable($0))\n" } ?? "")
        }.joined()
    }

    package var document: JSON {
        [
            "broken": .bool(isBroken),
            "links": .array(
                links.map {
                    [
                        "link": .string($0.name), "verdict": .string($0.verdict.rawValue),
                        "finding": .string($0.finding), "remedy": .optional($0.remedy),
                    ]
                }),
        ]
    }
}

extension String {
    fileprivate func padding(_ width: Int) -> String { self + String(repeating: " ", count: max(1, width - count)) }
}
