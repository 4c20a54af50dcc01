// The JSON form of a program, against literal text: what docs/program.md promises to a person who writes a file.

import Foundation
import MirrorProgram
import Testing

@Suite("A program in JSON")
struct ProgramCodingTests {
    @Test("every key of the schema is read and written")
    func everyKey() throws {
        let text = """
            {"deliveries":[],"destinations":[{"encapsulation":"vxlan","id":"ids","remote":"192.0.2.9","tunnel_id":5001,"udp_port":8472},\
            {"id":"local","interface":"veth9"}],"generation":7,\
            "ports":[{"capture":"span","id":"web","interface":"veth0","mac":"52:54:00:12:34:56","policy":"require","side":"peer"}],\
            "taps":[{"destinations":["ids","local"],"direction":"IN","id":"t1","port":"web"}],"uplinks":[]}
            """
        let program = MirrorProgram(
            generation: 7,
            ports: [
                .init(
                    id: "web", interface: "veth0", mac: MACAddress(octets: [0x52, 0x54, 0x00, 0x12, 0x34, 0x56]),
                    capture: .span, side: .peer)
            ],
            destinations: [
                .init(
                    id: "ids",
                    target: .tunnel(.init(remote: .v4(.init(0xC000_0209)), tunnelID: 5001, udpPort: 8472))),
                .init(id: "local", target: .interface("veth9")),
            ],
            taps: [.init(id: "t1", port: "web", direction: .in, destinations: ["ids", "local"])])
        #expect(try decoded(text) == program)
        #expect(try encoded(program) == text)
    }

