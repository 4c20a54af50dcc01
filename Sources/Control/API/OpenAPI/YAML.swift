// JSON values as YAML 1.2 in block style, of which people can read a difference. Before: OpenAPI.swift. After: a file.

import ControlModel

enum YAML {
    static func text(_ object: JSON.Object) -> String {
        var text = ""
        write(object, at: 0, into: &text)
        return text
    }

    private static func write(_ object: JSON.Object, at depth: Int, into text: inout String) {
        for (index, member) in object.members.enumerated() {
            // The first member of an item is on the line of its dash.
            if index > 0 || !text.hasSuffix("- ") { text += String(repeating: "  ", count: depth) }
            text += key(member.name) + ":"
            write(value: member.value, at: depth, into: &text)
        }
    }

    private static func write(value: JSON, at depth: Int, into text: inout String) {
        switch value {
        case .object(let object) where !object.members.isEmpty:
            text += "\n"
            write(object, at: depth + 1, into: &text)
        case .array(let items) where items.contains { $0.object != nil }:
            text += "\n"
            for item in items {
                text += String(repeating: "  ", count: depth + 1) + "- "
                if let object = item.object, !object.members.isEmpty {
                    write(object, at: depth + 2, into: &text)
                } else {
                    text += item.text + "\n"
                }
            }
        default: text += " " + value.text + "\n"
        }
    }

    /// Quoted where YAML would take it for something else than text.
    private static func key(_ name: String) -> String {
        let isPlain =
            name.first?.isLetter == true && name.allSatisfy { $0.isLetter || $0.isNumber || "_-".contains($0) }
        return isPlain ? name : JSON.string(name).text
    }
}
