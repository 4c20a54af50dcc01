// What the kernel carries of a capture point, and what it leaves to the worker.

import CShims
import FastPathHost
import MirrorProgram
import Testing

@Suite struct CarryPlanTests {
    private static let port = MirrorProgram.Port(id: "p", interface: "v0")

    private static func tunnel(_ id: String) -> MirrorProgram.Destination {
        .init(id: id, target: .tunnel(.init(remote: .init("192.0.2.9")!, tunnelID: 7)))
    }

    private static func plan(
        _ taps: [MirrorProgram.Tap],
        _ destinations: [MirrorProgram.Destination] = ["d", "e", "f", "g", "h"].map(tunnel),
        prefersKernel: Bool = false
    ) -> CarryPlan {
        let known = Dictionary(uniqueKeysWithValues: destinations.map { ($0.id, $0) })
        return CarryPlan(port, taps.enumerated().map { ($0.offset, $0.element) }, known, prefersKernel: prefersKernel)
    }

    private static func tap(
        _ id: String, _ engine: MirrorProgram.Engine, _ destinations: [String] = ["d"]
    ) -> MirrorProgram.Tap {
        .init(id: id, port: "p", direction: .both, destinations: destinations, engine: engine)
    }

    @Test func autoIsWhatTheHostSays() {
        let taps = [Self.tap("a", .auto), Self.tap("k", .kernel, ["e"]), Self.tap("u", .user, ["f"])]
        #expect(Self.plan(taps).taps.map(\.id) == ["k"])
        let preferred = Self.plan(taps, prefersKernel: true)
        #expect(preferred.taps.map(\.id) == ["a", "k"])
        #expect(preferred.bits == 0b11)
        #expect(preferred.reaches.map(\.destination) == ["d", "e"] && preferred.reaches.map(\.taps) == [1, 2])
        #expect(preferred.obstacles.isEmpty)
    }

    /// Once per destination: one that the worker serves is the worker's, and so is a tap that wants it beside others.
    @Test func aDestinationHasOneEngine() {
        var sampled = Self.tap("s", .auto, ["d"])
        sampled.sampling = .init(oneIn: 2)
        let taps = [
            Self.tap("k", .kernel, ["d", "e"]), sampled, Self.tap("l", .kernel, ["e"]), Self.tap("m", .kernel, ["f"]),
        ]
        let plan = Self.plan(taps)
        #expect(plan.taps.map(\.id) == ["m"])
        #expect(plan.obstacles["k"]?.contains("'d'") == true)
        #expect(plan.obstacles["l"]?.contains("'e'") == true)
    }

    @Test func membersOfASpreadAreTheWorkers() {
        let destinations = ["d", "e"].map(Self.tunnel) + [.init(id: "s", target: .spread(["d"]))]
        let plan = Self.plan([Self.tap("k", .kernel), Self.tap("u", .user, ["s"])], destinations)
        #expect(plan.taps.isEmpty && plan.obstacles["k"] != nil)
    }

    @Test func moreThanARowHolds() {
        let plan = Self.plan([Self.tap("k", .kernel, ["d", "e", "f", "g", "h"])])
        #expect(plan.taps.isEmpty && plan.reaches.isEmpty)
        #expect(plan.obstacles["k"]?.contains("more than 4") == true)
    }

    @Test(
        "what no host's kernel can carry",
        arguments: [
            ("snaplen", "it does not cut frames (snaplen)"), ("sampling", "it does not sample"),
            ("rate", "it has no rate limit"),
            ("netns", "port 'p' is in another network namespace"), ("span", "port 'p' is captured as span, not as tap"),
            ("erspan", "destination 'd' numbers its packets"), ("vlan", "destination 'd' has an outer VLAN tag"),
            ("ipv6", "destination 'd' has an outer UDP checksum (set udp_checksum to false)"),
            ("interface", "destination 'd' is an interface of this host"),
        ])
    func obstacle(_ what: String, _ words: String) {
        var (tap, port) = (Self.tap("t", .kernel), Self.port)
        var tunnel = MirrorProgram.Tunnel(remote: .init(what == "ipv6" ? "2001:db8::9" : "192.0.2.9")!, tunnelID: 7)
        if what == "snaplen" { tap.snaplen = 100 }
        if what == "sampling" { tap.sampling = .init(oneIn: 2) }
        if what == "rate" { tap.rateLimit = .init(framesPerSecond: 5) }
        if what == "netns" { port.netns = "other" }
        if what == "span" { port.capture = .span }
        if what == "erspan" { tunnel = .init(remote: tunnel.remote, encapsulation: .erspan2, tunnelID: 7) }
        if what == "vlan" { tunnel.vlan = 5 }
        let target: MirrorProgram.Destination.Target = what == "interface" ? .interface("v1") : .tunnel(tunnel)
        #expect(tap.obstacleToKernel(port, [.init(id: "d", target: target)]) == words)
        #expect(Self.tap("t", .kernel).obstacleToKernel(Self.port, [Self.tunnel("d")]) == nil)
    }
}
