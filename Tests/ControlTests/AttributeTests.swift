// Validation from the tables of attributes, with the texts that a Neutron 29 answered.

import ControlModel
import MirrorProgram
import Testing

@Suite struct AttributeTests {
    private static let port = "8511744b-694b-429a-ba47-eb09d0438852"

    private func create(_ table: AttributeTable, _ body: JSON.Object, administrator: Bool = false) -> Result<
        JSON.Object, Fault
    > {
        Result { () throws(Fault) in try table.create(body, project: "demo", isAdministrator: administrator) }
    }

    private func message(_ result: Result<JSON.Object, Fault>) -> String? {
        if case .failure(let fault) = result { "\(fault.status) \(fault.type): \(fault.message)" } else { nil }
    }

    @Test func fillsDefaults() throws {
        let values = try create(TapService.table, ["port_id": .string(Self.port)]).get()
        #expect(
            values == [
                "tenant_id": "demo", "name": "", "description": "", "port_id": .string(Self.port), "tunnel_id": nil,
                "encapsulation": "vxlan", "destinations": [], "spread": false,
            ])
    }

    @Test(
        arguments: [
            (["name": "x"], "Failed to parse request. Required attribute 'port_id' not specified"),
            (["port_id": "abc"], "Invalid input for port_id. Reason: 'abc' is not a valid UUID."),
            (["port_id": nil], "Invalid input for port_id. Reason: 'None' is not a valid UUID."),
            (["port_id": "P", "foo": 1], "Unrecognized attribute(s) 'foo'"),
            (["port_id": "P", "status": "ACTIVE"], "Attribute 'status' not allowed in POST"),
            (["port_id": "P", "id": "P"], "Attribute 'id' not allowed in POST"),
            (["port_id": "P", "name": nil], "Invalid input for name. Reason: 'None' is not a valid string."),
            (["port_id": "P", "name": 5], "Invalid input for name. Reason: '5' is not a valid string."),
            (["port_id": "P", "name": "   "], "Invalid input for name. Reason: '   ' is not a valid string."),
            (
                ["port_id": "P", "description": nil],
                "Invalid input for description. Reason: 'None' is not a valid string."
            ),
            (
                ["port_id": "P", "tenant_id": "other"],
                "Specifying 'project_id' other than the authenticated project in request is not allowed for the current user."
            ),
            (["port_id": "P", "tenant_id": "a", "project_id": "b"], "'project_id' and 'tenant_id' do not match"),
            (
                ["port_id": "P", "tunnel_id": 4_294_967_296],
                "Invalid input for tunnel_id. Reason: '4294967296' is too large - must be no larger than '4294967295'."
            ),
            (["port_id": "P", "tunnel_id": "x"], "Invalid input for tunnel_id. Reason: 'x' is not an integer."),
            (
                ["port_id": "P", "encapsulation": "erspan1"],
                "Invalid input for encapsulation. Reason: erspan1 is not in valid_values."
            ),
            (
                ["port_id": "P", "destinations": [["udp_port": 1]]],
                "Invalid input for destinations. Reason: 'remote_ip' is missing."
            ),
            (
                ["port_id": "P", "destinations": [["remote_ip": "192.0.2.9", "port": 1]]],
                "Invalid input for destinations. Reason: Unexpected keys supplied: port."
            ),
            (
                ["port_id": "P", "destinations": [["remote_ip": "192.0.2.9", "udp_port": 0]]],
                "Invalid input for destinations. Reason: udp_port: '0' is too small - must be at least '1'."
            ),
            (
                ["port_id": "P", "destinations": [["remote_ip": "192.0.2.9"], ["remote_ip": "192.0.2.9"]]],
                "Invalid input for destinations. Reason: {'remote_ip': '192.0.2.9', 'encapsulation': None, 'tunnel_id': None, 'udp_port': None} is there twice."
            ),
        ] as [(JSON.Object, String)])
    func refusesTapService(_ body: JSON.Object, _ text: String) {
        var body = body
        for name in ["port_id", "id"] where body[name] == "P" { body[name] = .string(Self.port) }
        #expect(message(create(TapService.table, body)) == "400 HTTPBadRequest: \(text)")
    }

    @Test(
        arguments: [
            (["direction": "in"], "Invalid input for direction. Reason: in is not in valid_values."),
            (["direction": nil], "Invalid input for direction. Reason: None is not in valid_values."),
            (["vlan_filter": "abc"], "Invalid input for vlan_filter. Reason: 'abc' is not a valid input."),
            (["vlan_filter": "1,"], "Invalid input for vlan_filter. Reason: '1,' is not a valid input."),
            (["vlan_filter": ""], "Invalid input for vlan_filter. Reason: '' is not a valid input."),
            (["vlan_filter": 5], "Invalid input for vlan_filter. Reason: '5' is not a valid input."),
            (["vlan_filter": [1, 2]], "Invalid input for vlan_filter. Reason: '[1, 2]' is not a valid input."),
            (["filter": ""], "Invalid input for filter. Reason: '' filters nothing; leave filter out, or null."),
            (["snaplen": 13], "Invalid input for snaplen. Reason: '13' is too small - must be at least '14'."),
            (["snaplen": "x"], "Invalid input for snaplen. Reason: 'x' is not an integer."),
            (["sampling": ["per": "flow"]], "Invalid input for sampling. Reason: 'one_in' is missing."),
            (
                ["sampling": ["one_in": 0]],
                "Invalid input for sampling. Reason: one_in: '0' is too small - must be at least '1'."
            ),
            (
                ["sampling": ["one_in": 2, "per": "byte"]],
                "Invalid input for sampling. Reason: per: byte is not in valid_values."
            ),
            (
                ["rate_limit": [:]],
                "Invalid input for rate_limit. Reason: neither bits_per_second nor frames_per_second is set."
            ),
            (["rate_limit": 5], "Invalid input for rate_limit. Reason: '5' is not a dictionary."),
        ] as [(JSON.Object, String)])
    func refusesTapFlow(_ changes: JSON.Object, _ text: String) {
        var body: JSON.Object = [
            "tap_service_id": .string(Self.port), "source_port": .string(Self.port), "direction": "BOTH",
        ]
        for member in changes.members { body[member.name] = member.value }
        #expect(message(create(TapFlow.table, body)) == "400 HTTPBadRequest: \(text)")
    }

    @Test func tapFlowNamesMayBeBlank() throws {
        let body: JSON.Object = [
            "tap_service_id": .string(Self.port), "source_port": .string(Self.port), "direction": "IN", "name": "  ",
            "vlan_filter": nil,
        ]
        #expect(try create(TapFlow.table, body).get()["name"] == "  ")
    }

    @Test(
        arguments: [
            (["port_id": "x"], "Cannot update read-only attribute port_id"),
            (["status": "ERROR"], "Cannot update read-only attribute status"),
            (["project_id": "other"], "Cannot update read-only attribute tenant_id"),
            (["foo": 1], "Unrecognized attribute(s) 'foo'"),
            (["name": 1], "Invalid input for name. Reason: '1' is not a valid string."),
        ] as [(JSON.Object, String)])
    func refusesUpdate(_ body: JSON.Object, _ text: String) {
        let result = Result { () throws(Fault) in
            try TapService.table.update(body, project: "admin", isAdministrator: true)
        }
        #expect(message(result) == "400 HTTPBadRequest: \(text)")
    }

    @Test(
        arguments: [
            (["interface": "veth0"], ["interface": "veth0"]),
            (["netns": "box", "interface": "eth0"], ["interface": "eth0", "netns": "box"]),
            (["netns": "/proc/7/ns/net"], ["netns": "/proc/7/ns/net"]),
            (
                ["side": "peer", "interface": "veth0", "capture": "span", "mac": "52:54:00:AA:BB:CC"],
                ["interface": "veth0", "capture": "span", "side": "peer", "mac": "52:54:00:aa:bb:cc"]
            ),
            (
                ["capture_policy": "require", "capture": "xdp", "interface": "veth0"],
                ["interface": "veth0", "capture": "xdp", "capture_policy": "require"]
            ),
            (nil, [:]),
        ] as [(JSON, JSON)])
    func takesBindingProfile(_ value: JSON, _ expected: JSON) throws {
        let values = try create(Port.table, ["binding:profile": value], administrator: true).get()
        #expect(values["binding:profile"] == expected)
    }

    @Test(
        arguments: [
            "veth0", ["interface": "0123456789abcdef"], ["interface": "a/b"], ["interface": "hs-x"], ["interface": 5],
            ["interfaec": "veth0"], ["capture": "both"], ["capture_policy": "maybe"], ["side": "left"], ["mac": "x"],
            [1], ["netns": "a/b"], ["netns": ".."], ["netns": ""], ["netns": 5],
        ] as [JSON])
    func refusesBindingProfile(_ value: JSON) {
        let text = message(create(Port.table, ["binding:profile": value], administrator: true))
        #expect(text?.hasPrefix("400 HTTPBadRequest: Invalid input for binding:profile. Reason: ") == true)
    }

    @Test(arguments: ["x", "127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "169.254.1.1", "::1", "1.2.3"])
    func refusesTunnelAddress(_ text: String) {
        let result = create(Host.table, ["name": "ids", "tunnel_addresses": [.string(text)]])
        #expect(message(result)?.hasPrefix("400 HTTPBadRequest: Invalid input for tunnel_addresses. Reason: ") == true)
    }

    @Test func resourcesSurviveTheirJSON() throws {
        let service = try TapService(Sample.service("s", port: "p").values)
        #expect(service == Sample.service("s", port: "p"))
        let port = Sample.port("p", interface: "veth0", capture: .span)
        #expect(try Port(port.values) == port)
        let flow = Sample.flow("f", service: "s", port: "p")
        #expect(try TapFlow(flow.values) == flow)
        let host = Host(id: "h", name: "ids", tunnelAddresses: [.init("192.0.2.9")!], isHeliostat: false)
        #expect(try Host(host.values) == host)
    }
}
