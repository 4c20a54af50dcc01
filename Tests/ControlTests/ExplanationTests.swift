// `heliostat explain` on documents as the API gives them: each fault is named where it is, with its remedy.

import ControlCommands
import ControlModel
import Foundation
import Testing

@Suite struct ExplanationTests {
    static func json(_ text: String) throws -> JSON { try JSON(parsing: Data(text.utf8)) }

    /// A tap flow that works: port web on veth0, to a bare collector.
    static func facts(
        flow: String = #""status":"ACTIVE","status_reason":null"#, port: String = #""state":"capturing","reason":null"#,
        destination: String = #""state":"ready","mtu":1600,"reason":null"#, frames: (Int, Int) = (10, 30),
        drops: (Int, Int) = (0, 0), connected: Bool = true
    ) throws -> Explanation.Facts {
        var facts = Explanation.Facts(
            kind: .flow,
            tap: try json(
                #"{"id":"f1","name":"web-in","project_id":"p","direction":"IN","filter":"tcp port 80",\#(flow)}"#))
        facts.port = try json(
            #"{"id":"p1","name":"web","admin_state_up":true,"binding:host_id":"a","binding:profile":{"interface":"veth0"}}"#
        )
        facts.service = try json(
            #"{"id":"s1","name":"ids","port_id":"p2","encapsulation":"vxlan","tunnel_id":5001,"destinations":[]}"#)
        facts.collector = try json(#"{"id":"p2","binding:host_id":"c"}"#)
        facts.hosts = [try json(#"{"name":"c","heliostat":false}"#)]
        facts.status = try json(
            """
            {"host":"a","dataplane":{"connected":\(connected),"reason":"no such file","status":{"pid":7,"generation":3,
            "ports":[{"id":"p1","interface":"veth0","capture":"tap","hook":"tcx","side":"peer","mtu":1500,\(port)}],
            "destinations":[{"id":"s1","uplink":"eth1","source":"192.0.2.1","next_hop":"02:00:00:00:00:01",\(destination)}],
            "taps":[{"id":"f1","state":"active"}]}}}
            """)
        let counters = { (frames: Int, drops: Int) in
            try json(#"{"tap_flows":[{"id":"f1","frames":\#(frames),"drops":{"no_route":\#(drops),"malformed":0}}]}"#)
        }
        facts.counters = (try counters(frames.0, drops.0), try counters(frames.1, drops.1))
        return facts
    }

    @Test func whatWorksIsInOrder() throws {
        let explanation = Explanation(try Self.facts())
        #expect(!explanation.isBroken)
        #expect(
            explanation.links.map(\.name)
                == ["intent", "port", "dataplane", "capture", "selection", "destination", "mtu", "drops", "monitor"])
        #expect(explanation.text.contains("20 copies between two looks"))
        #expect(explanation.document["broken"] == false)
    }

    /// What is broken, and the link that is named.
    @Test func brokenLinksAreNamed() throws {
        let cases: [(Explanation.Facts, String, String)] = [
            (try Self.facts(flow: #""status":"ERROR","status_reason":"a loop""#), "intent", "a loop"),
            (try Self.facts(port: #""state":"down","reason":"there is no interface veth0""#), "capture", "veth0"),
            (
                try Self.facts(destination: #""state":"unreachable","mtu":1600,"reason":"no route to 192.0.2.9""#),
                "destination", "no route"
            ),
            (try Self.facts(drops: (5, 9)), "drops", "4 copies dropped as no_route"),
            (try Self.facts(connected: false), "dataplane", "no such file"),
        ]
        for (facts, name, words) in cases {
            let explanation = Explanation(facts)
            let broken = try #require(explanation.links.first { $0.verdict == .broken })
            #expect(explanation.isBroken && broken.name == name && broken.finding.contains(words), "\(broken)")
            #expect(broken.remedy?.isEmpty == false)
        }
    }

    @Test func whatCannotBeJudgedIsNotCalledBroken() throws {
        let quiet = Explanation(try Self.facts(frames: (10, 10)))
        #expect(!quiet.isBroken)
        #expect(quiet.links.first { $0.name == "selection" }?.verdict == .unknown)
        let narrow = Explanation(try Self.facts(destination: #""state":"ready","mtu":1500,"reason":null"#))
        #expect(!narrow.isBroken)
        #expect(narrow.links.first { $0.name == "mtu" }?.verdict == .warning)
    }

    @Test func commandsForAnotherNamespaceBeginThere() throws {
        var facts = try Self.facts(port: #""state":"down","reason":"gone""#, frames: (10, 10))
        facts.port = try Self.json(
            #"{"id":"p1","name":"web","admin_state_up":true,"binding:host_id":"a","binding:profile":{"interface":"veth0","netns":"blue"}}"#
        )
        let links = Explanation(facts).links
        let remedies = links.compactMap(\.remedy)
        #expect(remedies.contains { $0.contains("'nsenter --net=/run/netns/blue ip link show veth0'") })
        #expect(remedies.contains { $0.contains("'nsenter --net=/run/netns/blue tcpdump -ni veth0'") })
        #expect(links.contains { $0.finding.contains("veth0 in network namespace 'blue' of host 'a'") })
    }
}
