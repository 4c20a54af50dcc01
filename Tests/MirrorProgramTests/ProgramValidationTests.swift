// Every way in which a program can be wrong, and the words in which its author hears of it.

import MirrorProgram
import Testing

@Suite("A program that cannot be run is refused")
struct ProgramValidationTests {
    private typealias Port = MirrorProgram.Port
    private typealias Destination = MirrorProgram.Destination
    private typealias Tap = MirrorProgram.Tap

    private static let web = Port(id: "web", interface: "veth0")
    private static let ids = tunnel("ids", "192.0.2.9")

    private static func tunnel(_ id: String, _ remote: String, vni: UInt32 = 5001, port: UInt16 = 4789) -> Destination {
        Destination(id: id, target: .tunnel(.init(remote: IPAddress(remote)!, tunnelID: vni, udpPort: port)))
    }

    private func refusal(
        ports: [Port] = [Self.web], destinations: [Destination] = [Self.ids], taps: [Tap] = []
    ) -> String? {
        do throws(ProgramError) {
            try MirrorProgram(ports: ports, destinations: destinations, taps: taps).validate()
            return nil
        } catch {
            return error.description
        }
    }

    private func tap(_ id: String = "t", port: String = "web", to destinations: [String] = ["ids"]) -> Tap {
        Tap(id: id, port: port, direction: .both, destinations: destinations)
    }

