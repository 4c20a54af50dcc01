// Who asks. Before: Authenticator. After: Policy, and the project that owns what is made.

/// An authenticated caller: a user, a project, the roles in it, and the rules that hold where they were let in.
package struct Caller: Hashable, Sendable {
    /// Name of a role as Keystone has it, in lower case: rules compare roles without regard to case.
    package struct Role: RawRepresentable, Hashable, Sendable {
        package let rawValue: String
        package init(rawValue: String) { self.rawValue = rawValue.lowercased() }

        package static let admin = Role(rawValue: "admin")
        package static let member = Role(rawValue: "member")
        package static let reader = Role(rawValue: "reader")

        /// This role and those that Keystone's bootstrap lets it imply.
        package var implied: Set<Role> {
            switch self {
            case .admin: [.admin, .member, .reader]
            case .member: [.member, .reader]
            default: [self]
            }
        }
    }

    /// For the audit and for rules on `user_id`; empty where nobody said who it is.
    package var userID: String
    package var userName: String
    /// The project in whose name the caller acts; it owns what the caller makes.
    package var projectID: String
    package var roles: Set<Role>
    package var policy: Policy
    /// Access rules of an application credential; nil: the caller has none and may ask for everything.
    package var accessRules: [AccessRule]?

    package init(
        userID: String = "", userName: String = "", projectID: String, roles: Set<Role>, policy: Policy = .standard,
        accessRules: [AccessRule]? = nil
    ) {
        self.userID = userID
        self.userName = userName
        self.projectID = projectID
        self.roles = roles
        self.policy = policy
        self.accessRules = accessRules
    }

    /// Whether the caller is the administrator by rule `context_is_admin`, who sees all projects.
    package var isAdministrator: Bool { policy.isAdministrator(self) }

    /// Whoever holds the administrator's token, or may write to the Unix socket.
    package static let administrator = Caller(
        userID: "administrator", userName: "administrator", projectID: "admin", roles: Role.admin.implied)
}
