// One request to the API and its answer. Before it: a command. After it: the control process's HTTP server.
// Whatever goes wrong on the way becomes one sentence.

import AsyncHTTPClient
package import ControlModel
import Foundation
import NIOCore
import NIOHTTP1
import NIOSSL

/// A connection to the API.
package struct APIClient: Sendable {
    package let endpoint: APIEndpoint
    private let http: HTTPClient

    /// Runs `work` with a client that is shut down afterwards.
    package static func with<Result>(
        _ endpoint: APIEndpoint, _ work: (APIClient) async throws -> Result
    ) async throws -> Result {
        var configuration = HTTPClient.Configuration()
        configuration.timeout.connect = .seconds(5)
        configuration.redirectConfiguration = .disallow
        // Without this a refused connection is tried again until the connect timeout.
        configuration.connectionPool.retryConnectionEstablishment = false
        if let cacert = endpoint.cacert {
            var tls = TLSConfiguration.makeClientConfiguration()
            do {
                tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(cacert))
            } catch {
                throw CommandError("'\(cacert)' is no PEM file of certificates", remedy: "give another with --cacert")
            }
            configuration.tlsConfiguration = tls
        }
        return try await HTTPClient.withHTTPClient(configuration: configuration) { http in
            try await work(APIClient(endpoint: endpoint, http: http))
        }
    }

    package func get(_ path: String, query: [(String, String)] = []) async throws(CommandError) -> JSON {
        try await send(.GET, path, query: query, body: nil)
    }

    package func post(_ path: String, _ body: JSON) async throws(CommandError) -> JSON {
        try await send(.POST, path, body: body)
    }

    package func put(_ path: String, _ body: JSON) async throws(CommandError) -> JSON {
        try await send(.PUT, path, body: body)
    }

    package func delete(_ path: String) async throws(CommandError) {
        _ = try await send(.DELETE, path, body: nil)
    }

    /// - Returns: the answer's JSON, null for an empty one.
    private func send(
        _ method: HTTPMethod, _ path: String, query: [(String, String)] = [], body: JSON?
    ) async throws(CommandError) -> JSON {
        guard let url = endpoint.url(path + Self.encode(query)) else {
            throw CommandError(
                "'\(endpoint.name)' cannot be used as the path of a socket; say another with --state-dir")
        }
        var request = HTTPClientRequest(url: url)
        request.method = method
        if case .socket = endpoint.location { request.headers.add(name: "Host", value: "localhost") }
        request.headers.add(name: "Accept", value: "application/json")
        if let token = endpoint.token { request.headers.add(name: "X-Auth-Token", value: token) }
        if let body {
            request.headers.add(name: "Content-Type", value: "application/json")
            request.body = .bytes(ByteBuffer(string: body.text))
        }
        let status: Int
        let data: Data
        do {
            let response = try await http.execute(request, timeout: .seconds(30))
            status = Int(response.status.code)
            data = Data(try await response.body.collect(upTo: 1 << 26).readableBytesView)
        } catch {
            throw unreachable(error)
        }
        return try interpret(status, data)
    }

    private func interpret(_ status: Int, _ data: Data) throws(CommandError) -> JSON {
        let value = data.isEmpty ? JSON.null : try? JSON(parsing: data)
        if (200..<300).contains(status), let value { return value }
        if status == 401 {
            throw CommandError(
                "the API at \(endpoint.name) wants a valid token",
                remedy: "give it with --token or HELIOSTAT_TOKEN (the administrator's is in the state directory of "
                    + "'heliostat serve', file 'token')",
                status: status)
        }
        guard let message = value.flatMap(Self.fault) else {
            throw CommandError(
                "\(endpoint.name) answered \(status) and no JSON: is this Heliostat's API?", status: status)
        }
        throw CommandError(message, status: status)
    }

    /// The message of a fault body: an object with one member, `NeutronError` or another, that has the message.
    private static func fault(_ body: JSON) -> String? {
        guard let fault = body.members.first?.value else { return nil }
        guard let message = fault["message"].string ?? fault.string else { return nil }
        let detail = fault["detail"].string ?? ""
        return detail.isEmpty ? message : "\(message) (\(detail))"
    }

    private func unreachable(_ error: any Error) -> CommandError {
        let start = "start it with 'heliostat serve', or say where it is with --state-dir or --api"
        switch (endpoint.location, (error as? IOError)?.errnoCode) {
        case (.socket(let path), EACCES), (.socket(let path), EPERM):
            return CommandError(
                "you may not use \(path)", remedy: "run this as root or as a member of group 'heliostat'")
        case (.socket(let path), ENOENT):
            return CommandError("no API at \(path) (no such socket)", remedy: start)
        case (.socket(let path), ECONNREFUSED):
            return CommandError("no API at \(path) (nobody listens there)", remedy: start)
        default:
            if let error = error as? HTTPClientError, error == .deadlineExceeded || error == .readTimeout {
                return CommandError(
                    "the API at \(endpoint.name) did not answer within 30 seconds",
                    remedy: "see the log of 'heliostat serve'")
            }
            return CommandError("no API at \(endpoint.name) (\(Self.reason(error)))", remedy: start)
        }
    }

    private static func reason(_ error: any Error) -> String {
        switch error {
        case let error as IOError: String(cString: strerror(error.errnoCode))
        case let error as HTTPClientError: error.shortDescription
        default: "\(error)"
        }
    }

    private static func encode(_ query: [(String, String)]) -> String {
        let allowed = CharacterSet(charactersIn: "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")
        let pairs = query.map { "\($0)=\($1.addingPercentEncoding(withAllowedCharacters: allowed) ?? "")" }
        return pairs.isEmpty ? "" : "?" + pairs.joined(separator: "&")
    }
}
