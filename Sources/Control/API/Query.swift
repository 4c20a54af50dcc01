// The query part of a URL: filters, fields, sorting and paging of a list (neutron/api/api_common.py).
// Before: the request line. After: Listing.

package import ControlModel
import Foundation

/// Parameters in the order in which they were written; names may repeat.
package struct Query: Hashable, Sendable {
    package struct Parameter: Hashable, Sendable {
        package var name: String
        package var value: String
    }

    package var parameters: [Parameter] = []

    /// Parses `a=1&b=2`; `+` is a space, and what does not decode stays as it is written.
    package init(_ text: String) {
        for pair in text.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            parameters.append(
                Parameter(name: Self.decode(parts[0]), value: parts.count > 1 ? Self.decode(parts[1]) : ""))
        }
    }

    /// `If-Match: revision_number=N`, without which every revision is the right one.
    ///
    /// - Throws: `Fault.ifMatch` for any other condition: one that is not understood is not met.
    package static func revision(ifMatch header: String?) throws(Fault) -> Int64? {
        guard let header else { return nil }
        guard header.hasPrefix("revision_number="), let revision = Int64(header.dropFirst(16)) else {
            throw .ifMatch(header)
        }
        return revision
    }

    package func values(_ name: String) -> [String] { parameters.filter { $0.name == name }.map(\.value) }

    /// `limit`: nil for no limit.
    ///
    /// - Throws: upstream's fault for anything that is not an integer of 0 or more.
    package func limit() throws(Fault) -> Int? {
        guard let text = values("limit").last, !text.isEmpty else { return nil }
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            throw Fault(
                400, "BadRequest", "Bad limit request: Limit must be an integer 0 or greater and not '\(text)'.")
        }
        let limit = Int(text) ?? Int.max
        return limit == 0 ? nil : limit
    }

    package var marker: String? { values("marker").last }

    package var isReverse: Bool { ["true", "1"].contains(values("page_reverse").last?.lowercased()) }

    /// `sort_key` and `sort_dir` in pairs; true is ascending.
    ///
    /// - Throws: upstream's faults for unequal counts and unknown keys.
    package func sorting(_ isAttribute: (String) -> Bool) throws(Fault) -> [(key: String, isAscending: Bool)] {
        let keys = values("sort_key")
        let directions = values("sort_dir")
        if keys.count != directions.count { throw .badRequest("The number of sort_keys and sort_dirs must be same") }
        let unknown = keys.filter { !isAttribute($0) }
        if !unknown.isEmpty {
            throw .badRequest("\(JSON.array(unknown.map(JSON.string)).pythonText) is invalid attribute for sort_keys")
        }
        for direction in directions where direction != "asc" && direction != "desc" {
            throw .badRequest("'\(direction)' is invalid for sort_dirs: use asc or desc")
        }
        return zip(keys, directions).map { ($0, $1 == "asc") }
    }

    /// The same question from another place of the list.
    package func page(marker: String?, isReverse: Bool) -> String {
        var parameters = parameters.filter { $0.name != "marker" && $0.name != "page_reverse" }
        if let marker { parameters.append(Parameter(name: "marker", value: marker)) }
        if isReverse { parameters.append(Parameter(name: "page_reverse", value: "True")) }
        return parameters.map { Self.encode($0.name) + "=" + Self.encode($0.value) }.joined(separator: "&")
    }

    private static func decode(_ text: Substring) -> String {
        let spaced = text.replacingOccurrences(of: "+", with: " ")
        return spaced.removingPercentEncoding ?? spaced
    }

    private static let unreserved = CharacterSet(
        charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")

    private static func encode(_ text: String) -> String {
        text.addingPercentEncoding(withAllowedCharacters: unreserved) ?? ""
    }
}
