// Users, projects and static tokens of a deployment without Keystone: what the file holds.
// Before: AccountsFile. After: TokenIssuer and Authenticator; `heliostat user` and `heliostat token` change it.

package import ControlModel
import Foundation

/// The contents of the accounts' file.
package struct Accounts: Hashable, Sendable {
    package struct Project: Hashable, Sendable {
        package let id: String
        package let name: String
    }

    package struct User: Hashable, Sendable {
        package let id: String
        package let name: String
        package var password: PasswordHash
        /// Roles by project id.
        package var roles: [String: [String]]
    }

    /// A token that does not expire, for a program.
    package struct StaticToken: Hashable, Sendable {
        package let name: String
        package let hash: TokenHash
        package let projectID: String
        package let roles: [String]
    }

    package var projects: [Project] = []
    package var users: [User] = []
    package var tokens: [StaticToken] = []

    package init() {}

    package func user(id: String) -> User? { users.first { $0.id == id } }
    package func user(name: String) -> User? { users.first { $0.name == name } }
    package func project(id: String) -> Project? { projects.first { $0.id == id } }
    package func project(name: String) -> Project? { projects.first { $0.name == name } }

    /// The projects in which a user has a role, in the order of the file.
    package func projects(of user: User) -> [Project] {
        projects.filter { user.roles[$0.id]?.isEmpty == false }
    }

    /// The project of that name, made where there is none. `admin` is the project of the Unix socket and of the
    /// administrator's token, and has its name as id.
    package mutating func findOrMakeProject(_ name: String) -> Project {
        if let project = project(name: name) { return project }
        let id =
            name == Caller.administrator.projectID
            ? name : UUID().uuidString.lowercased().filter { $0 != "-" }
        let project = Project(id: id, name: name)
        projects.append(project)
        return project
    }

    /// Adds a user, or gives one a further role.
    ///
    /// - Parameter password: nil keeps that of a user who is there.
    /// - Throws: `IdentityError` if a new user has no password.
    package mutating func add(
        user name: String, password: PasswordHash?, project: String, roles: [String]
    ) throws(IdentityError) {
        let project = findOrMakeProject(project)
        guard let index = users.firstIndex(where: { $0.name == name }) else {
            guard let password else { throw IdentityError("a new user needs a password") }
            let id = UUID().uuidString.lowercased().filter { $0 != "-" }
            users.append(User(id: id, name: name, password: password, roles: [project.id: roles]))
            return
        }
        if let password { users[index].password = password }
        let old = users[index].roles[project.id] ?? []
        users[index].roles[project.id] = old + roles.filter { !old.contains($0) }
    }

    package mutating func add(
        token name: String, _ hash: TokenHash, project: String, roles: [String]
    ) throws(IdentityError) {
        if tokens.contains(where: { $0.name == name }) {
            throw IdentityError("there is a token '\(name)' already; delete it, or choose another name")
        }
        tokens.append(StaticToken(name: name, hash: hash, projectID: findOrMakeProject(project).id, roles: roles))
    }
}

extension Accounts {
    /// Reads what `json` wrote.
    ///
    /// - Throws: `JSONError` naming what is missing or wrong.
    package init(_ json: JSON) throws(JSONError) {
        guard let object = json.object else { throw JSONError(description: "not an object") }
        for project in object["projects"]?.array ?? [] {
            let values = project.object ?? [:]
            projects.append(Project(id: try values.text("id"), name: try values.text("name")))
        }
        for user in object["users"]?.array ?? [] {
            let values = user.object ?? [:]
            let name = try values.text("name")
            guard let password = PasswordHash(try values.text("password")) else {
                throw JSONError(
                    description: "the password of user '\(name)' is no scrypt hash; set it with 'heliostat user add'")
            }
            var roles: [String: [String]] = [:]
            for member in values["roles"]?.object?.members ?? [] {
                roles[member.name] = try Self.roles(member.value, of: name)
            }
            users.append(User(id: try values.text("id"), name: name, password: password, roles: roles))
        }
        for token in object["tokens"]?.array ?? [] {
            let values = token.object ?? [:]
            let name = try values.text("name")
            guard let hash = TokenHash(try values.text("hash")) else {
                throw JSONError(
                    description: "token '\(name)' is not hashed; make another with 'heliostat token add'")
            }
            tokens.append(
                StaticToken(
                    name: name, hash: hash, projectID: try values.text("project_id"),
                    roles: try Self.roles(values["roles"] ?? .null, of: name)))
        }
    }

    private static func roles(_ value: JSON, of name: String) throws(JSONError) -> [String] {
        let roles = value.array?.compactMap(\.string)
        guard let roles, roles.count == value.array?.count else {
            throw JSONError(description: "the roles of '\(name)' are not a list of names")
        }
        return roles
    }

    package var json: JSON {
        let projects = projects.map { ["id": .string($0.id), "name": .string($0.name)] as JSON }
        let users = users.map { user in
            var roles = JSON.Object()
            for (project, names) in user.roles.sorted(by: { $0.key < $1.key }) {
                roles.append(project, .array(names.map(JSON.string)))
            }
            return [
                "id": .string(user.id), "name": .string(user.name), "password": .string(user.password.description),
                "roles": .object(roles),
            ] as JSON
        }
        let tokens = tokens.map { token in
            [
                "name": .string(token.name), "hash": .string(token.hash.description),
                "project_id": .string(token.projectID), "roles": .array(token.roles.map(JSON.string)),
            ] as JSON
        }
        return ["projects": .array(projects), "users": .array(users), "tokens": .array(tokens)]
    }
}
