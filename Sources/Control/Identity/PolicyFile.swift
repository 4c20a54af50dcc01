// An operator's own rules: a JSON object, or the lines of a policy.yaml as oslo.policy's tools write them.
// Before: `heliostat serve --policy FILE`. After: Policy.

import ControlModel
import Foundation

extension Policy {
    /// The table with the rules of a file in the place of its own.
    ///
    /// - Throws: `IdentityError` naming the file, the line or the rule, and what is wrong there.
    package init(file path: String) throws(IdentityError) {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw IdentityError("cannot read the policy \(path): \(String(cString: strerror(errno)))")
        }
        let text = String(decoding: data, as: UTF8.self)
        let isJSON = text.first { !$0.isWhitespace } == "{"
        let rules = isJSON ? try Self.json(data, path) : try Self.lines(text, path)
        let names = rules.keys.filter { Self.rules[$0] == nil }.sorted()
        for name in names where Self.verbs.contains(where: { name.hasPrefix($0) }) {
            throw IdentityError(
                "the policy \(path) has a rule '\(name)' that nothing asks for; look for its name in docs/security.md")
        }
        do throws(PolicyError) { try self.init(overriding: rules) } catch {
            throw IdentityError("the policy \(path): \(error)")
        }
    }

    /// Names that begin so guard something; others are for rules to refer to.
    private static let verbs = ["create_", "get_", "update_", "delete_"]

    private static func json(_ data: Data, _ path: String) throws(IdentityError) -> [String: Rule] {
        let object: JSON.Object
        do throws(JSONError) {
            guard let value = try JSON(parsing: data).object else { throw JSONError(description: "not an object") }
            object = value
        } catch { throw IdentityError("the policy \(path) is not a JSON object: \(error)") }
        var rules: [String: Rule] = [:]
        for member in object.members {
            guard let text = member.value.string else {
                throw IdentityError("the policy \(path): rule '\(member.name)' is not text")
            }
            if rules.updateValue(Rule(text), forKey: member.name) != nil {
                throw IdentityError("the policy \(path) has rule '\(member.name)' twice")
            }
        }
        return rules
    }

    /// `"rule": "expression"`, one a line, with or without quotes; `#` begins a comment.
    private static func lines(_ text: String, _ path: String) throws(IdentityError) -> [String: Rule] {
        var rules: [String: Rule] = [:]
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let line = line.trimmingCharacters(in: .whitespaces)
            if line.isEmpty || line.hasPrefix("#") || line == "---" { continue }
            let place = "the policy \(path), line \(index + 1)"
            guard let separator = line.range(of: ": ") ?? line.range(of: ":", options: [.backwards, .anchored]),
                let name = unquoted(line[..<separator.lowerBound]), !name.isEmpty,
                let expression = unquoted(line[separator.upperBound...])
            else { throw IdentityError("\(place): write \"rule\": \"expression\"") }
            if rules.updateValue(Rule(expression), forKey: name) != nil {
                throw IdentityError("\(place): rule '\(name)' is there twice")
            }
        }
        return rules
    }

    /// Without the quotes around it; nil where one of them is missing.
    private static func unquoted(_ text: Substring) -> String? {
        let text = text.trimmingCharacters(in: .whitespaces)
        guard let quote = text.first, quote == "\"" || quote == "'" else { return text }
        guard text.count >= 2, text.last == quote else { return nil }
        let inner = String(text.dropFirst().dropLast())
        return inner.contains(quote) ? nil : inner
    }
}
