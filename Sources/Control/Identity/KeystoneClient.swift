// The two calls to Keystone (Identity API v3): a token for the service user, and what a client's token stands for.
// Before: Keystone. After: Keystone's HTTP server.

import AsyncHTTPClient
import ControlModel
import Foundation
import NIOCore
import NIOHTTP1
import NIOSSL

/// A connection to Keystone.
struct KeystoneClient: Sendable {
    private let settings: Keystone.Settings
    private let http: HTTPClient

    init(_ settings: Keystone.Settings) throws(IdentityError) {
        self.settings = settings
        _ = try Self.password(settings.passwordFile)
        var configuration = HTTPClient.Configuration()
        configuration.timeout.connect = .seconds(3)
        configuration.redirectConfiguration = .disallow
        configuration.connectionPool.retryConnectionEstablishment = false
        if let file = settings.certificateAuthority {
            var tls = TLSConfiguration.makeClientConfiguration()
            do {
                tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(file))
            } catch { throw IdentityError("the authorities \(file) cannot be used: \(error)") }
            configuration.tlsConfiguration = tls
        }
        http = HTTPClient(configuration: configuration)
    }

    func shutdown() async { try? await http.shutdown() }

    /// Logs in as the service user. The password is read each time, so that it may be changed while we run.
    func serviceToken() async throws -> String {
        let domain: JSON = ["name": .string(settings.domain)]
        let user: JSON = [
            "name": .string(settings.user), "domain": domain,
            "password": .string(try Self.password(settings.passwordFile)),
        ]
        let body: JSON = [
            "auth": [
                "identity": ["methods": ["password"], "password": ["user": user]],
                "scope": ["project": ["name": .string(settings.project), "domain": domain]],
            ]
        ]
        var request = HTTPClientRequest(url: settings.url + "/v3/auth/tokens")
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/json")
        request.body = .bytes(ByteBuffer(string: body.text))
        let response = try await http.execute(request, timeout: .seconds(10))
        _ = try await response.body.collect(upTo: 1 << 20)
        guard response.status == .created, let token = response.headers.first(name: "X-Subject-Token") else {
            throw IdentityError(
                "it answered \(response.status.code) to the login of user '\(settings.user)' for project "
                    + "'\(settings.project)'")
        }
        return token
    }

    func validate(_ token: String, service: String) async throws -> (status: Int, body: JSON) {
        var request = HTTPClientRequest(url: settings.url + "/v3/auth/tokens")
        request.headers.add(name: "X-Auth-Token", value: service)
        request.headers.add(name: "X-Subject-Token", value: token)
        request.headers.add(name: "OpenStack-Identity-Access-Rules", value: "1")
        request.headers.add(name: "Accept", value: "application/json")
        let response = try await http.execute(request, timeout: .seconds(10))
        let data = try await response.body.collect(upTo: 1 << 22)
        return (Int(response.status.code), (try? JSON(parsing: Data(data.readableBytesView))) ?? .null)
    }

    /// The first line of a file that nobody but its owner reads.
    private static func password(_ path: String) throws(IdentityError) -> String {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        if file < 0 { throw IdentityError("cannot read the password \(path): \(String(cString: strerror(errno)))") }
        defer { close(file) }
        guard let ownership = FileOwnership(descriptor: file), ownership.kind == .regular,
            ownership.mode & 0o007 == 0
        else {
            throw IdentityError("the password \(path) must be a regular file that others cannot read; chmod 640 it")
        }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = read(file, &buffer, buffer.count)
        let line = buffer.prefix(max(count, 0)).prefix { $0 != 0x0A && $0 != 0x0D }
        if line.isEmpty { throw IdentityError("the password \(path) is empty") }
        return String(decoding: line, as: UTF8.self)
    }
}
