// What an application credential is restricted to, as keystonemiddleware reads it.
// Before: a token that Keystone validated. After: Authenticator.

import ControlModel

/// One request that is allowed: of a service, by method and path.
package struct AccessRule: Hashable, Sendable {
    let service: String
    let method: String
    let path: String

    package init(service: String, method: String, path: String) {
        self.service = service
        self.method = method
        self.path = path
    }

    /// An element of `application_credential.access_rules`; nil where something is missing.
    init?(_ rule: JSON) {
        guard let rule = rule.object, let service = rule["service"]?.string, let method = rule["method"]?.string,
            let path = rule["path"]?.string
        else { return nil }
        self.init(service: service, method: method, path: path)
    }

    /// Whether a request to the service `network` is the one that is meant.
    package func allows(method: String, path: String) -> Bool {
        service == "network" && self.method == method && Self.matches(path[...], self.path[...])
    }

    /// `*` and `{name}` are one or more characters without `/`, `**` any characters; the rest is literal.
    private static func matches(_ path: Substring, _ pattern: Substring) -> Bool {
        guard let first = pattern.first else { return path.isEmpty }
        if pattern.hasPrefix("**") {
            let rest = pattern.dropFirst(2)
            return path.indices.contains { matches(path[$0...], rest) } || matches("", rest)
        }
        if first == "*" || first == "{" {
            let rest =
                first == "*"
                ? pattern.dropFirst()
                : pattern[(pattern.firstIndex(of: "}").map(pattern.index(after:)) ?? pattern.endIndex)...]
            var index = path.startIndex
            while index < path.endIndex, path[index] != "/" {
                index = path.index(after: index)
                if matches(path[index...], rest) { return true }
            }
            return false
        }
        return path.first == first && matches(path.dropFirst(), pattern.dropFirst())
    }
}
