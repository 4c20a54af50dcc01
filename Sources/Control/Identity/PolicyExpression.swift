// One rule of the policy, read and decided: the part of oslo.policy's language that rules about taps need.
// Before: the table in Policy.swift, or an operator's file. After: yes or no.
//
//   or := and {"or" and}     and := not {"and" not}     not := "not" not | "(" or ")" | check
//   check := "@" | "!" | "is_admin" [":" true] | KIND ":" VALUE; an empty rule holds, as "@" does

/// A rule as a tree.
indirect enum PolicyExpression: Hashable, Sendable {
    case always
    case never
    case role(Caller.Role)
    case rule(String)
    /// The caller's project is that of the object.
    case ownProject
    case project(String)
    case user(String)
    case administrator
    case and(PolicyExpression, PolicyExpression)
    case or(PolicyExpression, PolicyExpression)
    case not(PolicyExpression)

    /// - Throws: `PolicyError` with the place, counted in characters from 1.
    init(_ text: String) throws(PolicyError) {
        var parser = PolicyParser(text)
        self = try parser.parse()
    }

    /// - Parameter rule: decides another rule by its name.
    func holds(for caller: Caller, project: String, _ rule: (String) -> Bool) -> Bool {
        switch self {
        case .always: true
        case .never: false
        case .role(let role): caller.roles.contains(role)
        case .rule(let name): rule(name)
        case .ownProject: caller.projectID == project
        case .project(let id): caller.projectID == id
        case .user(let id): caller.userID == id
        case .administrator: rule("context_is_admin")
        case .and(let one, let other):
            one.holds(for: caller, project: project, rule) && other.holds(for: caller, project: project, rule)
        case .or(let one, let other):
            one.holds(for: caller, project: project, rule) || other.holds(for: caller, project: project, rule)
        case .not(let one): !one.holds(for: caller, project: project, rule)
        }
    }

    /// The rules that this one refers to.
    var references: [String] {
        switch self {
        case .rule(let name): [name]
        case .administrator: ["context_is_admin"]
        case .and(let one, let other), .or(let one, let other): one.references + other.references
        case .not(let one): one.references
        case .always, .never, .role, .ownProject, .project, .user: []
        }
    }
}

/// Reads a rule from left to right.
private struct PolicyParser {
    private struct Word {
        let text: String
        let place: Int
    }

    /// More would be a rule that nobody can read, and a stack that an operator's file decides about.
    private static let deepest = 32

    private var words: [Word] = []
    private var next = 0
    private var depth = 0
    private let length: Int

    init(_ text: String) {
        length = text.count
        var word = ""
        var place = 0
        var isInVariable = false
        func end(_ words: inout [Word], _ word: inout String) {
            if !word.isEmpty { words.append(Word(text: word, place: place)) }
            word = ""
        }
        for (index, character) in text.enumerated() {
            let isParenthesis = !isInVariable && (character == "(" && !word.hasSuffix("%") || character == ")")
            if character.isWhitespace || isParenthesis {
                end(&words, &word)
                if isParenthesis { words.append(Word(text: String(character), place: index + 1)) }
                continue
            }
            if word.isEmpty { place = index + 1 }
            if character == "(" { isInVariable = true }
            if character == ")" { isInVariable = false }
            word.append(character)
        }
        end(&words, &word)
    }

    mutating func parse() throws(PolicyError) -> PolicyExpression {
        if words.isEmpty { return .always }
        let expression = try alternatives()
        if next < words.count { throw failure("'\(words[next].text)' is not expected there") }
        return expression
    }

    private mutating func alternatives() throws(PolicyError) -> PolicyExpression {
        var expression = try conjunction()
        while take("or") { expression = .or(expression, try conjunction()) }
        return expression
    }

    private mutating func conjunction() throws(PolicyError) -> PolicyExpression {
        var expression = try negation()
        while take("and") { expression = .and(expression, try negation()) }
        return expression
    }

    private mutating func negation() throws(PolicyError) -> PolicyExpression {
        depth += 1
        defer { depth -= 1 }
        if depth > Self.deepest { throw failure("is nested more than \(Self.deepest) deep") }
        if take("not") { return .not(try negation()) }
        if take("(") {
            let expression = try alternatives()
            if !take(")") { throw failure("a ')' is missing") }
            return expression
        }
        return try check()
    }

    private mutating func check() throws(PolicyError) -> PolicyExpression {
        guard next < words.count else { throw failure("ends where a check is expected") }
        let text = words[next].text
        let colon = text.firstIndex(of: ":")
        let kind = colon.map { String(text[..<$0]) } ?? text
        let value = colon.map { String(text[text.index(after: $0)...]) }
        let expression: PolicyExpression? =
            switch (kind, value) {
            case ("@", nil): .always
            case ("!", nil): .never
            case ("is_admin", nil): .administrator
            case ("is_admin", let value?) where ["true", "1"].contains(value.lowercased()): .administrator
            case ("is_admin", let value?) where ["false", "0"].contains(value.lowercased()): .not(.administrator)
            case ("role", let value?) where isName(value): .role(Caller.Role(rawValue: value))
            case ("rule", let value?) where isName(value): .rule(value)
            case ("project_id", "%(project_id)s"), ("project_id", "%(tenant_id)s"), ("tenant_id", "%(tenant_id)s"),
                ("tenant_id", "%(project_id)s"):
                .ownProject
            case ("project_id", let value?) where isName(value), ("tenant_id", let value?) where isName(value):
                .project(value)
            case ("user_id", let value?) where isName(value): .user(value)
            default: nil
            }
        guard let expression else {
            throw failure(
                "'\(text)' is no check; known: role:NAME, rule:NAME, project_id:%(project_id)s, project_id:ID, "
                    + "user_id:ID, is_admin, @, !")
        }
        next += 1
        return expression
    }

    private func isName(_ text: String) -> Bool { !text.isEmpty && !text.contains { "%()'\"".contains($0) } }

    private mutating func take(_ word: String) -> Bool {
        guard next < words.count, words[next].text.lowercased() == word else { return false }
        next += 1
        return true
    }

    private func failure(_ reason: String) -> PolicyError {
        let place = next < words.count ? words[next].place : length + 1
        return PolicyError("is wrong at character \(place): \(reason)")
    }
}
