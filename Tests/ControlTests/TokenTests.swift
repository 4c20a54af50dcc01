// The built-in identity service: accounts on disk, passwords, tokens, and what is refused on a clear line.

import ControlAPI
import ControlIdentity
import ControlModel
import ControlStore
import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Testing

@Suite struct TokenTests {
    /// RFC 7914 section 12: scrypt of "pleaseletmein" with "SodiumChloride", N = 16384, r = 8, p = 1; its first half.
    @Test func scryptIsTheRFCs() throws {
        let key = "cCO9yzr9c0hGHAb081E+aovXP/RBXx5hSiXR48mn2wY="
        let bytes: [UInt8] = [
            0x70, 0x23, 0xbd, 0xcb, 0x3a, 0xfd, 0x73, 0x48, 0x46, 0x1c, 0x06, 0xcd, 0x81, 0xfd, 0x38, 0xeb,
            0xfd, 0xa8, 0xfb, 0xba, 0x90, 0x4f, 0x8e, 0x3e, 0xa9, 0xb5, 0x43, 0xf6, 0x54, 0x5d, 0xa1, 0xf2,
        ]
        let salt = Data("SodiumChloride".utf8).base64EncodedString()
        let hash = PasswordHash("$scrypt$ln=14,r=8,p=1$\(salt)$\(Data(bytes).base64EncodedString())")
        #expect(hash?.matches("pleaseletmein") == true)
        #expect(hash?.matches("pleaseletmeim") == false)
        #expect(PasswordHash("$scrypt$ln=14,r=8,p=1$\(salt)$\(key)")?.matches("pleaseletmein") == false)
    }

    @Test(arguments: [
        "", "plain", "$scrypt$ln=30,r=8,p=1$AAAAAAAAAAAAAAAA$AAAA", "$2b$12$abcdefghijklmnopqrstuv",
        "$scrypt$ln=14,r=8,p=99$U29kaXVtQ2hsb3JpZGU=$AAAA",
    ])
    func refusesOtherHashes(_ text: String) { #expect(PasswordHash(text) == nil) }

    /// As `openstack --os-token -x…` did, one token in 64.
    @Test func noTokenLooksLikeAnOption() {
        #expect((0..<2_000).allSatisfy { _ in !SecretToken().text.hasPrefix("-") })
    }

    @Test func accountsSurviveTheFile() throws {
        let directory = try TemporaryDirectory()
        let file = AccountsFile(directory: directory.path)
        #expect(try file.current() == Accounts())
        let token = SecretToken()
        let password = try PasswordHash(of: "secret")
        try file.update { (accounts) throws(IdentityError) in
            try accounts.add(user: "ada", password: password, project: "demo", roles: ["member"])
            try accounts.add(token: "ci", token.hash, project: "admin", roles: ["admin"])
        }
        let accounts = try file.current()
        #expect(try AccountsFile(directory: directory.path).current() == accounts)
        #expect(accounts.project(name: "admin")?.id == "admin")
        #expect(accounts.project(name: "demo")?.id.count == 32)
        #expect(accounts.tokens[0].hash == TokenHash(of: token.text))
        let text = try String(contentsOfFile: file.path, encoding: .utf8)
        #expect(!text.contains(token.text) && !text.contains("secret"))
        #expect(try FileManager.default.attributesOfItem(atPath: file.path)[.posixPermissions] as? Int == 0o600)
        try FileManager.default.setAttributes([.posixPermissions: 0o604], ofItemAtPath: file.path)
        #expect(throws: IdentityError.self) { try AccountsFile(directory: directory.path).current() }
        let error = #expect(throws: IdentityError.self) {
            try AccountsFile(directory: directory.path).update { (accounts) throws(IdentityError) in
                try accounts.add(user: "new", password: nil, project: "p", roles: [])
            }
        }
        #expect(error?.description.contains("can be read or written by others") == true)
    }

    private struct Fixture {
        let directory: TemporaryDirectory
        let file: AccountsFile
        let issuer: TokenIssuer
        let tokens: SQLiteStore
        let harness: APIHarness

        init() async throws {
            directory = try TemporaryDirectory()
            file = AccountsFile(directory: directory.path)
            let password = try PasswordHash(of: "secret")
            try file.update { (accounts) throws(IdentityError) in
                try accounts.add(user: "ada", password: password, project: "demo", roles: ["member"])
                try accounts.add(user: "ada", password: nil, project: "other", roles: ["reader"])
            }
            tokens = try SQLiteStore(path: directory.path + "/tokens.db")
            issuer = TokenIssuer(accounts: file, tokens: StoredTokens(tokens))
            harness = try await APIHarness(
                authenticator: .tokens(
                    .init(
                        administrator: AdministratorToken("administrator-of-the-test"), policy: .standard,
                        accounts: file, issuer: issuer)))
        }

        func login(
            _ password: String, scope: JSON = ["project": ["name": "demo", "domain": ["id": "default"]]],
            from address: String = "127.0.0.1"
        ) async throws -> Response {
            let user: JSON = ["name": "ada", "password": .string(password), "domain": ["name": "Default"]]
            let body: JSON = [
                "auth": ["identity": ["methods": ["password"], "password": ["user": user]], "scope": scope]
            ]
            let head = HTTPRequest(
                method: .post, scheme: "http", authority: "localhost", path: "/v3/auth/tokens", headerFields: [:])
            let request = Request(head: head, body: RequestBody(buffer: ByteBuffer(string: body.text)))
            return await harness.responder.respond(to: request, from: Peer(address: address))
        }

        func status(_ token: String) async throws -> Int {
            try await harness.send(.get, "/v2.0/ports", headers: [HTTPField.Name("X-Auth-Token")!: token]).status
        }
    }

