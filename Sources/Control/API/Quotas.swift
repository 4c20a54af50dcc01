// How many objects of a kind a project may have, as Neutron's quotas: -1 is any number. Counted in the transaction that
// makes the objects, so that two requests at once cannot exceed it together.
// Before: Responder, for /v2.0/quotas, and Operations.create. After: the store, one row a project that has limits.

import ControlIdentity
import ControlModel
import ControlStore

/// What of `/v2.0/quotas` a path names.
package enum QuotaRoute: Hashable, Sendable {
    case all
    case project(String)
    case defaults(String)
    case details(String)

    init?(_ parts: ArraySlice<String>) {
        switch (parts.first, parts.dropFirst().first, parts.count) {
        case (nil, _, _): self = .all
        case (let project?, nil, 1): self = .project(project)
        case (let project?, "default", 2): self = .defaults(project)
        case (let project?, "details", 2): self = .details(project)
        default: return nil
        }
    }
}

/// The limits of one project.
struct Quota: Hashable, Sendable {
    /// What is limited, in the order of answers.
    static let kinds: [Kind] = [.network, .port, .tapFlow, .tapMirror, .tapService]
    static let unlimited: Int64 = -1

    private(set) var limits: [Kind: Int64] = [:]

    static func key(_ project: String) -> Key { Key("quota", project) }

    init() {}

    init(_ values: JSON.Object) {
        for kind in Self.kinds { limits[kind] = values[kind.singular]?.integer }
    }

    func limit(of kind: Kind) -> Int64 { limits[kind] ?? Self.unlimited }

    var values: JSON.Object {
        var values = JSON.Object()
        for kind in Self.kinds { values.append(kind.singular, .integer(limit(of: kind))) }
        return values
    }

    /// - Throws: the fault that upstream answers to a limit that is none.
    mutating func change(_ body: JSON.Object) throws(Fault) {
        let ignored: Set<String> = ["tenant_id", "project_id"]
        let unknown = body.members.map(\.name).filter { name in
            !ignored.contains(name) && !Self.kinds.contains { $0.singular == name }
        }
        if !unknown.isEmpty { throw .unrecognized(unknown) }
        for kind in Self.kinds {
            guard let value = body[kind.singular] else { continue }
            do throws(Validator.Refusal) {
                limits[kind] = try Validator.range(Self.unlimited...Int64(Int32.max)).check(value).integer
            } catch { throw .invalid(kind.singular, error.reason) }
        }
    }
}

extension Operations {
    /// Refuses what would exceed a project's limit.
    ///
    /// - Parameter projects: the owners of the objects that are to be made, one for each.
    func checkQuota<Object: Resource>(
        _ type: Object.Type, of projects: [String], _ transaction: inout Transaction
    ) async throws {
        if !Quota.kinds.contains(Object.kind) { return }
        for project in Set(projects) {
            guard let row = try await transaction.row(Quota.key(project)) else { continue }
            let limit = try Quota(row.object()).limit(of: Object.kind)
            if limit < 0 { continue }
            let used = try await transaction.list(type).count { $0.projectID == project }
            if Int64(used + projects.count { $0 == project }) > limit { throw Fault.overQuota(Object.kind) }
        }
    }

    /// Limits of one project; of one that has none of its own, the defaults.
    func quota(_ project: String) async throws -> JSON {
        let row = try await store.get(Quota.key(project))
        return ["quota": .object(try row.map { Quota(try $0.object()) }?.values ?? Quota().values)]
    }

    /// All projects that have limits of their own.
    func quotas() async throws -> JSON {
        let rows = try await store.list([Quota.key("").kind]).rows
        return [
            "quotas": .array(
                try rows.map { row in
                    var values = Quota(try row.object()).values
                    values.append("tenant_id", .string(row.key.id))
                    values.append("project_id", .string(row.key.id))
                    return .object(values)
                })
        ]
    }

    /// Limits with what of them is used.
    func quotaDetails(_ project: String) async throws -> JSON {
        let quota = Quota(try await store.get(Quota.key(project))?.object() ?? [:])
        var used: [String: Int64] = [:]
        for row in try await store.list(Quota.kinds.map(\.rawValue)).rows
        where try row.object()["tenant_id"]?.string == project { used[row.key.kind, default: 0] += 1 }
        var details = JSON.Object()
        for kind in Quota.kinds {
            details.append(
                kind.singular,
                [
                    "limit": .integer(quota.limit(of: kind)), "used": .integer(used[kind.rawValue] ?? 0),
                    "reserved": 0,
                ])
        }
        return ["quota": .object(details)]
    }

    func updateQuota(_ project: String, _ body: JSON.Object) async throws -> JSON {
        let quota = try await store.transact { transaction in
            var quota = Quota(try await transaction.row(Quota.key(project))?.object() ?? [:])
            try quota.change(body)
            transaction.put(Quota.key(project), .object(quota.values))
            return quota
        }
        return ["quota": .object(quota.values)]
    }

    func deleteQuota(_ project: String) async throws {
        try await store.transact { transaction in
            if try await transaction.row(Quota.key(project)) == nil { throw Fault.quotaNotFound(project) }
            transaction.delete(Quota.key(project))
        }
    }
}

extension Row {
    /// - Throws: `StoreError.unavailable` for a row that does not parse.
    fileprivate func object() throws(StoreError) -> JSON.Object {
        guard let object = (try? JSON(parsing: value))?.object else {
            throw .unavailable("the store's row \(key) cannot be understood: not an object")
        }
        return object
    }
}
