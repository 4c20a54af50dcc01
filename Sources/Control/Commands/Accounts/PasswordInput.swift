// Where a password comes from: the terminal without echo, or standard input; never the command line, which everybody on
// the machine can read. Before: `heliostat user add`. After: PasswordHash.

import ControlIdentity
import Foundation

enum PasswordInput {
    private static let longest = 4096

    /// - Throws: `CommandError` for one that is empty, too long, or not the same twice.
    static func read(_ isStandardInput: Bool, for name: String) throws(CommandError) -> String {
        if isStandardInput || isatty(STDIN_FILENO) == 0 {
            guard let line = readLine(), !line.isEmpty, line.utf8.count <= longest else {
                throw CommandError("no password on standard input", remedy: "write one line of 1 to \(longest) bytes")
            }
            return line
        }
        let password = ask("Password of \(name): ")
        if password.isEmpty { throw CommandError("the password is empty") }
        if password != ask("Again: ") { throw CommandError("the two passwords are not the same") }
        return password
    }

    private static func ask(_ prompt: String) -> String {
        FileHandle.standardError.write(Data(prompt.utf8))
        var settings = termios()
        tcgetattr(STDIN_FILENO, &settings)
        var silent = settings
        silent.c_lflag &= ~tcflag_t(ECHO)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent)
        defer {
            tcsetattr(STDIN_FILENO, TCSAFLUSH, &settings)
            FileHandle.standardError.write(Data("\n".utf8))
        }
        return readLine() ?? ""
    }
}

enum AccountNames {
    private static let roles = ["reader", "member", "admin"]

    /// - Throws: `CommandError` for a name that nobody could type at a client, and for roles that no rule knows.
    static func check(_ name: String, _ project: String, _ roles: [String]) throws(CommandError) {
        for text in [name, project] where text.isEmpty || text.utf8.count > 255 || text.contains(where: \.isNewline) {
            throw CommandError("a name has 1 to 255 bytes on one line")
        }
        for role in roles where !role.allSatisfy({ $0.isLetter || $0.isNumber || "_-".contains($0) }) || role.isEmpty {
            throw CommandError(
                "'\(role)' is no role", remedy: "use \(Self.roles.joined(separator: ", ")), or one of your policy")
        }
    }
}
