// Why an object is in its status, in two wordings: what names hosts, interfaces, addresses of the underlay or objects of
// others is the administrator's, as bindings are. Before: Reconcile, which says it. After: the row, and the API's answers.

/// A reason as the administrator reads it, and as members do.
///
/// Its interpolation has `\(private, members: public)` for what only the administrator reads.
package struct Reason: Hashable, Sendable {
    package var full: String
    package var forMembers: String

    /// The same for everybody.
    package init(_ text: String) { self.init(text, members: text) }

    package init(_ full: String, members: String) {
        self.full = full
        forMembers = members
    }

    /// Reads what `json` wrote; nil for null.
    package init?(_ json: JSON?) {
        if let object = json?.object, let full = object["full"]?.string, let members = object["members"]?.string {
            self.init(full, members: members)
        } else if let text = json?.string {
            self.init(text)
        } else {
            return nil
        }
    }

    /// The attribute as rows have it.
    package var json: JSON {
        full == forMembers ? .string(full) : ["full": .string(full), "members": .string(forMembers)]
    }

    /// Several, each once.
    package static func joined(_ reasons: [Reason]) -> Reason? {
        func list(_ texts: [String]) -> String {
            var seen: Set<String> = []
            return texts.filter { seen.insert($0).inserted }.joined(separator: "; ")
        }
        return reasons.isEmpty ? nil : Reason(list(reasons.map(\.full)), members: list(reasons.map(\.forMembers)))
    }
}

extension Reason: ExpressibleByStringInterpolation {
    package init(stringLiteral value: String) { self.init(value) }
    package init(stringInterpolation text: StringInterpolation) { self.init(text.full, members: text.forMembers) }

    package struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var full = ""
        fileprivate var forMembers = ""

        package init(literalCapacity: Int, interpolationCount: Int) {}

        package mutating func appendLiteral(_ literal: String) { appendInterpolation(literal, members: literal) }

        package mutating func appendInterpolation(_ value: some CustomStringConvertible) {
            appendInterpolation(value.description, members: value.description)
        }

        package mutating func appendInterpolation(_ reason: Reason) {
            appendInterpolation(reason.full, members: reason.forMembers)
        }

        /// - Parameter members: what stands there for everybody but the administrator.
        package mutating func appendInterpolation(_ text: String, members: String) {
            full += text
            forMembers += members
        }
    }
}