    @Test("the empty program and a whole one are fit to run")
    func fit() throws {
        try MirrorProgram().validate()
        #expect(
            refusal(
                ports: [Self.web, Port(id: "copies", interface: "veth1", capture: .span)],
                destinations: [Self.ids, Destination(id: "local", target: .interface("veth9"))],
                taps: [
                    tap("a", to: ["ids", "local"]), Tap(id: "b", port: "copies", direction: .in, destinations: ["ids"]),
                ]) == nil)
    }

    @Test("ids are unique within their kind")
    func uniqueIDs() {
        #expect(
            refusal(ports: [Self.web, Port(id: "web", interface: "veth1")])
                == "port 'web' is there twice; ids are unique")
        #expect(refusal(destinations: [Self.ids, Self.ids]) == "destination 'ids' is there twice; ids are unique")
        #expect(refusal(taps: [tap(), tap()]) == "tap 't' is there twice; ids are unique")
        #expect(
            refusal(taps: [tap(to: ["ids", "ids"])])
                == "destination of tap 't': 'ids' is there twice; ids are unique")
    }

    @Test("ids are not empty")
    func emptyIDs() {
        #expect(refusal(ports: [Port(id: "", interface: "veth0")]) == "a port has an empty id")
        #expect(refusal(destinations: [Self.tunnel("", "192.0.2.9")]) == "a destination has an empty id")
        #expect(refusal(taps: [tap("")]) == "a tap has an empty id")
    }

    @Test("one interface is one port")
    func oneInterface() {
        #expect(
            refusal(ports: [Self.web, Port(id: "www", interface: "veth0")])
                == "ports 'web' and 'www' are both interface 'veth0'; write one port and give it several taps")
    }

    @Test("a pair is of an inline port, is another interface, and no other port's")
    func pairs() {
        let pair = { Port(id: $0, interface: $1, capture: .inline, pair: $2) }
        #expect(refusal(ports: [pair("bump", "eth1", "eth2")]) == nil)
        #expect(
            refusal(ports: [pair("bump", "eth1", nil)])
                == "port 'bump' is inline and has no pair; name the interface on the other side")
        #expect(
            refusal(ports: [pair("bump", "eth1", "eth1")])
                == "port 'bump' is a pair of 'eth1' with itself; name the interface on the other side")
        #expect(
            refusal(ports: [Port(id: "web", interface: "eth1", pair: "eth2")])
                == "port 'web' has a pair and is captured as tap; only inline ports have one")
        #expect(
            refusal(ports: [pair("bump", "eth1", "veth0"), Self.web])
                == "ports 'bump' and 'web' are both interface 'veth0'; write one port and give it several taps")
        #expect(
            refusal(
                ports: [pair("bump", "eth1", "eth2")],
                destinations: [Destination(id: "back", target: .interface("eth2"))],
                taps: [tap(port: "bump", to: ["back"])])
                == "tap 't' would send copies of 'eth2' back into it (destination 'back'): that is a loop")
    }

    @Test("interfaces of the same name in two network namespaces are two ports")
    func namespaces() {
        #expect(refusal(ports: [Self.web, Port(id: "blue", interface: "veth0", netns: "blue")]) == nil)
        #expect(
            refusal(ports: [Port(id: "p", interface: "veth0", netns: "blue/green")])
                == "port 'p': 'blue/green' is no network namespace; write a name under /run/netns or an absolute path")
    }

    @Test("an uplink's cap says how much, and an interface has one rule")
    func uplinks() {
        let refusal = { (uplinks: [MirrorProgram.UplinkRule]) -> String? in
            do throws(ProgramError) {
                try MirrorProgram(uplinks: uplinks).validate()
                return nil
            } catch {
                return error.description
            }
        }
        #expect(refusal([.init(interface: "eth1", kind: .udp, limit: .init(bitsPerSecond: 1))]) == nil)
        #expect(
            refusal([.init(interface: "eth1", limit: .init())])
                == "uplink 'eth1': limit sets neither bits_per_second nor frames_per_second")
        #expect(
            refusal([.init(interface: "eth1"), .init(interface: "eth1", dedicated: true)])
                == "uplink 'eth1' is there twice; ids are unique")
    }

    @Test(
        "an interface has a name that Linux takes",
        arguments: ["", "sixteen-bytes-xx", "a/b", "a:b", "a b", "a\tb", "a\nb", "a\0b", ".", ".."])
    func interfaceNames(name: String) {
        let rule = "(1 to 15 bytes, no '/', ':' or white space)"
        #expect(
            refusal(ports: [Port(id: "web", interface: name)])
                == "port 'web': '\(name)' is not an interface name \(rule)")
        #expect(
            refusal(destinations: [Destination(id: "local", target: .interface(name))])
                == "destination 'local': '\(name)' is not an interface name \(rule)")
    }

    @Test("fifteen bytes are a name, and bytes count, not characters")
    func longestName() {
        #expect(refusal(ports: [Port(id: "web", interface: "fifteen-bytes-x")]) == nil)
        #expect(refusal(ports: [Port(id: "web", interface: "éééééééé")]) != nil)
    }

    @Test("our own interfaces are not tapped")
    func ownInterfaces() {
        #expect(
            refusal(ports: [Port(id: "web", interface: "hs-up0")])
                == "port 'web': interfaces whose names begin with 'hs-' are Heliostat's own")
    }

    @Test("a tunnel ends at a unicast address of another machine")
    func remotes() {
        #expect(
            refusal(destinations: [Self.tunnel("ids", "127.0.0.1")])
                == "destination 'ids': remote 127.0.0.1 is a loopback address; name a unicast address")
    }

    @Test("a VNI has 24 bits, a UDP port is not 0")
    func ranges() {
        #expect(refusal(destinations: [Self.tunnel("ids", "192.0.2.9", vni: 0xFF_FFFF)]) == nil)
        #expect(
            refusal(destinations: [Self.tunnel("ids", "192.0.2.9", vni: 0x100_0000)])
                == "destination 'ids': tunnel_id 16777216 is not a VNI, 0 to 16777215")
        #expect(
            refusal(destinations: [Self.tunnel("ids", "192.0.2.9", port: 0)])
                == "destination 'ids': udp_port 0 cannot be sent to; use 1 to 65535")
    }

    @Test("a tap names a port and destinations that are there")
    func references() {
        #expect(
            refusal(taps: [tap(port: "db")]) == "tap 't' names port 'db', which the program does not have")
        #expect(
            refusal(taps: [tap(to: ["zeek"])]) == "tap 't' names destination 'zeek', which the program does not have")
        #expect(refusal(taps: [tap(to: [])]) == "tap 't' has no destination; name at least one")
    }

    @Test("a span port has IN only")
    func spanDirection() {
        let span = Port(id: "web", interface: "veth0", capture: .span)
        let out = Tap(id: "t", port: "web", direction: .out, destinations: ["ids"])
        #expect(
            refusal(ports: [span], taps: [out])
                == "tap 't' asks for OUT of port 'web', but a span port has IN only; use IN or BOTH")
        #expect(refusal(ports: [span], taps: [tap()]) == nil)
    }

    @Test("copies do not go back into the port that they are of")
    func loop() {
        #expect(
            refusal(destinations: [Destination(id: "ids", target: .interface("veth0"))], taps: [tap()])
                == "tap 't' would send copies of 'veth0' back into it (destination 'ids'): that is a loop")
    }

    @Test("a port carries 64 taps")
    func tapsPerPort() {
        let taps = (1...65).map { tap("t\($0)") }
        #expect(refusal(taps: Array(taps.dropLast())) == nil)
        #expect(refusal(taps: taps) == "port 'web' has more than 64 taps; give one tap several destinations")
    }

    @Test("a port has 64 destinations, however many taps name them")
    func destinationsPerPort() {
        let many = (1...65).map { Self.tunnel("d\($0)", "192.0.2.9", vni: UInt32($0)) }
        let names = many.map(\.id)
        #expect(refusal(destinations: many, taps: [tap(to: Array(names.dropLast()))]) == nil)
        #expect(
            refusal(destinations: many, taps: [tap("a", to: Array(names[..<40])), tap("b", to: Array(names[30...]))])
                == "port 'web' has more than 64 destinations; mirror to fewer from one port")
    }

    @Test("a dataplane has room for 1,024 ports and 8,192 destinations, and generations end where JSON does")
    func sizes() {
        let ports = (1...1025).map { Port(id: "p\($0)", interface: "v\($0)") }
        #expect(refusal(ports: Array(ports.dropLast())) == nil)
        #expect(refusal(ports: ports) == "the program has 1025 ports; one dataplane captures 1024 at most")
        let many = (1...8193).map { Self.tunnel("d\($0)", "192.0.2.9", vni: UInt32($0)) }
        #expect(
            refusal(destinations: many) == "the program has 8193 destinations; one dataplane serves 8192 at most")
        #expect(throws: ProgramError.self) { try MirrorProgram(generation: .max).validate() }
    }
}
