// A JSON value that keeps what the API must give back: the order of members, and whether a number was written as an
// integer. Before: a request body or a stored row (JSONParser.swift). After: validators, resources, JSONWriter.swift.

/// One JSON value (RFC 8259).
package enum JSON: Hashable, Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    /// A number with fraction or exponent, or an integer that 64 bits do not hold.
    case number(Double)
    case string(String)
    case array([JSON])
    case object(Object)

    /// Members in the order in which they were written; of equal names the last one counts.
    package struct Object: Hashable, Sendable, ExpressibleByDictionaryLiteral {
        package private(set) var members: [Member] = []

        package struct Member: Hashable, Sendable {
            package var name: String
            package var value: JSON
        }

        package init() {}

        package init(dictionaryLiteral elements: (String, JSON)...) {
            for (name, value) in elements { self[name] = value }
        }

        /// Appends without looking for the name: the caller knows that it is new.
        package mutating func append(_ name: String, _ value: JSON) {
            members.append(Member(name: name, value: value))
        }

        package subscript(name: String) -> JSON? {
            get { members.last { $0.name == name }?.value }
            set {
                let index = members.firstIndex { $0.name == name }
                switch (index, newValue) {
                case (let index?, let value?): members[index].value = value
                case (let index?, nil): members.remove(at: index)
                case (nil, let value?): members.append(Member(name: name, value: value))
                case (nil, nil): break
                }
            }
        }
    }

    package var string: String? { if case .string(let value) = self { value } else { nil } }
    package var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    package var integer: Int64? { if case .integer(let value) = self { value } else { nil } }
    package var array: [JSON]? { if case .array(let value) = self { value } else { nil } }
    package var object: Object? { if case .object(let value) = self { value } else { nil } }

    /// A string, or null for none.
    package static func optional(_ text: String?) -> JSON { text.map(JSON.string) ?? .null }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByDictionaryLiteral, ExpressibleByArrayLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral, ExpressibleByNilLiteral
{
    package init(stringLiteral value: String) { self = .string(value) }
    package init(arrayLiteral elements: JSON...) { self = .array(elements) }
    package init(booleanLiteral value: Bool) { self = .bool(value) }
    package init(integerLiteral value: Int64) { self = .integer(value) }
    package init(nilLiteral: ()) { self = .null }
    package init(dictionaryLiteral elements: (String, JSON)...) {
        var object = Object()
        for (name, value) in elements { object[name] = value }
        self = .object(object)
    }
}

extension JSON {
    /// The value as upstream's messages spell it: Python's `str()`, with `repr()` inside lists and dictionaries.
    package var pythonText: String {
        if case .string(let text) = self { text } else { pythonRepresentation }
    }

    private var pythonRepresentation: String {
        switch self {
        case .null: "None"
        case .bool(let value): value ? "True" : "False"
        case .integer(let value): String(value)
        case .number(let value): String(value)
        case .string(let text): "'\(text)'"
        case .array(let values): "[" + values.map(\.pythonRepresentation).joined(separator: ", ") + "]"
        case .object(let object):
            "{" + object.members.map { "'\($0.name)': \($0.value.pythonRepresentation)" }.joined(separator: ", ") + "}"
        }
    }
}
