// From a URL's path to what it names. Before: the request line. After: Responder, which asks for the method.

package import ControlModel
import Foundation

/// What a path of the API names.
package enum Route: Hashable, Sendable {
    /// `/`
    case versions
    /// `/v2.0`
    case resources
    case extensions
    case `extension`(String)
    case collection(Kind)
    case member(Kind, String)
    case status
    case statistics

    /// Parses a path; nil names nothing. A trailing `/` and the suffix `.json` change nothing.
    package init?(path: String) {
        var parts = path.split(separator: "/").map { $0.removingPercentEncoding ?? String($0) }
        if let last = parts.last, last.hasSuffix(".json") { parts[parts.count - 1] = String(last.dropLast(5)) }
        if parts.isEmpty {
            self = .versions
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
            for kind in Kind.allCases where parts.starts(with: kind.path) {
                let rest = parts.dropFirst(kind.path.count)
                switch rest.count {
                case 0: self = .collection(kind)
                case 1: self = .member(kind, rest.first!)
                default: return nil
                }
                return
            }
            return nil
        }
    }
}

extension Kind {
    /// The collection's path below `/v2.0`.
    package var path: [String] {
        switch self {
        case .tapService, .tapFlow: ["taas", collection]
        case .port: [collection]
        case .host: ["heliostat", collection]
        }
    }
}
