// The attributes of a resource as a table: what a client may send, what it means when left out, what it sees.
// Before: a request body. After: a complete, valid object of attributes from which a resource is made.

/// One attribute of a resource.
package struct Attribute: Sendable {
    /// What a POST that leaves the attribute out gets.
    package enum Presence: Sendable {
        case required
        case optional(JSON)
        /// The server's to set: refused in a POST.
        case server
        /// The server's to set, and shown; as in upstream, a request that names it is told that there is no such one.
        case shown
    }

    package let name: String
    package let validator: Validator
    package let presence: Presence
    /// A PUT may change it.
    package let isUpdatable: Bool
    /// Only an administrator may send it (a POST or PUT by others is refused by policy).
    package let isAdministratorsToWrite: Bool
    /// Only an administrator sees it.
    package let isAdministratorsToRead: Bool

    package init(
        _ name: String, _ validator: Validator, _ presence: Presence, isUpdatable: Bool = false,
        isAdministratorsToWrite: Bool = false, isAdministratorsToRead: Bool = false
    ) {
        self.name = name
        self.validator = validator
        self.presence = presence
        self.isUpdatable = isUpdatable
        self.isAdministratorsToWrite = isAdministratorsToWrite
        self.isAdministratorsToRead = isAdministratorsToRead
    }

    /// Whether a request may name it at all.
    fileprivate var isAccepted: Bool { if case .shown = presence { false } else { true } }

    /// Whether a POST that sends `value` asks for no more than one that leaves the attribute out.
    package func isDefault(_ value: JSON) -> Bool { if case .optional(value) = presence { true } else { false } }

    /// An attribute that only the server sets.
    ///
    /// - Parameter shown: what answers have there; text if nothing is said.
    package static func server(
        _ name: String, _ shown: Validator = .string, isAdministratorsToRead: Bool = false
    ) -> Attribute {
        Attribute(name, shown, .server, isAdministratorsToRead: isAdministratorsToRead)
    }

    /// `tenant_id`; `project_id` is its other name, in requests and in answers.
    package static let project = Attribute("tenant_id", .string(atMost: 255), .required)
    package static let revision = Attribute.server("revision_number", .range(1...Int64.max))
}

/// The attributes of one resource in the order in which answers list them.
package struct AttributeTable: Sendable {
    package let attributes: [Attribute]

    package init(_ attributes: [Attribute]) { self.attributes = attributes }

    package subscript(name: String) -> Attribute? {
        attributes.first { $0.name == (name == "project_id" ? "tenant_id" : name) }
    }

    private var isOwned: Bool { self["tenant_id"] != nil }

    /// The attributes of a new object: checked, converted, and completed with defaults.
    ///
    /// - Parameters:
    ///   - body: what the client sent inside the envelope.
    ///   - project: the caller's project.
    ///   - isAdministrator: whether the caller may name another project.
    /// - Throws: the fault that upstream answers, in upstream's order of checks.
    package func create(
        _ body: JSON.Object, project: String, isAdministrator: Bool
    ) throws(Fault) -> JSON.Object {
        var body = try withProject(body, project: project, isAdministrator: isAdministrator)
        if isOwned, body["tenant_id"] == nil { body["tenant_id"] = .string(project) }
        try refuseUnknown(body)
        var result = JSON.Object()
        for attribute in attributes {
            switch (attribute.presence, body[attribute.name]) {
            case (.server, nil), (.shown, _): break
            case (.server, _?): throw .notInPOST(attribute.name)
            case (.required, nil): throw .required(attribute.name)
            case (.optional(let value), nil), (_, let value?): result.append(attribute.name, value)
            }
        }
        return try validated(result, sent: body)
    }

    /// The attributes that a PUT changes: checked and converted.
    ///
    /// - Throws: the fault that upstream answers, in upstream's order of checks.
    package func update(
        _ body: JSON.Object, project: String, isAdministrator: Bool
    ) throws(Fault) -> JSON.Object {
        let body = try withProject(body, project: project, isAdministrator: isAdministrator)
        try refuseUnknown(body)
        for member in body.members where self[member.name]?.isUpdatable != true { throw .readOnly(member.name) }
        return try validated(body, sent: body)
    }

    /// `project_id` becomes `tenant_id`, and nobody but an administrator names another project than their own.
    private func withProject(
        _ body: JSON.Object, project: String, isAdministrator: Bool
    ) throws(Fault) -> JSON.Object {
        guard isOwned else { return body }
        var body = body
        if let value = body["project_id"] {
            if let other = body["tenant_id"], other != value { throw .projectMismatch }
            body["project_id"] = nil
            body["tenant_id"] = nil
            body["tenant_id"] = value
        }
        if let value = body["tenant_id"], value != .string(project), !isAdministrator { throw .otherProject }
        return body
    }

    private func refuseUnknown(_ body: JSON.Object) throws(Fault) {
        let unknown = body.members.map(\.name).filter { name in
            !attributes.contains { $0.name == name && $0.isAccepted }
        }
        if !unknown.isEmpty { throw .unrecognized(unknown) }
    }

    /// Defaults are valid by definition, and may be of a type that no client may send.
    private func validated(_ values: JSON.Object, sent: JSON.Object) throws(Fault) -> JSON.Object {
        var result = JSON.Object()
        for member in values.members {
            guard sent[member.name] != nil, let attribute = self[member.name] else {
                result.append(member.name, member.value)
                continue
            }
            do {
                result.append(member.name, try attribute.validator.check(member.value))
            } catch {
                throw .invalid(member.name, error.reason)
            }
        }
        return result
    }
}
