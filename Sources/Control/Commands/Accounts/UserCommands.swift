// `heliostat user`: who may log in at the built-in identity service. Before: the command line. After: the accounts' file
// of the state directory, which a running `heliostat serve` reads anew by itself.

public import ArgumentParser
import ControlIdentity
import ControlModel
import Foundation

/// `heliostat user`
public struct UserCommand: AsyncParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "user", abstract: "Users who log in with a password, as at an OpenStack Keystone.",
        subcommands: [AddUserCommand.self, ListUsersCommand.self, DeleteUserCommand.self])

    public init() {}
}

/// `heliostat user add`
struct AddUserCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Add a user, or give one another password or a further role.")

    @OptionGroup var location: StateDirectoryOption
    @Argument(help: "The user's name.") var name: String
    @Option(help: ArgumentHelp("The project in which the role is; made where there is none.", valueName: "name"))
    var project: String
    @Option(help: ArgumentHelp("reader, member or admin; each has what those before it have.", valueName: "role"))
    var role: [String] = ["member"]
    @Flag(help: "Keep the password of a user who is there.") var keepPassword = false
    @Flag(help: "Read the password from standard input; without it, a terminal is asked.")
    var passwordStdin = false

    func run() async throws {
        try AccountNames.check(name, project, role)
        var password: PasswordHash?
        if !keepPassword { password = try PasswordHash(of: try PasswordInput.read(passwordStdin, for: name)) }
        try AccountsFile(directory: location.path).update { [name, project, role] (accounts) throws(IdentityError) in
            try accounts.add(user: name, password: password, project: project, roles: role)
        }
        Output.remark("user '\(name)' has role \(role.joined(separator: ", ")) in project '\(project)'")
    }
}

/// `heliostat user list`
struct ListUsersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List users, projects and roles.")

    @OptionGroup var globals: GlobalOptions

    func run() async throws {
        let accounts = try AccountsFile(directory: globals.location.path).current()
        var table = Table(["NAME", "ID", "PROJECT", "PROJECT ID", "ROLES"])
        var list: [JSON] = []
        for user in accounts.users {
            for project in accounts.projects(of: user) {
                let roles = user.roles[project.id] ?? []
                table.add([user.name, user.id, project.name, project.id, roles.joined(separator: ", ")])
                list.append([
                    "name": .string(user.name), "id": .string(user.id), "project": .string(project.name),
                    "project_id": .string(project.id), "roles": .array(roles.map(JSON.string)),
                ])
            }
        }
        globals.output.write(globals.output.json ? JSON.array(list).prettyText + "\n" : table.text)
    }
}

/// `heliostat user delete`
struct DeleteUserCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Delete users; their tokens are worthless at once.")

    @OptionGroup var location: StateDirectoryOption
    @Argument(help: "Names of users.") var names: [String]

    func run() async throws {
        try AccountsFile(directory: location.path).update { [names] (accounts) throws(IdentityError) in
            for name in names {
                guard let index = accounts.users.firstIndex(where: { $0.name == name }) else {
                    throw IdentityError("no user '\(name)'; 'heliostat user list' shows them")
                }
                accounts.users.remove(at: index)
            }
        }
    }
}
