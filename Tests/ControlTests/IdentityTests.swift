// Who is let in, under which name, and to what.

import ControlIdentity
import ControlModel
import Foundation
import Testing

@Suite struct IdentityTests {
    @Test func firstStartWritesAToken() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/token"
        let token = try AdministratorToken(file: path)
        let text = try String(contentsOfFile: path, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
        #expect(text.count == 43)
        #expect(text.wholeMatch(of: /[A-Za-z0-9_-]{43}/) != nil)
        #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o600)
        #expect(token.matches(text))
        #expect(try AdministratorToken(file: path).matches(text))
        let otherFirst = text.first == "x" ? "y" : "x"
        for wrong in ["", String(text.dropLast()), text + "x", otherFirst + text.dropFirst(), "\u{fc}"] {
            #expect(!token.matches(wrong))
        }
    }

    @Test func refusesATokenThatOthersCanRead() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/token"
        _ = try AdministratorToken(file: path)
        try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: path)
        #expect(throws: IdentityError.self) { try AdministratorToken(file: path) }
    }

    @Test(.timeLimit(.minutes(1))) func refusesATokenThatIsNoFile() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/token"
        mkfifo(path, 0o600)
        let error = #expect(throws: IdentityError.self) { try AdministratorToken(file: path) }
        #expect(error?.description.contains("is not a regular file") == true)
    }

    @Test func refusesAnEmptyToken() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/token"
        try Data("\n".utf8).write(to: URL(filePath: path))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        #expect(throws: IdentityError.self) { try AdministratorToken(file: path) }
    }

    @Test func tcpNeedsTheToken() async throws {
        let authenticator = Authenticator.token(AdministratorToken("secret-of-the-test"))
        await #expect(throws: Fault.unauthorized) { try await authenticator.authenticate(token: nil) }
        await #expect(throws: Fault.unauthorized) { try await authenticator.authenticate(token: "notused") }
        #expect(try await authenticator.authenticate(token: "secret-of-the-test") == .administrator)
        #expect(try await Authenticator.administrator.authenticate(token: nil) == .administrator)
    }

    @Test(arguments: [
        ("localhost", true), ("LOCALHOST:9696", true), ("127.0.0.1", true), ("127.0.0.1:9696", true),
        ("[::1]:9696", true),
        ("[::1]", true), ("192.0.2.7:1", true), ("mirror.example", true), ("evil.example", false),
        ("localhost.evil.example", false), ("localhost:x", false), ("localhost:99999", false), ("[::1", false),
        ("", false),
        ("127.0.0.1:9696:1", false), ("[::2]:9696", false),
    ])
    func knowsItsNames(_ header: String, _ expected: Bool) {
        #expect(HostNames(["192.0.2.7", "Mirror.example"]).accepts(header) == expected)
    }

    @Test func policyIsUpstreams() {
        let member = Caller(projectID: "demo", roles: [.member, .reader])
        let reader = Caller(projectID: "demo", roles: [.reader])
        for verb in ["create", "get", "update", "delete"] {
            for kind in ["tap_service", "tap_flow"] {
                let rule = "\(verb)_\(kind)"
                #expect(Policy.allows(rule, .administrator, project: "demo"))
                #expect(Policy.allows(rule, member, project: "demo"))
                #expect(!Policy.allows(rule, member, project: "alt"))
                #expect(!Policy.allows(rule, reader, project: "demo"))
            }
            #expect(!Policy.allows("\(verb)_host", member, project: "demo"))
            #expect(!Policy.allows("\(verb)_host", member, project: ""))
        }
        #expect(Policy.allows("get_port", reader, project: "demo"))
        #expect(!Policy.allows("update_port", reader, project: "demo"))
        #expect(!Policy.allows("create_port:binding:profile", member, project: "demo"))
        #expect(!Policy.allows("no_such_rule", .administrator, project: ""))
    }

    @Test func everyOperationHasARule() {
        for kind in Kind.allCases {
            for verb in ["create", "get", "update", "delete"] {
                #expect(Policy.rules["\(verb)_\(kind.singular)"] != nil)
            }
        }
        let tables: [(Kind, AttributeTable)] = [
            (.tapService, TapService.table), (.tapFlow, TapFlow.table), (.tapMirror, TapMirror.table),
            (.network, Network.table), (.port, Port.table), (.host, Host.table),
        ]
        for (kind, table) in tables {
            for attribute in table.attributes {
                let writes = attribute.isAdministratorsToWrite
                #expect((Policy.rules["create_\(kind.singular):\(attribute.name)"] != nil) == writes)
                #expect(
                    (Policy.rules["get_\(kind.singular):\(attribute.name)"] != nil) == attribute.isAdministratorsToRead)
            }
        }
    }
}