    @Test("what is left out has its default")
    func defaults() throws {
        let program: MirrorProgram = try decoded(
            """
            {"ports": [{"id": "p", "interface": "eth1"}],
             "destinations": [{"id": "d", "remote": "192.0.2.9", "tunnel_id": 1}],
             "taps": [{"id": "t", "port": "p", "destinations": ["d"]}]}
            """)
        #expect(program.generation == 0)
        #expect(program.ports == [.init(id: "p", interface: "eth1", mac: nil, capture: .tap, side: .auto)])
        #expect(
            program.destinations == [
                .init(
                    id: "d",
                    target: .tunnel(
                        .init(remote: .v4(.init(0xC000_0209)), encapsulation: .vxlan, tunnelID: 1, udpPort: 4789)))
            ])
        #expect(program.taps == [.init(id: "t", port: "p", direction: .both, destinations: ["d"])])
        #expect(try decoded("{}") == MirrorProgram())
    }

    @Test(
        "a key that the schema does not know is refused by name",
        arguments: [
            (
                #"{"tap": []}"#,
                "unknown key 'tap'; known here: deliveries, destinations, generation, ports, taps, uplinks"
            ),
            (
                #"{"ports": [{"id": "p", "interface": "e", "mode": "tap"}]}"#,
                "unknown key 'mode'; known here: capture, id, interface, mac, netns, pair, policy, side"
            ),
            (
                #"{"destinations": [{"id": "d", "remote": "192.0.2.9", "vni": 1}]}"#,
                "unknown key 'vni'; known here: dscp, encapsulation, geneve_options, id, interface, oversize, remote, sequenced, source, source_ports, spread, ttl, tunnel_id, udp_checksum, udp_port, vlan"
            ),
            (
                #"{"taps": [{"id": "t", "port": "p", "destinations": [], "vlan": 1}]}"#,
                "unknown key 'vlan'; known here: destinations, direction, engine, filter, id, port, rate_limit, sampling, snaplen, vlan_filter"
            ),
        ])
    func unknownKeys(text: String, message: String) {
        #expect(refusal(of: MirrorProgram.self, in: text) == message)
    }

    @Test("every key of a port and an uplink is read and written")
    func portsAndUplinks() throws {
        let text = """
            {"deliveries":[],"destinations":[],"generation":0,"ports":[{"capture":"inline","id":"a","interface":"eth1",\
            "netns":"blue","pair":"eth2","policy":"prefer","side":"auto"},\
            {"capture":"xdp","id":"b","interface":"eth3","policy":"prefer","side":"self"}],"taps":[],\
            "uplinks":[{"dedicated":true,"interface":"eth4","kind":"af_xdp","limit":{"frames_per_second":5}}]}
            """
        let program = MirrorProgram(
            ports: [
                .init(
                    id: "a", interface: "eth1", netns: "blue", capture: .inline, policy: .prefer, pair: "eth2"),
                .init(id: "b", interface: "eth3", capture: .xdp, side: .`self`),
            ],
            uplinks: [
                .init(interface: "eth4", kind: .afXDP, dedicated: true, limit: .init(framesPerSecond: 5))
            ])
        #expect(try decoded(text) == program)
        #expect(try encoded(program) == text)
    }

    @Test(
        "a value of the wrong kind is refused",
        arguments: [
            #"{"ports": [{"interface": "e"}]}"#,
            #"{"ports": [{"id": "p"}]}"#,
            #"{"ports": [{"id": "p", "interface": "e", "capture": "bridge"}]}"#,
            #"{"ports": [{"id": "p", "interface": "e", "side": "left"}]}"#,
            #"{"taps": [{"id": "t", "port": "p", "direction": "in", "destinations": ["d"]}]}"#,
            #"{"taps": [{"id": "t", "port": "p"}]}"#,
            #"{"destinations": [{"id": "d", "remote": "192.0.2.9"}]}"#,
            #"{"destinations": [{"id": "d", "tunnel_id": 1}]}"#,
            #"{"destinations": [{"id": "d", "remote": "192.0.2.9", "tunnel_id": -1}]}"#,
            #"{"destinations": [{"id": "d", "remote": "192.0.2.9", "tunnel_id": 1, "udp_port": 65536}]}"#,
            #"{"destinations": [{"id": "d", "remote": "192.0.2.9", "tunnel_id": 1, "encapsulation": "ipip"}]}"#,
            #"{"generation": -1}"#,
            "[]",
            "",
        ])
    func wrongKinds(text: String) {
        #expect(refusal(of: MirrorProgram.self, in: text) != nil)
    }

    @Test(
        "a destination is a tunnel or an interface, not both",
        arguments: [
            ("\"remote\": \"192.0.2.9\"", "remote"), ("\"tunnel_id\": 1", "tunnel_id"),
            ("\"encapsulation\": \"vxlan\"", "encapsulation"), ("\"udp_port\": 4789", "udp_port"),
        ])
    func tunnelAndInterface(member: String, key: String) {
        let text = #"{"destinations": [{"id": "d", "interface": "veth1", \#(member)}]}"#
        #expect(
            refusal(of: MirrorProgram.self, in: text)
                == "destination 'd' has both 'interface' and '\(key)'; remove one of them")
    }

    @Test("every key of a tunnel, a spread and a delivery is read and written")
    func tunnels() throws {
        let text = """
            {"deliveries":[{"encapsulation":"geneve","id":"b","interface":"veth1","local":"2001:db8::1",\
            "peers":["2001:db8::9"],"tunnel_id":7,"udp_port":6082}],\
            "destinations":[{"dscp":46,"encapsulation":"geneve","geneve_options":["direction","timestamp"],"id":"g",\
            "oversize":"drop","remote":"2001:db8::9","source":"2001:db8::1","source_ports":"1024-2047","ttl":9,\
            "tunnel_id":5,"udp_checksum":false,"udp_port":6082,"vlan":100},\
            {"encapsulation":"gre","id":"r","remote":"192.0.2.9","sequenced":true,"tunnel_id":4294967295},\
            {"encapsulation":"erspan3","id":"e","remote":"192.0.2.9","tunnel_id":1023},\
            {"id":"s","spread":["g","r"]}],"generation":0,"ports":[],"taps":[],"uplinks":[]}
            """
        let geneve = MirrorProgram.Tunnel(
            remote: IPAddress("2001:db8::9")!, encapsulation: .geneve, tunnelID: 5, source: IPAddress("2001:db8::1"),
            udpPort: 6082, sourcePorts: 1024...2047, udpChecksum: false, dscp: 46, timeToLive: 9, vlan: 100,
            oversize: .drop, geneveOptions: [.direction, .timestamp])
        let v4 = IPAddress("192.0.2.9")!
        let program = MirrorProgram(
            destinations: [
                .init(id: "g", target: .tunnel(geneve)),
                .init(
                    id: "r",
                    target: .tunnel(.init(remote: v4, encapsulation: .gre, tunnelID: .max, isSequenced: true))),
                .init(id: "e", target: .tunnel(.init(remote: v4, encapsulation: .erspan3, tunnelID: 1023))),
                .init(id: "s", target: .spread(["g", "r"])),
            ],
            deliveries: [
                .init(
                    id: "b", peers: [IPAddress("2001:db8::9")!], local: IPAddress("2001:db8::1"),
                    encapsulation: .geneve, tunnelID: 7, udpPort: 6082, interface: "veth1")
            ])
        #expect(try decoded(text) == program)
        #expect(try encoded(program) == text)
    }

    @Test("every action of a tap is read and written")
    func actions() throws {
        let text = """
            {"deliveries":[],"destinations":[],"generation":0,"ports":[],"taps":[{"destinations":["d"],\
            "direction":"BOTH","filter":{"code":[[40,0,0,12],[6,0,0,262144]],"expression":"ip"},"id":"a","port":"p",\
            "rate_limit":{"bits_per_second":1000,"frames_per_second":5},"sampling":{"one_in":10,"per":"flow"},\
            "snaplen":128,"vlan_filter":"189,279,999-1008"},{"destinations":["d"],"direction":"BOTH",\
            "filter":"tcp port 80","id":"b","port":"p"}],"uplinks":[]}
            """
        let program: MirrorProgram = try decoded(text)
        #expect(
            program.taps[0]
                == .init(
                    id: "a", port: "p", direction: .both, destinations: ["d"], vlanFilter: .init("189,279,999-1008"),
                    filter: .init(
                        expression: "ip",
                        code: [
                            .init(code: 40, jumpTrue: 0, jumpFalse: 0, k: 12),
                            .init(code: 6, jumpTrue: 0, jumpFalse: 0, k: 262_144),
                        ]), snaplen: 128, sampling: .init(oneIn: 10, per: .flow),
                    rateLimit: .init(bitsPerSecond: 1000, framesPerSecond: 5)))
        #expect(program.taps[0].vlanFilter?.ranges == [189...189, 279...279, 999...1008])
        #expect(program.taps[1].filter == .init(expression: "tcp port 80"))
        #expect(try encoded(program) == text)
    }

    @Test("what is left out of a tunnel has its default", arguments: MirrorProgram.Encapsulation.allCases)
    func tunnelDefaults(encapsulation: MirrorProgram.Encapsulation) throws {
        let text =
            #"{"encapsulation":"\#(encapsulation.rawValue)","id":"d","remote":"192.0.2.9","tunnel_id":1}"#
        let destination: MirrorProgram.Destination = try decoded(text)
        guard case .tunnel(let tunnel) = destination.target else {
            Issue.record("no tunnel")
            return
        }
        #expect(tunnel.udpPort == (encapsulation == .vxlan ? 4789 : encapsulation == .geneve ? 6081 : 0))
        #expect(tunnel.sourcePorts == 49152...65535 && tunnel.udpChecksum == nil && tunnel.source == nil)
        #expect(tunnel.dscp == 0 && tunnel.timeToLive == 64 && tunnel.vlan == nil && tunnel.oversize == .truncate)
        #expect(tunnel.isSequenced == (encapsulation == .erspan2 || encapsulation == .erspan3))
        #expect(tunnel.geneveOptions.count == (encapsulation == .geneve ? 3 : 0))
        #expect(try encoded(destination) == text)
    }

    private func tunnel(_ members: String) -> String {
        #"{"destinations": [{"id": "d", "remote": "192.0.2.9", "tunnel_id": 1, \#(members)}]}"#
    }

    @Test(
        "a key that has no meaning for an encapsulation is refused",
        arguments: [
            ("gre", "udp_port", "4789"), ("gre", "source_ports", #""1-2""#), ("erspan2", "udp_checksum", "true"),
            ("erspan3", "sequenced", "true"), ("vxlan", "sequenced", "true"), ("gre", "geneve_options", "[]"),
        ])
    func foreignKeys(encapsulation: String, key: String, value: String) {
        #expect(
            refusal(of: MirrorProgram.self, in: tunnel(#""encapsulation": "\#(encapsulation)", "\#(key)": \#(value)"#))
                == "destination 'd': '\(key)' does not go with encapsulation \(encapsulation); remove it")
    }

    @Test(
        "a range of ports has two ends, the lower one first",
        arguments: ["", "5", "0-9", "9-5", "1-65536", "1-2-3", "a-b"])
    func portRanges(text: String) {
        #expect(
            refusal(of: MirrorProgram.self, in: tunnel(#""source_ports": "\#(text)""#))
                == "'\(text)' is not a range of ports such as 49152-65535")
    }

    @Test(
        "a VLAN filter is a list of ids and ranges",
        arguments: ["", ",", "1,", "5-", "-5", "9-5", "4096", "1 ,2", "a", "1-2-3", "+1", "65537"])
    func vlanFilters(text: String) {
        #expect(MirrorProgram.VLANFilter(text) == nil)
        #expect(
            refusal(
                of: MirrorProgram.self,
                in: #"{"taps": [{"id": "t", "port": "p", "destinations": ["d"], "vlan_filter": "\#(text)"}]}"#)
                == "'\(text)' is not a VLAN filter such as 189,279,999-1008 (ids 0 to 4095)")
    }

    @Test(
        "an instruction has four numbers that fit",
        arguments: ["[1]", "[1, 2, 3, 4, 5]", "[65536, 0, 0, 0]", "[6, 256, 0, 0]", "[6, 0, 256, 0]"])
    func instructions(row: String) {
        let text =
            #"{"taps": [{"id": "t", "port": "p", "destinations": ["d"], "filter": {"expression": "ip", "code": [\#(row)]}}]}"#
        #expect(
            refusal(of: MirrorProgram.self, in: text)
                == "an instruction is [code, jump true, jump false, k], not \(row)")
    }

    @Test("a spread is nothing else")
    func spreadAndTunnel() {
        #expect(
            refusal(of: MirrorProgram.self, in: #"{"destinations": [{"id": "d", "spread": ["a"], "tunnel_id": 1}]}"#)
                == "destination 'd' has both 'spread' and 'tunnel_id'; remove one of them")
    }
}
