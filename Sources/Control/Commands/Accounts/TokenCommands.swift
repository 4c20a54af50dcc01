// `heliostat token`: tokens that do not expire, for programs. Before: the command line. After: the accounts' file, which
// keeps a hash of each.

public import ArgumentParser
import ControlIdentity
import ControlModel
import Foundation

/// `heliostat token`
public struct TokenCommand: AsyncParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "token", abstract: "Tokens without expiry, for programs.",
        subcommands: [AddTokenCommand.self, ListTokensCommand.self, DeleteTokenCommand.self])

    public init() {}
}

/// `heliostat token add`
struct AddTokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Make a token and print it, this once: only its hash is kept.")

    @OptionGroup var location: StateDirectoryOption
    @Argument(help: "What the token is for; its name in the audit.") var name: String
    @Option(help: ArgumentHelp("The project in which the role is; made where there is none.", valueName: "name"))
    var project: String
    @Option(help: ArgumentHelp("reader, member or admin; each has what those before it have.", valueName: "role"))
    var role: [String] = ["member"]

    func run() async throws {
        try AccountNames.check(name, project, role)
        let token = SecretToken()
        try AccountsFile(directory: location.path).update { [name, project, role] (accounts) throws(IdentityError) in
            try accounts.add(token: name, token.hash, project: project, roles: role)
        }
        FileHandle.standardOutput.write(Data((token.text + "\n").utf8))
    }
}

/// `heliostat token list`
struct ListTokensCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List tokens by name.")

    @OptionGroup var globals: GlobalOptions

    func run() async throws {
        let accounts = try AccountsFile(directory: globals.location.path).current()
        var table = Table(["NAME", "PROJECT", "PROJECT ID", "ROLES"])
        var list: [JSON] = []
        for token in accounts.tokens {
            let project = accounts.project(id: token.projectID)?.name ?? ""
            table.add([token.name, project, token.projectID, token.roles.joined(separator: ", ")])
            list.append([
                "name": .string(token.name), "project": .string(project), "project_id": .string(token.projectID),
                "roles": .array(token.roles.map(JSON.string)),
            ])
        }
        globals.output.write(globals.output.json ? JSON.array(list).prettyText + "\n" : table.text)
    }
}

/// `heliostat token delete`
struct DeleteTokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Delete tokens; they are worthless at once.")

    @OptionGroup var location: StateDirectoryOption
    @Argument(help: "Names of tokens.") var names: [String]

    func run() async throws {
        try AccountsFile(directory: location.path).update { [names] (accounts) throws(IdentityError) in
            for name in names {
                guard let index = accounts.tokens.firstIndex(where: { $0.name == name }) else {
                    throw IdentityError("no token '\(name)'; 'heliostat token list' shows them")
                }
                accounts.tokens.remove(at: index)
            }
        }
    }
}
