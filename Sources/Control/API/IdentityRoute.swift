// From a URL's path to what of Keystone's API it names: below `/identity/v3` as the OpenStack CLI is told, and below
// `/v3` for clients that know only a host. Before: the request line. After: IdentityService.

import ControlModel

/// What a path of the identity API names.
enum IdentityRoute: Hashable, Sendable {
    /// `/identity`
    case versions
    /// `/v3`
    case version
    case tokens
    case catalog
    /// The caller's own projects.
    case ownProjects
    case projects
    case project(String)

    /// Nil: another API's, or nobody's.
    init?(path: String) {
        var parts = path.split(separator: "/").map(String.init)
        if parts.first == "identity" {
            parts.removeFirst()
            if parts.isEmpty {
                self = .versions
                return
            }
        }
        guard parts.first == "v3" else { return nil }
        switch Array(parts.dropFirst()) {
        case []: self = .version
        case ["auth", "tokens"]: self = .tokens
        case ["auth", "catalog"]: self = .catalog
        case ["auth", "projects"]: self = .ownProjects
        case ["projects"]: self = .projects
        case let rest where rest.count == 2 && rest[0] == "projects": self = .project(rest[1])
        default: return nil
        }
    }
}
