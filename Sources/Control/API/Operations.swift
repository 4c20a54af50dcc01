// What can be done to intents, the same for every kind: policy, attributes, one transaction.
// Before: Responder. After: the store. What differs between kinds is in TapServices.swift, TapFlows.swift,
// TapMirrors.swift, Networks.swift, Ports.swift and Hosts.swift; what another project's object may be seen for in
// Sharing.swift.

import ControlIdentity
package import ControlModel
package import ControlStore
import FoundationEssentials
import MirrorProgram

/// What every operation works on.
package struct Operations: Sendable {
    package let store: any Store
    /// Name of the host that this process serves.
    package let hostName: String
    /// Addresses that copies may be sent to.
    package let remotes: RemoteRules
    /// Tunnel ids for services that ask for none.
    package let tunnelIDPool: ClosedRange<Int64>

    package init(
        store: any Store, hostName: String, remotes: RemoteRules = RemoteRules(),
        tunnelIDPool: ClosedRange<Int64> = TapService.tunnelIDPool
    ) {
        self.tunnelIDPool = tunnelIDPool
        self.store = store
        self.hostName = hostName
        self.remotes = remotes
    }
}

/// A kind of object that the API can make, change and delete.
protocol Operable: Resource {
    /// A new object from complete, valid attributes; further rows go into the transaction.
    static func make(
        _ values: JSON.Object, id: String, by caller: Caller, _ operations: Operations, _ transaction: inout Transaction
    ) async throws -> Self

    /// What the attributes must satisfy together, and with what others have; of a new object, or of one that is changed.
    ///
    /// - Parameter before: nil for a new object.
    func check(
        after before: Self?, by caller: Caller, _ operations: Operations, _ transaction: inout Transaction
    ) async throws

    /// Removes the object, or marks it for removal, with all that hangs on it.
    func delete(_ operations: Operations, _ transaction: inout Transaction) async throws
}

extension Operations {
    /// Makes all objects or none.
    func create<Object: Operable>(_ type: Object.Type, _ body: Body, by caller: Caller) async throws -> [Object] {
        var items: [JSON.Object] = []
        for sent in body.objects {
            let values = try Object.table.create(
                sent, project: caller.projectID, isAdministrator: caller.isAdministrator)
            try authorize("create", Object.kind, sent, caller, project: values["tenant_id"]?.string ?? "")
            items.append(values)
        }
        let ids = items.map { _ in UUID().uuidString.lowercased() }
        return try await store.transact { [items] transaction in
            try await checkQuota(type, of: items.map { $0["tenant_id"]?.string ?? "" }, &transaction)
            var objects: [Object] = []
            for (id, values) in zip(ids, items) {
                let values = Object.table.stamped(values, revision: 1)
                let object = try await Object.make(values, id: id, by: caller, self, &transaction)
                try await object.check(after: nil, by: caller, self, &transaction)
                transaction.put(object)
                objects.append(object)
            }
            return objects
        }
    }

    /// All objects that the caller may see, in the order in which they were made.
    func list<Object: Operable>(_ type: Object.Type, for caller: Caller) async throws -> [Object] {
        let rows = try await store.list([Object.kind.rawValue])
        let sharing = try await sharing(of: Object.kind, with: caller)
        return try rows.rows.map { try $0.decoded(Object.self).object }.filter { object in
            let project = sharing.includes(object) ? caller.projectID : object.projectID
            return Policy.allows("get_\(Object.kind.singular)", caller, project: project)
        }
    }

    func show<Object: Operable>(_ type: Object.Type, _ id: String, for caller: Caller) async throws -> Object {
        let object = try await store.get(Object.key(id)).map { try $0.decoded(Object.self).object }
        return try await visible(object, id, to: caller)
    }

    /// - Parameter revision: what the object's `revision_number` must be; nil for any.
    func update<Object: Operable>(
        _ type: Object.Type, _ id: String, _ body: Body, ifRevision revision: Int64?, by caller: Caller
    ) async throws -> Object {
        let changes = try Object.table.update(
            body.objects[0], project: caller.projectID, isAdministrator: caller.isAdministrator)
        return try await store.transact { transaction in
            let object = try await visible(try await transaction.get(Object.self, id), id, to: caller)
            try authorize("update", Object.kind, changes, caller, project: object.projectID)
            try object.require(revision)
            var values = object.values
            for member in changes.members { values[member.name] = member.value }
            if try Object(values) == object { return object }
            let updated = try Object(Object.table.stamped(values, revision: object.revisionNumber + 1))
            try await updated.check(after: object, by: caller, self, &transaction)
            transaction.put(updated)
            return updated
        }
    }

