// Where the API is: the Unix socket in the state directory, or an address.

import AsyncHTTPClient
import Foundation

/// One way to reach the API.
package struct APIEndpoint: Hashable, Sendable {
    package enum Location: Hashable, Sendable {
        /// Path of the Unix socket.
        case socket(String)
        /// `http` or `https`, without a trailing `/`.
        case address(String)
    }

    package let location: Location
    /// Sent as `X-Auth-Token`.
    package let token: String?
    /// PEM file of the authorities that an https address is checked against; nil: the machine's.
    package let cacert: String?

    package init(stateDirectory: String, token: String?) {
        let directory = stateDirectory.hasSuffix("/") ? String(stateDirectory.dropLast()) : stateDirectory
        self.location = .socket(directory + "/api.sock")
        self.token = token
        self.cacert = nil
    }

    /// - Parameter url: scheme `http` or `https`, a host, and nothing behind it but `/` or `/v2.0`; nil for the rest.
    package init?(url: String, token: String?, cacert: String? = nil) {
        guard let parts = URLComponents(string: url), ["http", "https"].contains(parts.scheme?.lowercased()),
            parts.host?.isEmpty == false, parts.query == nil, parts.fragment == nil, parts.user == nil,
            ["", "/", "/v2.0", "/v2.0/"].contains(parts.path)
        else { return nil }
        self.location = .address(String(url.dropLast(parts.path.count)))
        self.token = token
        self.cacert = cacert
    }

    /// The full address of a request; nil where the socket's path cannot be written as one.
    package func url(_ pathAndQuery: String) -> String? {
        switch location {
        case .socket(let path): URL(httpURLWithSocketPath: path, uri: pathAndQuery)?.absoluteString
        case .address(let base): base + pathAndQuery
        }
    }

    /// As messages name it.
    package var name: String {
        switch location {
        case .socket(let path): path
        case .address(let base): base
        }
    }
}
