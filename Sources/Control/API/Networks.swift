// Networks: what making and deleting one involves. Before: Operations. After: the store.

import ControlIdentity
import ControlModel
import ControlStore

extension Network: Operable {
    static func make(
        _ values: JSON.Object, id: String, by caller: Caller, _ operations: Operations, _ transaction: inout Transaction
    ) async throws -> Network {
        var values = values
        values["id"] = .string(id)
        return try Network(values)
    }

    func check(
        after before: Network?, by caller: Caller, _ operations: Operations, _ transaction: inout Transaction
    ) async throws {}

    func delete(_ operations: Operations, _ transaction: inout Transaction) async throws {
        if try await transaction.list(Port.self).contains(where: { $0.networkID == id }) {
            throw Fault.networkInUse(id)
        }
        transaction.delete(key)
    }
}
