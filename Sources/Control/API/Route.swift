// From a URL's path to what it names. Before: the request line. After: Responder, which asks for the method.

package import ControlModel
import Foundation

/// What a path of the API names.
package enum Route: Hashable, Sendable {
    /// `/`
    case versions
    /// `/v2.0`
    case resources
    /// `/openapi.yaml`
    case openAPI
    case extensions
    case `extension`(String)
    case collection(Kind)
    case member(Kind, String)
    case status
    case statistics
    case quotas(QuotaRoute)
    case observability(ObservabilityRoute)

    /// Parses a path; nil names nothing. A trailing `/` and the suffix `.json` change nothing.
    package init?(path: String) {
        var parts = path.split(separator: "/").map { $0.removingPercentEncoding ?? String($0) }
        if let last = parts.last, last.hasSuffix(".json") { parts[parts.count - 1] = String(last.dropLast(5)) }
        if parts.isEmpty {
            self = .versions
            return
        }
        if parts == ["openapi.yaml"] {
            self = .openAPI
            return
        }
        if let route = ObservabilityRoute(path: path) {
            self = .observability(route)
            return
        }
        if parts.removeFirst() != "v2.0" { return nil }
        switch parts {
        case []: self = .resources
        case ["extensions"]: self = .extensions
        case ["heliostat", "status"]: self = .status
        case ["heliostat", "statistics"]: self = .statistics
        default:
            if parts.count == 2, parts[0] == "extensions" {
                self = .extension(parts[1])
                return
            }
            if parts.first == "quotas" {
                guard let route = QuotaRoute(parts.dropFirst()) else { return nil }
                self = .quotas(route)
                return
            }
            guard let (kind, rest) = Self.kind(parts) else { return nil }
            switch rest.count {
            case 0: self = .collection(kind)
            case 1: self = .member(kind, rest.first!)
            default: return nil
            }
        }
    }

    /// The kind whose path begins the parts, and what follows. As in upstream, `tap-services` is `tap_services`, and
    /// `taas` may be left out.
    private static func kind(_ parts: [String]) -> (Kind, ArraySlice<String>)? {
        let names = parts.map { $0.hasPrefix("tap-") ? $0.replacing("-", with: "_", maxReplacements: 1) : $0 }
        for kind in Kind.allCases {
            for path in [kind.path, kind.path.first == "taas" ? [kind.collection] : kind.path]
            where names.prefix(path.count) == path[...] {
                return (kind, parts.dropFirst(path.count))
            }
        }
        return nil
    }

    /// Methods that the place answers with anything but 405.
    var methods: String {
        switch self {
        case .collection: "GET, POST, PUT, DELETE"
        case .member, .quotas(.project): "GET, PUT, DELETE"
        default: "GET"
        }
    }
}

extension Kind {
    /// The collection's path below `/v2.0`.
    package var path: [String] {
        switch self {
        case .tapService, .tapFlow, .tapMirror: ["taas", collection]
        case .network, .port: [collection]
        case .host: ["heliostat", collection]
        }
    }
}
