// Verb by kind by actor, generated from the policy table: what each may do is done, what not is refused in the right
// shape, and what belongs to another project cannot be told from what does not exist.

import ControlAPI
import ControlIdentity
import ControlModel
import ControlStore
import ControlTelemetry
import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Testing

/// Who asks: an administrator, project A's member and reader, project B's member, and nobody.
private enum Actor: CaseIterable {
    case administrator, memberOfA, readerOfA, memberOfB, nobody

    var caller: Caller? {
        switch self {
        case .administrator: Caller(projectID: "admin", roles: Caller.Role.admin.implied)
        case .memberOfA: Caller(projectID: "a", roles: Caller.Role.member.implied)
        case .readerOfA: Caller(projectID: "a", roles: [.reader])
        case .memberOfB: Caller(projectID: "b", roles: Caller.Role.member.implied)
        case .nobody: nil
        }
    }

    /// What a rule of the table says of this actor and an object of `project`: the table's three rules by hand, so that
    /// the parser of rules is not its own judge.
    func may(_ verb: String, _ kind: Kind, of project: String) -> Bool {
        guard let caller, let rule = Policy.rules["\(verb)_\(kind.singular)"] else { return false }
        if caller.roles.contains(.admin) { return true }
        let role: Caller.Role? =
            switch rule {
            case .administratorOrMember: .member
            case .administratorOrReader: .reader
            default: nil
            }
        return role.map { caller.roles.contains($0) && caller.projectID == project } ?? false
    }
}

@Suite struct TenancyTests {
    @Test(.timeLimit(.minutes(2))) func everyVerbOfEveryKindForEveryActor() async throws {
        let world = try await World()
        var pairs = 0
        for kind in Kind.allCases {
            for actor in Actor.allCases {
                pairs += try await check(kind, actor, world)
            }
        }
        print("tenancy: \(pairs) pairs of verb and object checked for \(Kind.allCases.count) kinds and 5 actors")
        #expect(pairs >= Kind.allCases.count * 5 * 10)
    }

    private func check(_ kind: Kind, _ actor: Actor, _ world: World) async throws -> Int {
        var pairs = 0
        for project in ["a", "b"] {
            for verb in ["get", "update", "delete"] {
                let id = try await world.make(kind, project)
                let answer = try await world.ask(actor, verb, kind, id)
                let absent = try await world.ask(actor, verb, kind, World.absent)
                let what: Comment = "\(actor) \(verb) \(kind.singular) of \(project): \(answer.text)"
                if actor == .nobody {
                    #expect(answer.status == 401, what)
                    #expect(answer == absent, what)
                } else if actor.may(verb, kind, of: project) {
                    #expect(answer.status == (verb == "delete" ? 204 : 200), what)
                    #expect(absent.status == 404, what)
                } else if actor.may("get", kind, of: project) {
                    #expect(answer.status == 403 && answer.text.contains("PolicyNotAuthorized"), what)
                } else {
                    #expect(answer.status == 404, what)
                    // In one's own project upstream says that something is there; in another's nothing does.
                    if actor.caller?.projectID != project { #expect(answer == absent, what) }
                }
                if !actor.may("delete", kind, of: project) || verb != "delete" {
                    #expect(try await world.exists(kind, id), what)
                }
                pairs += 1
            }
            pairs += try await checkList(kind, actor, project, world)
            pairs += try await checkCreate(kind, actor, project, world)
        }
        return pairs
    }

    private func checkList(_ kind: Kind, _ actor: Actor, _ project: String, _ world: World) async throws -> Int {
        let id = try await world.make(kind, project)
        for query in ["", "?id=\(id)", "?fields=id&id=\(id)"] {
            let answer = try await world.ask(actor, "list", kind, query)
            let what: Comment = "\(actor) list \(kind.singular) \(query)"
            #expect(answer.status == (actor == .nobody ? 401 : 200), what)
            #expect(answer.raw.contains(id) == actor.may("get", kind, of: project), what)
        }
        return 3
    }

    /// With what belongs to `project`; and with what belongs to `project` in the caller's own name.
    private func checkCreate(_ kind: Kind, _ actor: Actor, _ project: String, _ world: World) async throws -> Int {
        let own = actor.caller?.projectID ?? "a"
        let body = try await world.body(kind, project)
        let answer = try await world.ask(actor, "create", kind, "", body)
        let what: Comment = "\(actor) create \(kind.singular) on \(project)'s: \(answer.text)"
        if actor == .nobody {
            #expect(answer.status == 401, what)
            return 1
        }
        let absent = try await world.ask(actor, "create", kind, "", World.withoutReferences(body))
        if actor == .administrator {
            // Upstream: an administrator names the project; ports are then looked at for that project.
            if kind == .host { return 1 }
            var named = body
            named["tenant_id"] = .string(project)
            #expect(try await world.ask(actor, "create", kind, "", named).status == 201, what)
        } else if !actor.may("create", kind, of: own) {
            #expect(answer.status == 403 && answer.text.contains("PolicyNotAuthorized"), what)
            #expect(answer == absent, what)
        } else if own == project || absent.status == 201 {
            #expect(answer.status == 201, what)
        } else {
            #expect(answer.status == 404, what)
            #expect(answer == absent, what)
        }
        return 1
    }
}

/// One store, and a responder for each actor.
private final class World {
    static let absent = "00000000-0000-4000-8000-000000000000"
    private let harness: APIHarness
    private var responders: [Actor: Responder] = [:]
    private var count = 0

