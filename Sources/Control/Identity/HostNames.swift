// The names by which a TCP listener may be addressed. Before: a request's Host header. After: Authenticator.

/// The names of this server: any other `Host` is a web page of somebody else, whose name was pointed at this machine
/// (DNS rebinding).
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
