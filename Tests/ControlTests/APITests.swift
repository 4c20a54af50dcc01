// The API as upstream's clients see it: URL forms, envelopes, faults, lists.

import ControlAPI
import ControlIdentity
import ControlModel
import ControlTelemetry
import HTTPTypes
import Hummingbird
import MirrorProgram
import NIOCore
import Testing

@Suite struct APITests {
    @Test func createsWhatUpstreamWould() async throws {
        let api = try await APIHarness()
        let port = try await api.makePort()
        let created = try await api.post(
            "taas/tap_services", ["tap_service": ["name": "ts1", "port_id": .string(port), "tunnel_id": 5001]])
        #expect(created.status == 201)
        #expect(created.headers[.contentType] == "application/json")
        #expect(created.headers[.init("x-openstack-request-id")!]?.wholeMatch(of: /req-[0-9a-f-]{36}/) != nil)
        #expect(created.headers[.location] == nil)
        let service = try #require(created.object["tap_service"]?.object)
        let id = try #require(service["id"]?.string)
        #expect(
            service == [
                "id": .string(id), "tenant_id": "admin", "name": "ts1", "description": "", "port_id": .string(port),
                "status": "DOWN", "status_reason": nil, "tunnel_id": 5001, "encapsulation": "vxlan",
                "destinations": [], "spread": false, "revision_number": 1, "statistics": nil, "project_id": "admin",
            ])
        let flow = try await api.post(
            "taas/tap_flows",
            [
                "tap_flow": [
                    "name": "f", "tap_service_id": .string(id), "source_port": .string(port), "direction": "BOTH",
                ]
            ])
        #expect(flow.status == 201)
        #expect(
            flow.object["tap_flow"]?.object?.members.map(\.name) == [
                "id", "tenant_id", "tap_service_id", "name", "description", "source_port", "direction", "status",
                "status_reason", "vlan_filter", "filter", "snaplen", "sampling", "rate_limit", "revision_number",
                "statistics", "project_id",
            ])
        #expect(try await api.get("taas/tap_services/\(id)").object["tap_service"]?.object == service)
        let updated = try await api.put(
            "taas/tap_services/\(id)", ["tap_service": ["name": "ts1b", "description": "dd"]])
        #expect(updated.status == 200)
        #expect(updated.object["tap_service"]?.object?["name"] == "ts1b")
        #expect(updated.object["tap_service"]?.object?["revision_number"] == 2)
        #expect(try await api.put("taas/tap_services/\(id)", ["tap_service": [:]]).object == updated.object)
        let deleted = try await api.delete("taas/tap_services/\(id)")
        #expect(deleted.status == 204)
        #expect(deleted.text.isEmpty)
        #expect(deleted.headers[.contentType] == nil)
    }

    @Test func portsAndHosts() async throws {
        let api = try await APIHarness()
        let port = try await api.post("ports", ["port": ["name": "web", "binding:profile": ["interface": "veth0"]]])
        let values = try #require(port.object["port"]?.object)
        #expect(values["binding:host_id"] == "here")
        #expect(values["mac_address"]?.string?.wholeMatch(of: /fa:16:3e(:[0-9a-f]{2}){3}/) != nil)
        let id = values["id"]!.string!
        let unbound = try await api.put("ports/\(id)", ["port": ["binding:host_id": nil, "binding:profile": nil]])
        #expect(unbound.object["port"]?.object?["binding:host_id"] == "")
        #expect(unbound.object["port"]?.object?["binding:profile"] == [:])
        let hosts = try await api.get("heliostat/hosts").object["hosts"]?.array
        #expect(hosts?.count == 1)
        let own = try #require(hosts?.first?.object)
        #expect(own["name"] == "here")
        #expect(own["heliostat"] == true)
        #expect(try await api.delete("heliostat/hosts/\(own["id"]!.string!)").status == 409)
        let again = try await api.post("heliostat/hosts", ["host": ["name": "here"]])
        #expect(again.fault == "409 HostNameInUse: A host named 'here' exists already; host names are unique.")
        let ids = try await api.make("heliostat/hosts", "host", ["name": "ids", "tunnel_addresses": ["192.0.2.9"]])
        let bound = try await api.makePort(["binding:host_id": "ids"])
        #expect(try await api.delete("heliostat/hosts/\(ids)").status == 409)
        #expect(try await api.delete("ports/\(bound)").status == 204)
        #expect(try await api.delete("heliostat/hosts/\(ids)").status == 204)
        _ = try await api.make("heliostat/hosts", "host", ["name": "ids"])
    }

    @Test(arguments: [
        ("", "400 HTTPBadRequest: Resource body required"),
        ("{bad", "400 MalformedRequestBody: Malformed request body: Cannot understand JSON."),
        ("[1]", "400 HTTPBadRequest: Body contains invalid data"),
        ("5", "400 HTTPBadRequest: Body contains invalid data"),
        ("{\"name\": \"x\"}", "400 HTTPBadRequest: Unable to find 'tap_service' in request body"),
        ("{\"tap_service\": null}", "400 HTTPBadRequest: Unable to find 'tap_service' in request body"),
        ("{\"tap_service\": \"x\"}", "400 HTTPBadRequest: Object 'tap_service' contains invalid data"),
        ("{\"tap_services\": []}", "400 HTTPBadRequest: Resources required"),
        ("{\"tap_services\": 5}", "400 HTTPBadRequest: Object 'tap_services' contains invalid data"),
        ("<a/>", "400 MalformedRequestBody: Malformed request body: Cannot understand JSON."),
        (
            "{\"tap_service\": {\"name\": \"x\"}}",
            "400 HTTPBadRequest: Failed to parse request. Required attribute 'port_id' not specified"
        ),
        (
            "{\"tap_service\": {\"name\": \"x\", \"port_id\": \"d5c55228-06cd-4f68-9b90-83d58fb726b5\"}}",
            "404 PortNotFound: Port d5c55228-06cd-4f68-9b90-83d58fb726b5 could not be found."
        ),
    ])
    func refusesBodies(_ body: String, _ fault: String) async throws {
        let api = try await APIHarness()
        let answer = try await api.send(.post, "/v2.0/taas/tap_services", body)
        #expect(answer.fault == fault)
        #expect(answer.object["NeutronError"]?.object?["detail"] == "")
    }

    @Test(arguments: [
        (
            HTTPRequest.Method.get, "/v2.0/taas/tap_services/ts1b",
            "404 TapServiceNotFound: Tap Service  ts1b does not exist"
        ),
        (.put, "/v2.0/taas/tap_services", "404 TapServiceNotFound: Tap Service  None does not exist"),
        (.delete, "/v2.0/taas/tap_flows", "404 TapFlowNotFound: Tap Flow  None does not exist"),
        (.delete, "/v2.0/taas/tap_flows/x", "404 TapFlowNotFound: Tap Flow  x does not exist"),
        (.get, "/v2.0/ports/x", "404 PortNotFound: Port x could not be found."),
        (.put, "/v2.0/taas/tap_services/x", "400 BadRequest: Bad body request: Invalid format: b''."),
        (
            .patch, "/v2.0/taas/tap_services/x",
            "405 HTTPMethodNotAllowed: The server could not comply with the request since it is either malformed or otherwise incorrect."
        ),
        (.get, "/v2.0/taas", "404 HTTPNotFound: The resource could not be found."),
        (.get, "/v2.0/taas/foo", "404 HTTPNotFound: The resource could not be found."),
        (.get, "/v2.0/taas/tap_flows/a/b", "404 HTTPNotFound: The resource could not be found."),
        (
            .get, "/v2.0/taas/tap_flows?limit=-1",
            "400 BadRequest: Bad limit request: Limit must be an integer 0 or greater and not '-1'."
        ),
        (
            .get, "/v2.0/taas/tap_flows?limit=x",
            "400 BadRequest: Bad limit request: Limit must be an integer 0 or greater and not 'x'."
        ),
        (
            .get, "/v2.0/taas/tap_flows?sort_key=name",
            "400 HTTPBadRequest: The number of sort_keys and sort_dirs must be same"
        ),
        (
            .get, "/v2.0/taas/tap_flows?sort_key=bogus&sort_dir=asc",
            "400 HTTPBadRequest: ['bogus'] is invalid attribute for sort_keys"
        ),
    ])
    func refusesPlaces(_ method: HTTPRequest.Method, _ path: String, _ fault: String) async throws {
        #expect(try await APIHarness().send(method, path).fault == fault)
    }

    @Test func aBodyThatBreaksOffIsTheClients() async throws {
        let api = try await APIHarness()
        let head = HTTPRequest(method: .post, scheme: "http", authority: "localhost", path: "/v2.0/ports")
        let body = AsyncThrowingStream<ByteBuffer, any Error> { $0.finish(throwing: ChannelError.inputClosed) }
        let response = await api.responder.respond(to: Request(head: head, body: RequestBody(asyncSequence: body)))
        #expect(response.status.code == 400)
    }

    @Test func aPOSTHasAThousandObjects() async throws {
        let api = try await APIHarness()
        func ports(_ count: Int) -> JSON { ["ports": .array((0..<count).map { ["name": .string("p\($0)")] })] }
        #expect(
            try await api.post("ports", ports(1001)).fault
                == "400 HTTPBadRequest: 1001 objects in one request; send at most 1000, and the others in further requests."
        )
        #expect(try await api.get("ports").object["ports"]?.array?.isEmpty == true)
        #expect(try await api.post("ports", ports(1000)).status == 201)
        #expect(try await api.get("ports").object["ports"]?.array?.count == 1000)
    }

    @Test func headIsRefusedWithoutABody() async throws {
        let answer = try await APIHarness().send(.head, "/v2.0/taas/tap_services")
        #expect(answer.status == 405)
        #expect(answer.text.isEmpty)
    }

    @Test func urlForms() async throws {
        let api = try await APIHarness()
        let id = try await api.makePort(["name": "web"])
        for path in ["ports", "ports/", "ports.json", "ports?name=web", "ports.json?name=web", "ports/?name=web"] {
            #expect(try await api.get(path).object["ports"]?.array?.count == 1, "\(path)")
        }
        for path in ["ports/\(id)", "ports/\(id).json", "ports/\(id)/"] {
            #expect(try await api.get(path).object["port"]?.object?["id"] == .string(id), "\(path)")
        }
    }

    @Test func otherSpellings() async throws {
        let api = try await APIHarness()
        let port = try await api.makePort()
        let id = try await api.make("taas/tap_services", "tap_service", ["port_id": .string(port)])
        for path in ["taas/tap-services", "tap_services", "tap-services", "taas/tap_services"] {
            #expect(try await api.get(path).object["tap_services"]?.array?.count == 1, "\(path)")
            #expect(try await api.get("\(path)/\(id)").status == 200, "\(path)")
        }
        #expect(try await api.get("taas/ports").status == 404)
        #expect(try await api.get("hosts").status == 404)
        let other = try await api.send(.get, "/v2/taas/tap_services")
        #expect(other.status == 404)
        #expect(other.json == ["code": 404, "title": "Not Found", "description": nil])
    }

    @Test func refusedMethodsNameTheOthers() async throws {
        let api = try await APIHarness()
        for (path, methods) in [
            ("/v2.0/ports", "GET, POST, PUT, DELETE"), ("/v2.0/ports/x", "GET, PUT, DELETE"),
            ("/v2.0/extensions", "GET"),
        ] {
            let answer = try await api.send(.patch, path)
            #expect(answer.status == 405)
            #expect(answer.headers[.allow] == methods)
        }
    }

    @Test func filtersAndFields() async throws {
        let api = try await APIHarness()
        for name in ["a", "b", ""] { _ = try await api.makePort(["name": .string(name)]) }
        func names(_ query: String) async throws -> [String] {
            let ports = try await api.get("ports?\(query)").object["ports"]?.array ?? []
            return ports.map { $0.object?["name"]?.string ?? "-" }
        }
        #expect(try await names("name=a") == ["a"])
        #expect(try await names("name=b&name=a") == ["a", "b"])
        #expect(try await names("name=") == [""])
        #expect(try await names("name=a&status=ACTIVE") == [])
        #expect(try await names("bogus=1") == ["a", "b", ""])
        #expect(try await names("project_id=admin") == ["a", "b", ""])
        #expect(try await names("tenant_id=nope") == [])
        #expect(try await names("admin_state_up=true&sort_key=name&sort_dir=desc") == ["b", "a", ""])
        #expect(
            try await api.get("ports?name=a&fields=name&fields=project_id").text
                == #"{"ports": [{"name": "a", "tenant_id": "admin", "project_id": "admin"}]}"#)
        #expect(try await api.get("ports?fields=bogus").text == #"{"ports": [{}, {}, {}]}"#)
        #expect(try await api.get("ports?fields=id,name").text == #"{"ports": [{}, {}, {}]}"#)
    }

    @Test func pages() async throws {
        let api = try await APIHarness()
        var ids: [String] = []
        for name in ["a", "b", "c"] { ids.append(try await api.makePort(["name": .string(name)])) }
        func page(_ query: String) async throws -> (names: String, links: [String]) {
            let body = try await api.get("ports?\(query)").object
            let names = (body["ports"]?.array ?? []).compactMap { $0.object?["name"]?.string }.joined()
            let links = (body["ports_links"]?.array ?? []).map { link in
                "\(link.object!["rel"]!.string!) \(link.object!["href"]!.string!)"
            }
            return (names, links)
        }
        let url = "http://localhost/v2.0/ports"
        #expect(
            try await page("limit=2") == (
                "ab",
                [
                    "next \(url)?limit=2&marker=\(ids[1])",
                    "previous \(url)?limit=2&marker=\(ids[0])&page_reverse=True",
                ]
            ))
        #expect(
            try await page("limit=2&marker=\(ids[1])") == (
                "c",
                [
                    "previous \(url)?limit=2&marker=\(ids[2])&page_reverse=True"
                ]
            ))
        #expect(
            try await page("limit=2&page_reverse=True&marker=\(ids[1])") == (
                "a",
                [
                    "next \(url)?limit=2&marker=\(ids[0])"
                ]
            ))
        #expect(try await page("limit=2&marker=none") == ("", ["previous \(url)?limit=2&page_reverse=True"]))
        #expect(try await page("limit=0") == ("abc", []))
        #expect(try await page("marker=\(ids[0])") == ("bc", []))
        #expect(try await page("limit=99999999999999999999").names == "abc")
    }

    @Test func bulkIsAllOrNothing() async throws {
        let api = try await APIHarness()
        let port = try await api.makePort()
        let both = try await api.post(
            "taas/tap_services",
            ["tap_services": [["name": "b1", "port_id": .string(port)], ["name": "b2", "port_id": .string(port)]]])
        #expect(both.status == 201)
        #expect(both.object["tap_services"]?.array?.count == 2)
        let half = try await api.post(
            "taas/tap_services",
            [
                "tap_services": [
                    ["name": "b3", "port_id": .string(port)],
                    ["name": "b4", "port_id": "d5c55228-06cd-4f68-9b90-83d58fb726b5"],
                ]
            ])
        #expect(half.fault == "404 PortNotFound: Port d5c55228-06cd-4f68-9b90-83d58fb726b5 could not be found.")
        let twice = try await api.post(
            "taas/tap_services",
            [
                "tap_services": [
                    ["port_id": .string(port), "tunnel_id": 7], ["port_id": .string(port), "tunnel_id": 7],
                ]
            ])
        #expect(twice.status == 409)
        #expect(try await api.get("taas/tap_services").object["tap_services"]?.array?.count == 2)
    }

    @Test func documents() async throws {
        let api = try await APIHarness()
        let versions = try await api.send(.get, "/", host: "mirror.example:9696")
        #expect(
            versions.text
                == #"{"versions": [{"id": "v2.0", "status": "CURRENT", "links": [{"rel": "self", "href": "http://mirror.example:9696/v2.0/"}]}]}"#
        )
        #expect(try await api.get("").object["resources"]?.array?.count == Kind.allCases.count)
        #expect(
            try await api.get("extensions").object["extensions"]?.array?.contains { $0.object?["alias"] == "taas" }
                == true)
        #expect(try await api.get("extensions/taas").object["extension"]?.object?["name"] == "Neutron Tap as a Service")
        #expect(try await api.get("extensions/nope").status == 404)
        #expect(try await api.send(.post, "/v2.0/extensions").status == 405)
    }

    @Test func tcpNeedsTokenAndName() async throws {
        let api = try await APIHarness(
            authenticator: .token(AdministratorToken("secret-of-the-test")), hostNames: HostNames([]))
        let refused = try await api.get("taas/tap_services")
        #expect(refused.status == 401)
        #expect(
            refused.text
                == #"{"error": {"code": 401, "title": "Unauthorized", "message": "The request you have made requires authentication."}}"#
        )
        #expect(refused.headers[.wwwAuthenticate]?.hasPrefix("Keystone uri=") == true)
        let token: HTTPFields = [.init("X-Auth-Token")!: "secret-of-the-test"]
        #expect(try await api.send(.get, "/v2.0/taas/tap_services", headers: token).status == 200)
        for host in ["evil.example", nil] {
            #expect(try await api.send(.get, "/v2.0/taas/tap_services", headers: token, host: host).status == 400)
        }
    }

    @Test func hostileInputIsNeverOurFault() async throws {
        let api = try await APIHarness()
        let port = try await api.makePort()
        let bodies = [
            String(repeating: "[", count: 900_000), #"{"tap_service": {"port_id": "\#(port)", "name": "\ud800"}}"#,
            #"{"tap_service": {"port_id": "\#(port)", "tunnel_id": 1e400}}"#,
            #"{"tap_service": {"port_id": "\#(port)", "tunnel_id": 123456789012345678901234567890}}"#,
            #"{"tap_service": {"port_id": {"a": [1]}, "name": [{}]}}"#, #"{"tap_service": {"port_id": true}}"#,
            #"{"tap_service": {"": null}}"#, String(repeating: "x", count: Body.largestSize + 1),
            "{\"tap_service\": {" + (0..<5000).map { "\"k\($0)\": 1" }.joined(separator: ",") + "}}",
        ]
        for body in bodies {
            for (method, path) in [(HTTPRequest.Method.post, ""), (.put, "/\(port)")] {
                let answer = try await api.send(method, "/v2.0/taas/tap_services\(path)", body)
                #expect((400..<500).contains(answer.status), "\(body.prefix(60)): \(answer.text.prefix(200))")
            }
        }
        for path in [
            "/%ff%fe", "/v2.0/ports/%00", "/v2.0/ports/..%2f..", "/v2.0/ports?%ff=%ff&&=&a", "/v2.0/ports?limit=%00",
            "/v2.0/ports?fields=%F0%9F%98%80", "//", "/v2.0//ports",
            "/v2.0/ports/\(String(repeating: "a", count: 8000))",
        ] {
            #expect(try await api.send(.get, path).status < 500, "\(path.prefix(80))")
        }
    }

    @Test func telemetryIsShown() async throws {
        let api = try await APIHarness()
        let before = try await api.get("heliostat/statistics").object["statistics"]?.object
        #expect(before?["updated_at"] == .null)
        let tap = try await api.makeTap()
        api.telemetry.record(
            .init(
                epoch: "e", time: 0,
                taps: [.init(id: tap.flow, frames: 3, bytes: 300, truncated: 0, drops: ["no_route": 1])],
                destinations: [], strays: ["unknown_generation": 2],
                umem: .init(chunks: 1, free: 1, fill: 0, receive: 0, transmit: 0)), time: 0)
        let after = try await api.get("heliostat/statistics").object["statistics"]?.object
        #expect(after?["updated_at"] == "1970-01-01T00:00:00.000Z")
        #expect(after?["tap_flows"]?.array?.first?.object?["name"] == "f")
        #expect(after?["tap_flows"]?.array?.first?.object?["frames"] == 3)
        #expect(before?["strays"] == [:])
        #expect(after?["strays"] == ["unknown_generation": 2])
        let status = try await api.get("heliostat/status").object["status"]?.object
        #expect(status?["host"] == "here")
        #expect(status?["dataplane"]?.object?["connected"] == false)
    }
}