    struct Answer: Equatable {
        let status: Int
        /// As it came.
        let raw: String
        /// With ids replaced, so that answers about different objects can be compared.
        let text: String

        static func == (one: Answer, other: Answer) -> Bool { one.status == other.status && one.text == other.text }
    }

    init() async throws {
        harness = try await APIHarness()
        for actor in Actor.allCases {
            let authenticator =
                actor.caller.map(Authenticator.everybody) ?? .token(AdministratorToken("nobody has this one"))
            responders[actor] = Responder(
                operations: Operations(store: harness.store, hostName: "here"), telemetry: harness.telemetry,
                authenticator: authenticator, hostNames: nil,
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        }
    }

    func ask(
        _ actor: Actor, _ verb: String, _ kind: Kind, _ rest: String, _ body: JSON.Object = [:]
    ) async throws -> Answer {
        let path = "/v2.0/" + kind.path.joined(separator: "/")
        let change: JSON.Object = kind == .host ? ["tunnel_addresses": ["192.0.2.77"]] : ["name": "changed"]
        let (method, place, text): (HTTPRequest.Method, String, String) =
            switch verb {
            case "list": (.get, path + rest, "")
            case "create": (.post, path, JSON.object([kind.singular: .object(body)]).text)
            case "get": (.get, "\(path)/\(rest)", "")
            case "update": (.put, "\(path)/\(rest)", JSON.object([kind.singular: .object(change)]).text)
            default: (.delete, "\(path)/\(rest)", "")
            }
        let head = HTTPRequest(method: method, scheme: "http", authority: "localhost", path: place, headerFields: [:])
        let request = Request(head: head, body: RequestBody(buffer: ByteBuffer(string: text)))
        let response = await responders[actor]!.respond(to: request)
        let collector = AnswerText()
        try await response.body.write(collector)
        let raw = String(buffer: collector.buffer)
        let plain = raw.replacing(/[0-9a-f]{8}-[0-9a-f-]{27}/, with: "ID")
        return Answer(status: response.status.code, raw: raw, text: plain)
    }

    /// Made by the administrator for `project`.
    func make(_ kind: Kind, _ project: String) async throws -> String {
        var body = try await body(kind, project)
        if kind != .host { body["tenant_id"] = .string(project) }
        let answer = try await ask(.administrator, "create", kind, "", body)
        #expect(answer.status == 201, "\(kind.singular): \(answer.raw)")
        let object = try JSON(parsing: answer.raw.utf8).object?[kind.singular]?.object
        return object?["id"]?.string ?? "none"
    }

    func exists(_ kind: Kind, _ id: String) async throws -> Bool {
        try await ask(.administrator, "get", kind, id).status == 200
    }

    /// What a new object needs, all of it `project`'s.
    func body(_ kind: Kind, _ project: String) async throws -> JSON.Object {
        count += 1
        switch kind.singular {
        case "host": return ["name": .string("host-\(count)"), "tunnel_addresses": ["192.0.2.9"]]
        case "tap_service": return ["name": "", "port_id": .string(try await make(.port, project))]
        case "tap_flow":
            return [
                "source_port": .string(try await make(.port, project)), "direction": "BOTH",
                "tap_service_id": .string(try await make(.tapService, project)),
            ]
        case "tap_mirror":
            return [
                "port_id": .string(try await make(.port, project)), "directions": ["IN": .integer(Int64(count))],
                "remote_ip": "198.51.100.9", "mirror_type": "gre",
            ]
        default: return ["name": .string("\(kind.singular)-\(count)")]
        }
    }

    /// The same with ids that are nobody's.
    static func withoutReferences(_ body: JSON.Object) -> JSON.Object {
        var body = body
        for name in ["port_id", "source_port", "tap_service_id"] where body[name] != nil {
            body[name] = .string(absent)
        }
        if let name = body["name"]?.string, name.hasPrefix("host-") { body["name"] = .string(name + "-b") }
        return body
    }
}

private final class AnswerText: ResponseBodyWriter {
    var buffer = ByteBuffer()
    func write(_ buffer: ByteBuffer) async throws { self.buffer.writeImmutableBuffer(buffer) }
    func finish(_ trailingHeaders: HTTPFields?) async throws {}
}
