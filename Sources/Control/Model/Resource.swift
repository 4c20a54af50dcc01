// What the kinds of intent have in common: a table of attributes, and one JSON form for the store and the API.

/// The kinds of objects that the API serves and the store keeps.
package enum Kind: String, Hashable, Sendable, CaseIterable {
    case tapService = "tap_service"
    case tapFlow = "tap_flow"
    case tapMirror = "tap_mirror"
    case network
    case port
    case host

    /// The envelope of one object: `{"tap_service": {…}}`.
    package var singular: String { rawValue }
    /// The envelope of a list, and the last part of the URL.
    package var collection: String { rawValue + "s" }

    /// The fault for an id that does not exist, or that the caller may not know of.
    package func notFound(_ id: String) -> Fault {
        switch self {
        case .tapService: Fault(404, "TapServiceNotFound", "Tap Service  \(id) does not exist")
        case .tapFlow: Fault(404, "TapFlowNotFound", "Tap Flow  \(id) does not exist")
        case .tapMirror: Fault(404, "TapMirrorNotFound", "Tap Mirror \(id) does not exist")
        case .network: .networkNotFound(id)
        case .port: .portNotFound(id)
        case .host: Fault(404, "HostNotFound", "Host \(id) could not be found.")
        }
    }
}

/// An object that the API serves and the store keeps.
package protocol Resource: Hashable, Sendable {
    static var kind: Kind { get }
    static var table: AttributeTable { get }

    var id: String { get }
    /// The project that owns it; empty for what belongs to nobody (hosts).
    var projectID: String { get }
    /// 1 when it is made, one more with every change that a client makes; a status that changes is none.
    var revisionNumber: Int64 { get }

    /// Reads what `values` wrote, or what `AttributeTable.create` gave, with `id` and the server's attributes added.
    ///
    /// - Throws: `JSONError` naming the attribute that is missing or of another type.
    init(_ values: JSON.Object) throws(JSONError)

    /// Every attribute by its name in the API, in the order of `table`.
    var values: JSON.Object { get }
}

extension JSON.Object {
    /// The text of an attribute that must be there.
    package func text(_ name: String) throws(JSONError) -> String {
        guard let text = self[name]?.string else { throw JSONError(description: "attribute '\(name)' is not text") }
        return text
    }

    /// The value of an attribute that is one of a list of words.
    package func word<Word: RawRepresentable<String>>(_ name: String, _ type: Word.Type) throws(JSONError) -> Word {
        let text = try text(name)
        guard let word = Word(rawValue: text) else {
            throw JSONError(description: "attribute '\(name)' is '\(text)', which is not known")
        }
        return word
    }

    package func integer(_ name: String) throws(JSONError) -> Int64 {
        guard let value = self[name]?.integer else {
            throw JSONError(description: "attribute '\(name)' is not an integer")
        }
        return value
    }

    /// `revision_number`; 1 in rows that were written before there was one.
    package var revisionNumber: Int64 { self["revision_number"]?.integer ?? 1 }

    package func flag(_ name: String) throws(JSONError) -> Bool {
        guard let value = self[name]?.bool else { throw JSONError(description: "attribute '\(name)' is not a boolean") }
        return value
    }
}
