// Rules as oslo.policy writes them, and the table that has them.

import ControlIdentity
import ControlModel
import Foundation
import Testing

@Suite struct PolicyTests {
    private static let member = Caller(userID: "u1", projectID: "demo", roles: [.member, .reader])

    @Test(arguments: [
        ("@", true), ("", true), ("!", false), ("role:member", true), ("role:Member", true), ("role:admin", false),
        ("project_id:%(project_id)s", true), ("tenant_id:%(tenant_id)s", true), ("project_id:demo", true),
        ("project_id:other", false), ("user_id:u1", true), ("is_admin", false), ("is_admin:True", false),
        ("is_admin:False", true), ("not role:admin", true), ("role:admin or role:member", true),
        ("role:admin and role:member", false), ("role:admin or role:member and role:nobody", false),
        ("(role:admin or role:member) and role:reader", true), ("not (role:admin or !)", true),
        ("rule:owner and not rule:admin_only", true), ("role:admin OR role:reader", true),
    ])
    func decides(_ text: String, _ expected: Bool) throws {
        let policy = try Policy(overriding: ["create_port": Policy.Rule(text)])
        #expect(policy.allows("create_port", Self.member, project: "demo") == expected)
    }

    @Test(arguments: [
        ("role:", "character 1"), ("role:a or", "character 10"), ("(role:a", "a ')' is missing"),
        ("role:a role:b", "character 8"), ("rule:", "is no check"), ("role:a) or role:b", "character 7"),
        ("http://decider", "is no check"), ("'x':%(name)s", "is no check"), ("project_id:%(id)s", "is no check"),
        ("rule:no_such", "'no_such', which there is not"), ("rule:create_port", "refers to itself"),
        (String(repeating: "(", count: 200) + "@", "nested more than 32 deep"),
    ])
    func refuses(_ text: String, _ reason: String) {
        let error = #expect(throws: PolicyError.self) { try Policy(overriding: ["create_port": Policy.Rule(text)]) }
        #expect(error?.description.contains("rule 'create_port'") == true)
        #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
    }

    @Test func readsFiles() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/policy"
        for text in [
            #"{"create_port": "role:tapper", "tapper": "@"}"#, "\"create_port\": \"role:tapper\"\n",
            "---\n# none\n'create_port': 'role:tapper'", "create_port: role:tapper\r\n",
        ] {
            try Data(text.utf8).write(to: URL(filePath: path))
            let policy = try Policy(file: path)
            let tapper = Caller(projectID: "demo", roles: [.init(rawValue: "Tapper")], policy: policy)
            #expect(Policy.allows("create_port", tapper, project: "demo"), "\(text)")
            #expect(!Policy.allows("create_tap_flow", tapper, project: "demo"))
        }
    }

    /// `context_is_admin` says who sees all projects.
    @Test func anotherAdministrator() throws {
        let policy = try Policy(overriding: ["context_is_admin": "role:tap_admin"])
        let admin = Caller(projectID: "p", roles: [.admin], policy: policy)
        let tapAdmin = Caller(projectID: "p", roles: [.init(rawValue: "tap_admin")], policy: policy)
        #expect(!admin.isAdministrator)
        #expect(tapAdmin.isAdministrator)
        #expect(Policy.allows("create_host", tapAdmin, project: ""))
    }

    @Test(arguments: [
        ("GET", "/v2.0/ports", "/v2.0/ports", true), ("POST", "/v2.0/ports", "/v2.0/ports", false),
        ("GET", "/v2.0/ports/1", "/v2.0/ports/*", true), ("GET", "/v2.0/ports/1/2", "/v2.0/ports/*", false),
        ("GET", "/v2.0/ports/", "/v2.0/ports/*", false), ("GET", "/v2.0/taas/tap_flows/1", "/v2.0/**", true),
        ("GET", "/v2.0/taas/tap_flows/1", "/v2.0/taas/{kind}/{id}", true), ("GET", "/v2x0/ports", "/v2.0/ports", false),
        ("GET", "/v2.0/portsx", "/v2.0/ports", false), ("GET", "/v2.0/a-b", "/v2.0/a*b", true),
    ])
    func accessRules(_ method: String, _ path: String, _ pattern: String, _ expected: Bool) {
        let rule = AccessRule(service: "network", method: "GET", path: pattern)
        #expect(rule.allows(method: method, path: path) == expected)
        #expect(!AccessRule(service: "compute", method: "GET", path: pattern).allows(method: method, path: path))
    }
}
