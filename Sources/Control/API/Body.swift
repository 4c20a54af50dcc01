// From a request's body to the attributes inside its envelope, with upstream's faults for everything else.
// Before: at most 1 MiB of bytes. After: AttributeTable.

package import ControlModel

/// The objects that a body carries.
package struct Body: Hashable, Sendable {
    package static let largestSize = 1 << 20
    /// Most objects of one POST: its transaction is to keep others waiting for no more than a moment.
    package static let mostObjects = 1000

    package var objects: [JSON.Object]
    /// The body was a list, and so is the answer.
    package var isBulk: Bool

    /// The body of a POST: `{"port": {…}}`, or `{"ports": [{…}, …]}`.
    package init(create kind: Kind, _ bytes: [UInt8]) throws(Fault) {
        if bytes.isEmpty { throw .bodyRequired }
        let body = try Self.object(bytes)
        guard let list = body[kind.collection] else {
            objects = [try Self.resource(kind, body[kind.singular])]
            isBulk = false
            return
        }
        if kind == .tapMirror { throw .bulkNotSupported }
        guard let items = list.array else { throw .objectInvalid(kind.collection) }
        if items.isEmpty { throw .resourcesRequired }
        if items.count > Self.mostObjects { throw .tooManyObjects(items.count, limit: Self.mostObjects) }
        objects = []
        isBulk = true
        for item in items { objects.append(try Self.resource(kind, item)) }
    }

    /// The body of a PUT: `{"port": {…}}`.
    package init(update kind: Kind, _ bytes: [UInt8]) throws(Fault) {
        if bytes.isEmpty { throw .emptyUpdate }
        objects = [try Self.resource(kind, try Self.object(bytes)[kind.singular])]
        isBulk = false
    }

    /// The body of a PUT on what is no kind of object: `{"quota": {…}}`.
    package init(envelope: String, _ bytes: [UInt8]) throws(Fault) {
        if bytes.isEmpty { throw .emptyUpdate }
        guard let value = try Self.object(bytes)[envelope], value != .null else { throw .objectNotFound(envelope) }
        guard let object = value.object else { throw .objectInvalid(envelope) }
        objects = [object]
        isBulk = false
    }

    private static func object(_ bytes: [UInt8]) throws(Fault) -> JSON.Object {
        guard let value = try? JSON(parsing: bytes) else { throw .malformedBody }
        if value == .null { throw .bodyRequired }
        guard let body = value.object else { throw .bodyInvalid }
        return body
    }

    private static func resource(_ kind: Kind, _ value: JSON?) throws(Fault) -> JSON.Object {
        guard let value, value != .null else { throw .objectNotFound(kind.singular) }
        guard let object = value.object else { throw .objectInvalid(kind.singular) }
        return object
    }
}