    private func token(_ response: Response) -> String { response.headers[HTTPField.Name("X-Subject-Token")!] ?? "" }

    @Test func aTokenIsGoodWhileItsUserIs() async throws {
        let fixture = try await Fixture()
        let token = token(try await fixture.login("secret"))
        #expect(token.count == 43)
        #expect(try await fixture.status(token) == 200)
        #expect(try await fixture.status((token.hasPrefix("x") ? "y" : "x") + token.dropFirst()) == 401)
        try fixture.file.update { (accounts) throws(IdentityError) in accounts.users[0].roles = [:] }
        #expect(try await fixture.status(token) == 401)
        #expect(try await fixture.status("administrator-of-the-test") == 200)
    }

    /// Another process on the same store, or the same one started again.
    @Test func aTokenIsGoodAtEveryProcess() async throws {
        let fixture = try await Fixture()
        let text = token(try await fixture.login("secret"))
        let other = TokenIssuer(
            accounts: AccountsFile(directory: fixture.directory.path),
            tokens: StoredTokens(try SQLiteStore(path: fixture.directory.path + "/tokens.db")))
        let identity = try await other.identity(text)
        #expect(
            identity.user.name == "ada" && identity.project?.name == "demo" && identity.token.methods == ["password"])
        let rows = try await fixture.tokens.list(["token"]).rows
        #expect(rows.count == 1 && rows[0].key.id == TokenHash(of: text).description)
        #expect(!String(decoding: rows[0].value, as: UTF8.self).contains(text))
        try await other.revoke(text)
        #expect(try await fixture.status(text) == 401)
        #expect(try await fixture.tokens.list(["token"]).rows.isEmpty)
    }

    @Test func expiredTokensGoAndOneUserHasNoMoreThanSomeMany() async throws {
        let fixture = try await Fixture()
        let tokens = StoredTokens(fixture.tokens)
        let now = Date().timeIntervalSince1970
        func add(_ user: String, _ name: String, issued: Double, expires: Double) async throws {
            try await tokens.add(
                IssuedToken(
                    userID: user, projectID: nil, methods: ["password"], auditIDs: [], issuedAt: issued,
                    expiresAt: expires), TokenHash(of: name))
        }
        try await add("u", "old", issued: now - 7200, expires: now - 3600)
        for index in 0..<StoredTokens.mostOfAUser {
            try await add("u", "\(index)", issued: now + Double(index), expires: now + 3600)
        }
        #expect(try await tokens.find(TokenHash(of: "old")) == nil)
        #expect(try await tokens.find(TokenHash(of: "0")) != nil)
        try await add("other", "x", issued: now, expires: now + 3600)
        #expect(try await tokens.find(TokenHash(of: "0")) != nil)
        try await add("u", "last", issued: now + 999, expires: now + 3600)
        #expect(try await tokens.find(TokenHash(of: "0")) == nil)
        #expect(try await tokens.find(TokenHash(of: "1")) != nil)
    }

    @Test func scopesThatAreNotTheirs() async throws {
        let fixture = try await Fixture()
        for scope: JSON in [
            ["project": ["name": "admin", "domain": ["id": "default"]]], ["system": ["all": true]],
            ["domain": ["id": "default"]], ["project": ["name": "demo", "domain": ["id": "elsewhere"]]],
        ] {
            #expect(try await fixture.login("secret", scope: scope).status.code == 401)
        }
        // Unscoped: for asking which projects there are, and nothing else.
        let token = token(try await fixture.login("secret", scope: "unscoped"))
        #expect(try await fixture.status(token) == 401)
        let field: HTTPFields = [HTTPField.Name("X-Auth-Token")!: token]
        let projects = try await fixture.harness.send(.get, "/identity/v3/auth/projects", headers: field)
        #expect(projects.object["projects"]?.array?.count == 2)
    }

    @Test func noPasswordsInTheClear() async throws {
        let fixture = try await Fixture()
        let remote = try await fixture.login("secret", from: "192.0.2.5")
        #expect(remote.status.code == 403)
        #expect(try await fixture.login("secret", from: "::ffff:127.0.0.1").status.code == 201)
        #expect(try await fixture.login("secret", from: "::1").status.code == 201)
    }

    @Test func bodiesThatAreNoLogins() async throws {
        let fixture = try await Fixture()
        for (body, status) in [
            ("", 400), ("[]", 400), ("{}", 400), (#"{"auth": 5}"#, 400), (#"{"auth": {"identity": {}}}"#, 400),
            (#"{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "ada"}}}}}"#, 400),
            (#"{"auth": {"identity": {"methods": ["totp"]}}}"#, 401),
            (#"{"auth": {"identity": {"methods": ["token"], "token": {"id": "x"}}}}"#, 401),
        ] {
            let answer = try await fixture.harness.send(.post, "/v3/auth/tokens", body)
            #expect(answer.status == status, "\(body)")
            #expect(answer.object["error"]?.object?["code"]?.integer == Int64(status))
        }
    }

    @Test func everybodyIsWhoTheListenerSays() async throws {
        let caller = Caller(projectID: "demo", roles: Caller.Role.admin.implied)
        let api = try await APIHarness(authenticator: .everybody(caller), hostNames: HostNames([]))
        let json: HTTPFields = [.contentType: "application/json"]
        let made = try await api.send(.post, "/v2.0/ports", #"{"port": {}}"#, headers: json)
        #expect(made.object["port"]?.object?["project_id"] == "demo")
        for type in [nil, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
            var headers: HTTPFields = [.contentLength: "12"]
            headers[.contentType] = type
            let answer = try await api.send(.post, "/v2.0/ports", #"{"port": {}}"#, headers: headers)
            #expect(answer.status == 415)
        }
    }
}