    /// - Parameter revision: what the object's `revision_number` must be; nil for any.
    func delete<Object: Operable>(
        _ type: Object.Type, _ id: String, ifRevision revision: Int64?, by caller: Caller
    ) async throws {
        try await store.transact { transaction in
            let object = try await visible(try await transaction.get(Object.self, id), id, to: caller)
            try authorize("delete", Object.kind, [:], caller, project: object.projectID)
            try object.require(revision)
            try await object.delete(self, &transaction)
        }
    }

    /// The object, if it exists and is the caller's to see; another project's is as good as absent.
    private func visible<Object: Operable>(
        _ object: Object?, _ id: String, to caller: Caller
    ) async throws -> Object {
        guard let object else { throw Object.kind.notFound(id) }
        if caller.isAdministrator { return object }
        let isTheirs = caller.projectID == object.projectID
        let isShared = isTheirs ? false : try await sharing(of: Object.kind, with: caller).includes(object)
        if !isTheirs, !isShared { throw Object.kind.notFound(id) }
        if !Policy.allows("get_\(Object.kind.singular)", caller, project: caller.projectID) { throw Fault.notFound }
        return object
    }

    /// The rule of the operation, and those of the attributes that were sent.
    private func authorize(
        _ verb: String, _ kind: Kind, _ sent: JSON.Object, _ caller: Caller, project: String
    ) throws(Fault) {
        let rule = "\(verb)_\(kind.singular)"
        if !Policy.allows(rule, caller, project: project) { throw .notAuthorized("rule:\(rule)") }
        for (attribute, value) in sent.members.map({ ($0.name, $0.value) }) {
            let narrower = "\(rule):\(attribute)"
            // As upstream: what is sent as it would be anyway needs no right of its own.
            if verb == "create", kind.table[attribute]?.isDefault(value) == true { continue }
            if Policy.rules[narrower] != nil, !Policy.allows(narrower, caller, project: project) {
                throw .notAuthorized("(rule:\(rule) and rule:\(narrower))")
            }
        }
    }

    /// A port that the caller may name as source or destination for an object of `project`.
    func port(
        _ id: String, of project: String, for caller: Caller, _ transaction: inout Transaction
    ) async throws -> Port {
        guard let port = try await transaction.get(Port.self, id) else { throw Fault.portNotFound(id) }
        if port.projectID == project, caller.isAdministrator || caller.projectID == project { return port }
        _ = try await visible(port, id, to: caller)
        throw Fault.portNotOfTenant
    }

    /// Refuses an address that copies may not be sent to.
    ///
    /// - Parameter attribute: the attribute that has it.
    func allow(
        _ address: IPAddress, in attribute: String, _ transaction: inout Transaction
    ) async throws {
        let hosts = try await transaction.list(Host.self)
        if let reason = remotes.refusal(of: address, hosts) { throw Fault.invalid(attribute, reason) }
    }

    /// Names of tap services, tap flows and tap mirrors by id.
    func names() async throws -> [String: String] {
        let kinds = [Kind.tapService, .tapFlow, .tapMirror].map(\.rawValue)
        let rows = try await store.list(kinds).rows
        return Dictionary(
            rows.map { row in
                (row.key.id, (try? JSON(parsing: row.value))?.object?["name"]?.string ?? "")
            }
        ) { first, _ in first }
    }
}

extension Resource {
    /// Refuses what was asked of another revision of the object than there is.
    fileprivate func require(_ revision: Int64?) throws(Fault) {
        if let revision, revision != revisionNumber { throw .revisionConstraint(revision, current: revisionNumber) }
    }
}

extension AttributeTable {
    /// The values with the revision, and where the table has them, the times of making and of this change.
    fileprivate func stamped(_ values: JSON.Object, revision: Int64) -> JSON.Object {
        var values = values
        values["revision_number"] = .integer(revision)
        let now = JSON.string(Date.now.formatted(.iso8601))
        if self["created_at"] != nil, values["created_at"] == nil { values["created_at"] = now }
        if self["updated_at"] != nil { values["updated_at"] = now }
        return values
    }
}
