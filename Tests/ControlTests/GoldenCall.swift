// Recorded calls of a real Neutron (Tests/Golden), and what makes two answers comparable: the ids of one run in place of
// those of the other, and without what every run makes anew.

import ControlModel
import Foundation

/// One recorded call.
struct GoldenCall {
    let file: String
    let line: Int
    let label: String
    let user: String?
    let method: String
    let path: String
    /// Nil for none; text that is no JSON was sent as it is.
    let body: JSON?
    let status: Int
    let response: JSON

    /// Calls of one recording, in order.
    static func read(_ file: String) throws -> [GoldenCall] {
        let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Golden/\(file).jsonl")
        let lines = try String(contentsOf: url, encoding: .utf8).split(separator: "\n")
        return try lines.enumerated().map { index, line in
            let object = try JSON(parsing: line.utf8).object ?? [:]
            return GoldenCall(
                file: file, line: index, label: object["label"]?.string ?? "", user: object["user"]?.string,
                method: object["method"]?.string ?? "", path: object["path"]?.string ?? "",
                body: object["body"] == .null ? Optional<JSON>.none : object["body"],
                status: Int(object["status"]?.integer ?? 0),
                response: object["resp"] ?? .null)
        }
    }
}

/// Ids of the recording, and what they are in the replay.
struct GoldenNames {
    private(set) var ours: [String: String] = [:]

    /// Learns the ids of what both runs made: answers of the same shape.
    mutating func learn(_ recorded: JSON, _ replayed: JSON) {
        switch (recorded, replayed) {
        case (.object(let recorded), .object(let replayed)):
            if let id = recorded["id"]?.string, let own = replayed["id"]?.string { ours[id] = own }
            for member in recorded.members {
                if let value = replayed[member.name] { learn(member.value, value) }
            }
        case (.array(let recorded), .array(let replayed)):
            for (one, other) in zip(recorded, replayed) { learn(one, other) }
        default: break
        }
    }

    mutating func learn(_ recorded: String, as own: String) { ours[recorded] = own }

    /// The recording's text with the replay's ids and address.
    func translate(_ text: String) -> String {
        var text = text.replacing("http://127.0.0.1:19697", with: "http://localhost")
        for (recorded, own) in ours where text.contains(recorded) { text = text.replacing(recorded, with: own) }
        return text
    }
}

extension JSON {
    /// Without the attributes named, at any depth.
    func without(_ names: Set<String>) -> JSON {
        switch self {
        case .object(let object):
            var result = Object()
            for member in object.members where !names.contains(member.name) {
                result.append(member.name, member.value.without(names))
            }
            return .object(result)
        case .array(let values): return .array(values.map { $0.without(names) })
        default: return self
        }
    }

    /// With members in alphabetical order: JSON does not care.
    var sorted: JSON {
        switch self {
        case .object(let object):
            .object(Object(object.members.map { ($0.name, $0.value.sorted) }.sorted { $0.0 < $1.0 }))
        case .array(let values): .array(values.map(\.sorted))
        default: self
        }
    }
}
