// Who may do what: one table with upstream's rule names and one function over it.
// Before: a caller and the project that owns the object. After: an operation of the API, or a refusal.
// PolicyExpression.swift reads the rules, PolicyFile.swift an operator's own.

package import ControlModel

/// The rules that hold for a caller: the table below, or what an operator's file makes of it.
package struct Policy: Hashable, Sendable {
    /// A rule as oslo.policy writes it.
    package struct Rule: Hashable, Sendable, ExpressibleByStringLiteral {
        package let text: String
        package init(_ text: String) { self.text = text }
        package init(stringLiteral value: String) { text = value }

        package static let administrator: Rule = "rule:admin_only"
        package static let administratorOrMember: Rule =
            "(rule:admin_only) or (role:member and project_id:%(project_id)s)"
        package static let administratorOrReader: Rule =
            "(rule:admin_only) or (role:reader and project_id:%(project_id)s)"
        package static let anybody: Rule = "@"
    }

    /// Upstream's defaults (neutron_taas/policies, neutron/conf/policies, neutron_lib/policy/rules.py), and our own
    /// resources. A rule with an attribute narrows the rule without.
    package static let rules: [String: Rule] = [
        "context_is_admin": "role:admin",
        "admin_only": "rule:context_is_admin",
        "owner": "project_id:%(project_id)s",
        "admin_or_owner": "rule:context_is_admin or rule:owner",

        "create_tap_service": .administratorOrMember,
        "create_tap_service:tunnel_id": .administrator,
        "get_tap_service": .administratorOrMember,
        "update_tap_service": .administratorOrMember,
        "delete_tap_service": .administratorOrMember,
        "create_tap_flow": .administratorOrMember,
        "get_tap_flow": .administratorOrMember,
        "update_tap_flow": .administratorOrMember,
        "delete_tap_flow": .administratorOrMember,
        "create_tap_mirror": .administratorOrMember,
        "get_tap_mirror": .administratorOrReader,
        "update_tap_mirror": .administratorOrMember,
        "delete_tap_mirror": .administratorOrMember,
        "create_network": .administratorOrMember,
        "create_network:shared": .administrator,
        "get_network": .administratorOrReader,
        "update_network": .administratorOrMember,
        "update_network:shared": .administrator,
        "delete_network": .administratorOrMember,
        "create_port": .administratorOrMember,
        "create_port:binding:host_id": .administrator,
        "create_port:binding:profile": .administrator,
        "get_port": .administratorOrReader,
        "get_port:binding:host_id": .administrator,
        "get_port:binding:profile": .administrator,
        "get_port:status_reason": .administrator,
        "update_port": .administratorOrMember,
        "update_port:binding:host_id": .administrator,
        "update_port:binding:profile": .administrator,
        "delete_port": .administratorOrMember,
        "get_quota": .administratorOrReader,
        "update_quota": .administrator,
        "delete_quota": .administrator,
        "create_host": .administrator,
        "get_host": .administrator,
        "update_host": .administrator,
        "delete_host": .administrator,
        "get_heliostat_status": .administrator,
        "get_heliostat_statistics": .administrator,
        "get_heliostat_metrics": .administrator,
    ]

    /// The table as it stands.
    package static let standard: Policy = {
        do throws(PolicyError) { return try Policy(overriding: [:]) } catch { fatalError("the policy table: \(error)") }
    }()

    private let expressions: [String: PolicyExpression]

    /// - Parameter overriding: rules that stand in the place of the table's; further names may be given for other
    ///   rules to refer to.
    /// - Throws: `PolicyError` naming the rule that is wrong, or refers to one that there is not, or to itself.
    package init(overriding: [String: Rule]) throws(PolicyError) {
        var expressions: [String: PolicyExpression] = [:]
        for (name, rule) in Self.rules.merging(overriding, uniquingKeysWith: { $1 }) {
            do throws(PolicyError) { expressions[name] = try PolicyExpression(rule.text) } catch {
                throw error.inRule(name)
            }
        }
        for name in expressions.keys.sorted() { try Self.resolve(name, expressions, path: []) }
        self.expressions = expressions
    }

    private static func resolve(
        _ name: String, _ expressions: [String: PolicyExpression], path: [String]
    ) throws(PolicyError) {
        if path.contains(name) {
            throw PolicyError(
                "refers to itself by \((path + [name]).joined(separator: " -> "))", rule: path.first ?? name)
        }
        for reference in expressions[name]?.references ?? [] {
            if expressions[reference] == nil {
                throw PolicyError("refers to rule '\(reference)', which there is not", rule: name)
            }
            try resolve(reference, expressions, path: path + [name])
        }
    }

    func isAdministrator(_ caller: Caller) -> Bool { allows("context_is_admin", caller, project: "") }

    /// Whether `caller` may do what `rule` guards to an object of `project`; what is not in the table is not allowed.
    package func allows(_ rule: String, _ caller: Caller, project: String) -> Bool {
        expressions[rule]?.holds(for: caller, project: project) { allows($0, caller, project: project) } ?? false
    }

    /// Whether `caller` may do what `rule` guards to an object of `project`, by the rules that hold for the caller.
    package static func allows(_ rule: String, _ caller: Caller, project: String) -> Bool {
        caller.policy.allows(rule, caller, project: project)
    }

    /// Whether `caller` may read `attribute` of an object of `kind`: rules of attributes narrow the rule of the object.
    package static func shows(_ attribute: String, of kind: Kind, to caller: Caller, project: String) -> Bool {
        let rule = "get_\(kind.singular):\(attribute)"
        return caller.policy.expressions[rule] == nil || allows(rule, caller, project: project)
    }

    package static func == (one: Policy, other: Policy) -> Bool { one.expressions == other.expressions }
    package func hash(into hasher: inout Hasher) { hasher.combine(expressions.count) }
}

/// What is wrong with a rule.
package struct PolicyError: Error, Hashable, Sendable, CustomStringConvertible {
    package let reason: String
    package let rule: String?

    init(_ reason: String, rule: String? = nil) {
        self.reason = reason
        self.rule = rule
    }

    func inRule(_ name: String) -> PolicyError { rule == nil ? PolicyError(reason, rule: name) : self }

    package var description: String { rule.map { "rule '\($0)' \(reason)" } ?? reason }
}
