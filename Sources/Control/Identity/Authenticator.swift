// From a request's headers to a caller. Before: the API's responder. After: Caller, or a refusal.

package import ControlModel

/// How the callers of one listener are known.
package enum Authenticator: Sendable {
    /// The Unix socket: file permissions decided already.
    case administrator
    /// Everybody is this caller.
    case everybody(Caller)
    /// TCP: the token, always.
    case token(AdministratorToken)

    /// - Parameter token: the request's `X-Auth-Token`.
    /// - Throws: `Fault.unauthorized`.
    package func authenticate(token: String?) throws(Fault) -> Caller {
        switch self {
        case .administrator: return .administrator
        case .everybody(let caller): return caller
        case .token(let expected):
            guard let token, expected.matches(token) else { throw .unauthorized }
            return .administrator
        }
    }
}

/// The names by which a TCP listener may be addressed: any other `Host` is a web page of somebody else, whose name was
/// pointed at this machine (DNS rebinding).
package struct HostNames: Sendable {
    private let names: Set<String>

    /// - Parameter names: host names and addresses, without port, besides `localhost`, `127.0.0.1` and `::1`.
    package init(_ names: [String]) {
        self.names = Set((names + ["localhost", "127.0.0.1", "::1"]).map { $0.lowercased() })
    }

    /// Whether a `Host` header (`name`, `name:port`, `[::1]:port`) names this server.
    package func accepts(_ header: String?) -> Bool {
        guard let header, let name = Self.name(header) else { return false }
        return names.contains(name.lowercased())
    }

    private static func name(_ header: String) -> String? {
        if header.hasPrefix("[") {
            guard let end = header.firstIndex(of: "]") else { return nil }
            return isPort(header[header.index(after: end)...])
                ? String(header[header.index(after: header.startIndex)..<end]) : nil
        }
        guard let colon = header.firstIndex(of: ":") else { return header }
        return isPort(header[colon...]) ? String(header[..<colon]) : nil
    }

    private static func isPort(_ text: Substring) -> Bool {
        text.isEmpty || text.first == ":" && UInt16(text.dropFirst()) != nil
    }
}
