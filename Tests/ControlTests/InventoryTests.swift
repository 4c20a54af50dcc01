// Networks, ports, revisions: what OpenStack's clients need to find, and what a tenant sees.

import ControlAPI
import ControlIdentity
import ControlModel
import ControlStore
import HTTPTypes
import Testing

@Suite struct InventoryTests {
    private let demo = Authenticator.everybody(Caller(projectID: "demo", roles: [.member, .reader]))
    private let alt = Authenticator.everybody(Caller(projectID: "alt", roles: [.member, .reader]))

    @Test func aNetworkAndAPortAsTheCommandLineMakesThem() async throws {
        let api = try await APIHarness()
        let made = try await api.post("networks", ["network": ["admin_state_up": true, "name": "n1"]])
        #expect(made.status == 201)
        let network = try #require(made.object["network"]?.object)
        #expect(network["status"] == "ACTIVE")
        #expect(network["subnets"] == [])
        #expect(network["revision_number"] == 1)
        #expect(network["created_at"]?.string?.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/) != nil)
        let id = network["id"]!.string!
        #expect(try await api.get("networks/n1").fault == "404 NetworkNotFound: Network n1 could not be found.")
        #expect(try await api.get("networks?name=n1").object["networks"]?.array?.count == 1)
        let port = try await api.post(
            "ports",
            [
                "port": [
                    "admin_state_up": true, "name": "p9", "network_id": .string(id), "binding:host_id": "here",
                    "binding:profile": ["interface": "veth0"], "binding:vnic_type": "normal",
                    "security_groups": [], "port_security_enabled": false,
                ]
            ])
        let values = try #require(port.object["port"]?.object)
        #expect(values["network_id"] == .string(id))
        #expect(values["fixed_ips"] == [])
        #expect(values["binding:vnic_type"] == "normal")
        #expect(values["device_owner"] == "")
        #expect(values["tags"] == [])
        let list = try await api.get(
            "ports?fields=id&fields=name&fields=mac_address&fields=fixed_ips&fields=status")
        #expect(
            list.object["ports"]?.array?.first?.object?.members.map(\.name).sorted()
                == ["fixed_ips", "id", "mac_address", "name", "status"])
        #expect(
            try await api.delete("networks/\(id)").fault
                == "409 NetworkInUse: Unable to complete operation on network \(id). There are one or more ports still in use on the network."
        )
        #expect(try await api.delete("ports/\(values["id"]!.string!)").status == 204)
        #expect(try await api.delete("networks/\(id)").status == 204)
        let none = "d5c55228-06cd-4f68-9b90-83d58fb726b5"
        #expect(
            try await api.post("ports", ["port": ["network_id": .string(none)]]).fault
                == "404 NetworkNotFound: Network \(none) could not be found.")
    }

    @Test func whatThereIsNotIsRefused() async throws {
        let api = try await APIHarness()
        for (values, text) in [
            (["fixed_ips": [["ip_address": "10.0.0.1"]]], "Invalid input for fixed_ips."),
            (["port_security_enabled": true], "Invalid input for port_security_enabled."),
            (["binding:vnic_type": "x"], "Invalid input for binding:vnic_type. Reason: x is not in valid_values."),
            (["network_id": "n1"], "Invalid input for network_id. Reason: 'n1' is not a valid UUID."),
        ] as [(JSON, String)] {
            let answer = try await api.post("ports", ["port": values])
            #expect(answer.fault.hasPrefix("400 HTTPBadRequest: \(text)"), "\(answer.text)")
        }
    }

    @Test func aMembersPortIsUnboundAndItsBindingUnseen() async throws {
        let api = try await APIHarness()
        let demo = api.responder(demo)
        let made = try await api.send(.post, "/v2.0/ports", #"{"port": {"name": "p"}}"#, responder: demo)
        let port = try #require(made.object["port"]?.object)
        #expect(port["status"] == "DOWN")
        #expect(port["binding:host_id"] == nil)
        #expect(port["binding:profile"] == nil)
        for body in [
            #"{"port": {"binding:host_id": "here"}}"#, #"{"port": {"binding:profile": {"interface": "eth0"}}}"#,
        ] {
            #expect(try await api.send(.post, "/v2.0/ports", body, responder: demo).status == 403)
            let path = "/v2.0/ports/\(port["id"]!.string!)"
            #expect(try await api.send(.put, path, body, responder: demo).status == 403)
        }
        #expect(try await api.get("ports/\(port["id"]!.string!)").object["port"]?.object?["binding:host_id"] == "")
    }

    @Test func theOwnerOfANetworkSeesThePortsOnItAndNoMore() async throws {
        let api = try await APIHarness()
        let (demo, alt) = (api.responder(demo), api.responder(alt))
        let network = try await api.make("networks", "network", ["name": "n", "tenant_id": "demo"])
        let port = try await api.makePort(["tenant_id": "alt", "network_id": .string(network)])
        let own = try await api.makePort(["tenant_id": "demo", "binding:profile": ["interface": "veth1"]])
        let path = "/v2.0/ports/\(port)"
        #expect(try await api.send(.get, path, responder: demo).status == 200)
        #expect(try await api.send(.get, "/v2.0/ports", responder: demo).object["ports"]?.array?.count == 2)
        #expect(try await api.send(.get, "/v2.0/ports", responder: alt).object["ports"]?.array?.count == 1)
        #expect(try await api.send(.delete, path, responder: demo).status == 403)
        #expect(try await api.send(.get, "/v2.0/networks/\(network)", responder: alt).status == 404)
        #expect(
            try await api.send(
                .post, "/v2.0/ports", #"{"port": {"network_id": "\#(network)"}}"#, responder: alt
            ).fault == "404 NetworkNotFound: Network \(network) could not be found.")
        // Seen is not owned: it cannot be tapped.
        let service = try await api.make(
            "taas/tap_services", "tap_service", ["port_id": .string(own), "project_id": "demo"])
        func flow(_ source: String) async throws -> String {
            try await api.send(
                .post, "/v2.0/taas/tap_flows",
                #"{"tap_flow": {"tap_service_id": "\#(service)", "source_port": "\#(source)", "direction": "IN"}}"#,
                responder: demo
            ).fault
        }
        #expect(
            try await flow(port) == "403 PortDoesNotBelongToTenant: The specified port does not belong to the tenant")
        let hidden = try await api.makePort(["tenant_id": "alt", "binding:profile": ["interface": "veth2"]])
        #expect(try await flow(hidden) == "404 PortNotFound: Port \(hidden) could not be found.")
        let none = "d5c55228-06cd-4f68-9b90-83d58fb726b5"
        #expect(try await flow(none) == "404 PortNotFound: Port \(none) could not be found.")
    }

    @Test func aSharedNetworkIsEverybodys() async throws {
        let api = try await APIHarness()
        let demo = api.responder(demo)
        let network = try await api.make("networks", "network", ["name": "n", "shared": true])
        #expect(try await api.send(.get, "/v2.0/networks/\(network)", responder: demo).status == 200)
        let body = #"{"port": {"network_id": "\#(network)"}}"#
        #expect(try await api.send(.post, "/v2.0/ports", body, responder: demo).status == 201)
        #expect(try await api.send(.delete, "/v2.0/networks/\(network)", responder: demo).status == 403)
        for (shared, status) in [("true", 403), ("false", 201)] {
            let body = #"{"network": {"name": "x", "shared": \#(shared)}}"#
            #expect(try await api.send(.post, "/v2.0/networks", body, responder: demo).status == status)
        }
    }

    @Test func aRevisionIsACondition() async throws {
        let api = try await APIHarness()
        let port = try await api.makePort()
        let path = "/v2.0/ports/\(port)"
        func put(_ name: String, _ condition: String?) async throws -> APIHarness.Answer {
            var headers = HTTPFields()
            headers[.ifMatch] = condition
            return try await api.send(.put, path, #"{"port": {"name": "\#(name)"}}"#, headers: headers)
        }
        #expect(try await put("a", "revision_number=1").object["port"]?.object?["revision_number"] == 2)
        #expect(
            try await put("b", "revision_number=1").fault
                == "412 RevisionNumberConstraintFailed: Constrained to 1, but current revision is 2")
        #expect(
            try await put("b", "\"etag\"").fault
                == "400 BadRequest: Bad If-Match request: '\"etag\"' is not revision_number=N.")
        #expect(try await put("a", nil).object["port"]?.object?["revision_number"] == 2)
        // A status that changes is no revision.
        try await api.set(Port.self, port, .active)
        #expect(try await put("c", "revision_number=2").status == 200)
        #expect(try await api.send(.delete, path, headers: [.ifMatch: "revision_number=2"]).status == 412)
        #expect(try await api.send(.delete, path, headers: [.ifMatch: "revision_number=3"]).status == 204)
    }

    @Test func aPortTakesItsMirrorsWithIt() async throws {
        let api = try await APIHarness()
        let port = try await api.makePort()
        _ = try await api.make(
            "taas/tap_mirrors", "tap_mirror",
            [
                "port_id": .string(port), "directions": ["IN": 101], "remote_ip": "192.0.2.50", "mirror_type": "gre",
            ])
        #expect(try await api.delete("ports/\(port)").status == 204)
        #expect(try await api.get("taas/tap_mirrors").object["tap_mirrors"] == .array([]))
        #expect(try await api.store.list(["mirror_tunnel_id"]).rows.isEmpty)
    }
}
