// What can be done to intents, the same for every kind: policy, attributes, one transaction.
// Before: Responder. After: the store. What differs between kinds is in TapServices.swift, TapFlows.swift, Ports.swift
// and Hosts.swift.

import ControlIdentity
import ControlModel
package import ControlStore
import FoundationEssentials

/// What every operation works on.
package struct Operations: Sendable {
    package let store: any Store
    /// Name of the host that this process serves.
    package let hostName: String

    package init(store: any Store, hostName: String) {
        self.store = store
        self.hostName = hostName
    }
}

/// A kind of object that the API can make, change and delete.
protocol Operable: Resource {
    /// A new object from complete, valid attributes; further rows go into the transaction.
    static func make(
        _ values: JSON.Object, id: String, by caller: Caller, _ operations: Operations, _ transaction: inout Transaction
    ) async throws -> Self

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
            var objects: [Object] = []
            for (id, values) in zip(ids, items) {
                let object = try await Object.make(values, id: id, by: caller, self, &transaction)
                transaction.put(object)
                objects.append(object)
            }
            return objects
        }
    }

    /// All objects that the caller may see, in the order in which they were made.
    func list<Object: Operable>(_ type: Object.Type, for caller: Caller) async throws -> [Object] {
        let rows = try await store.list([Object.kind.rawValue])
        return try rows.rows.map { try $0.decoded(Object.self).object }.filter {
            Policy.allows("get_\(Object.kind.singular)", caller, project: $0.projectID)
        }
    }

    func show<Object: Operable>(_ type: Object.Type, _ id: String, for caller: Caller) async throws -> Object {
        let object = try await store.get(Object.key(id)).map { try $0.decoded(Object.self).object }
        return try visible(object, id, to: caller)
    }

    func update<Object: Operable>(
        _ type: Object.Type, _ id: String, _ body: Body, by caller: Caller
    ) async throws -> Object {
        let changes = try Object.table.update(
            body.objects[0], project: caller.projectID, isAdministrator: caller.isAdministrator)
        return try await store.transact { transaction in
            let object = try visible(try await transaction.get(Object.self, id), id, to: caller)
            try authorize("update", Object.kind, changes, caller, project: object.projectID)
            var values = object.values
            for member in changes.members { values[member.name] = member.value }
            let updated = try Object(values)
            if updated != object { transaction.put(updated) }
            return updated
        }
    }

    func delete<Object: Operable>(_ type: Object.Type, _ id: String, by caller: Caller) async throws {
        try await store.transact { transaction in
            let object = try visible(try await transaction.get(Object.self, id), id, to: caller)
            try authorize("delete", Object.kind, [:], caller, project: object.projectID)
            try await object.delete(self, &transaction)
        }
    }

    /// The object, if it exists and is the caller's to see; another project's is as good as absent.
    private func visible<Object: Operable>(_ object: Object?, _ id: String, to caller: Caller) throws(Fault) -> Object {
        guard let object, caller.isAdministrator || caller.projectID == object.projectID else {
            throw Object.kind.notFound(id)
        }
        if !Policy.allows("get_\(Object.kind.singular)", caller, project: object.projectID) { throw .notFound }
        return object
    }

    /// The rule of the operation, and those of the attributes that were sent.
    private func authorize(
        _ verb: String, _ kind: Kind, _ sent: JSON.Object, _ caller: Caller, project: String
    ) throws(Fault) {
        let rule = "\(verb)_\(kind.singular)"
        if !Policy.allows(rule, caller, project: project) { throw .notAuthorized("rule:\(rule)") }
        for attribute in sent.members.map(\.name) {
            let narrower = "\(rule):\(attribute)"
            if Policy.rules[narrower] != nil, !Policy.allows(narrower, caller, project: project) {
                throw .notAuthorized("(rule:\(rule) and rule:\(narrower))")
            }
        }
    }

    /// A port that the caller may name as source or destination for an object of `project`.
    func port(
        _ id: String, of project: String, for caller: Caller, _ transaction: inout Transaction
    ) async throws -> Port {
        guard let port = try await transaction.get(Port.self, id),
            caller.isAdministrator || caller.projectID == port.projectID
        else { throw Fault.portNotFound(id) }
        if port.projectID != project { throw Fault.portNotOfTenant }
        return port
    }

    /// Names of tap services and tap flows by id.
    func names() async throws -> [String: String] {
        let rows = try await store.list([Kind.tapService.rawValue, Kind.tapFlow.rawValue]).rows
        return Dictionary(
            rows.map { row in
                (row.key.id, (try? JSON(parsing: row.value))?.object?["name"]?.string ?? "")
            }
        ) { first, _ in first }
    }
}
