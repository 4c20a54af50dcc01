// The JSON form of a program, against literal text: what docs/program.md promises to a person who writes a file.

import Foundation
import MirrorProgram
import Testing

@Suite("A program in JSON")
struct ProgramCodingTests {
    @Test("every key of the schema is read and written")
    func everyKey() throws {
        let text = """
            {"destinations":[{"encapsulation":"vxlan","id":"ids","remote":"192.0.2.9","tunnel_id":5001,"udp_port":8472},\
            {"id":"local","interface":"veth9"}],"generation":7,\
            "ports":[{"capture":"span","id":"web","interface":"veth0","mac":"52:54:00:12:34:56","side":"peer"}],\
            "taps":[{"destinations":["ids","local"],"direction":"IN","id":"t1","port":"web"}]}
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
            (#"{"tap": []}"#, "unknown key 'tap'; known here: destinations, generation, ports, taps"),
            (
                #"{"ports": [{"id": "p", "interface": "e", "mode": "tap"}]}"#,
                "unknown key 'mode'; known here: capture, id, interface, mac, side"
            ),
            (
                #"{"destinations": [{"id": "d", "remote": "192.0.2.9", "vni": 1}]}"#,
                "unknown key 'vni'; known here: encapsulation, id, interface, remote, tunnel_id, udp_port"
            ),
            (
                #"{"taps": [{"id": "t", "port": "p", "destinations": [], "vlan": 1}]}"#,
                "unknown key 'vlan'; known here: destinations, direction, id, port"
            ),
        ])
    func unknownKeys(text: String, message: String) {
        #expect(refusal(of: MirrorProgram.self, in: text) == message)
    }

    @Test(
        "a value of the wrong kind is refused",
        arguments: [
            #"{"ports": [{"interface": "e"}]}"#,
            #"{"ports": [{"id": "p"}]}"#,
            #"{"ports": [{"id": "p", "interface": "e", "capture": "inline"}]}"#,
            #"{"ports": [{"id": "p", "interface": "e", "side": "left"}]}"#,
            #"{"taps": [{"id": "t", "port": "p", "direction": "in", "destinations": ["d"]}]}"#,
            #"{"taps": [{"id": "t", "port": "p"}]}"#,
            #"{"destinations": [{"id": "d", "remote": "192.0.2.9"}]}"#,
            #"{"destinations": [{"id": "d", "tunnel_id": 1}]}"#,
            #"{"destinations": [{"id": "d", "remote": "192.0.2.9", "tunnel_id": -1}]}"#,
            #"{"destinations": [{"id": "d", "remote": "192.0.2.9", "tunnel_id": 1, "udp_port": 65536}]}"#,
            #"{"destinations": [{"id": "d", "remote": "192.0.2.9", "tunnel_id": 1, "encapsulation": "gre"}]}"#,
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
}
