// Who asks. Before: Authenticator. After: Policy, and the project that owns what is made.

/// An authenticated caller: a project, and the roles in it.
package struct Caller: Hashable, Sendable {
    package enum Role: String, Hashable, Sendable { case admin, member, reader }

    /// The project in whose name the caller acts; it owns what the caller makes.
    package var projectID: String
    package var roles: Set<Role>

    package init(projectID: String, roles: Set<Role>) {
        self.projectID = projectID
        self.roles = roles
    }

    package var isAdministrator: Bool { roles.contains(.admin) }

    /// Whoever holds the administrator's token, or may write to the Unix socket.
    package static let administrator = Caller(projectID: "admin", roles: [.admin, .member, .reader])
}
