// Who may do what: one table with upstream's rule names and one function over it.
// Before: a caller and the project that owns the object. After: an operation of the API, or a refusal.

package import ControlModel

/// The table of rules.
package struct Policy: Sendable {
    package enum Rule: Sendable {
        /// `rule:admin_only`
        case administrator
        /// `(rule:admin_only) or (role:member and project_id:%(project_id)s)`
        case administratorOrMember
        /// `(rule:admin_only) or (role:reader and project_id:%(project_id)s)`
        case administratorOrReader
    }

    /// Upstream's defaults (neutron_taas/policies, neutron/conf/policies/port.py), and our own resources.
    package static let rules: [String: Rule] = [
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
        "create_host": .administrator,
        "get_host": .administrator,
        "update_host": .administrator,
        "delete_host": .administrator,
        "get_heliostat_status": .administrator,
        "get_heliostat_statistics": .administrator,
    ]

    /// Whether `caller` may do what `rule` guards to an object of `project`; what is not in the table is not allowed.
    package static func allows(_ rule: String, _ caller: Caller, project: String) -> Bool {
        switch rules[rule] {
        case nil: false
        case .administrator: caller.isAdministrator
        case .administratorOrMember:
            caller.isAdministrator || caller.roles.contains(.member) && caller.projectID == project
        case .administratorOrReader:
            caller.isAdministrator || caller.roles.contains(.reader) && caller.projectID == project
        }
    }

    /// Whether `caller` may read `attribute` of an object of `kind`: rules of attributes narrow the rule of the object.
    package static func shows(_ attribute: String, of kind: Kind, to caller: Caller, project: String) -> Bool {
        let rule = "get_\(kind.singular):\(attribute)"
        return rules[rule] == nil || allows(rule, caller, project: project)
    }
}
