// Aligned columns for a terminal. Nothing is cut: a long cell makes its column wide.

package import ControlModel

/// Rows of text under titles.
package struct Table: Sendable {
    package enum Alignment: Sendable { case left, right }

    private let titles: [String]
    private let alignments: [Alignment]
    private var rows: [[String]] = []

    package init(_ titles: [String], right: Set<String> = []) {
        self.titles = titles
        self.alignments = titles.map { right.contains($0) ? .right : .left }
    }

    /// - Parameter cells: as many as there are titles; an empty one is shown as `-`.
    package mutating func add(_ cells: [String]) {
        rows.append(cells.map { $0.isEmpty ? "-" : printable($0) })
    }

    package var text: String {
        let widths = titles.indices.map { column in
            rows.map(\.[column].count).reduce(titles[column].count, max)
        }
        let lines = ([titles] + rows).map { cells in
            let padded = cells.indices.map { column in
                let fill = String(repeating: " ", count: widths[column] - cells[column].count)
                return alignments[column] == .left ? cells[column] + fill : fill + cells[column]
            }
            var line = padded.joined(separator: "  ")
            while line.last == " " { line.removeLast() }
            return line
        }
        return lines.map { $0 + "\n" }.joined()
    }

    /// Names in one column, values in the other, without titles.
    package static func pairs(_ pairs: [(String, String)]) -> String {
        let width = pairs.map(\.0.count).max() ?? 0
        return pairs.map { name, value in
            name + String(repeating: " ", count: width - name.count + 2) + (value.isEmpty ? "-" : printable(value))
                + "\n"
        }.joined()
    }
}

/// Text that a terminal shows as it is: what could steer the terminal, or break the line, becomes `?`.
package func printable(_ text: String) -> String {
    String(
        String.UnicodeScalarView(
            text.unicodeScalars.map { scalar in
                switch scalar.properties.generalCategory {
                case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate: "?"
                default: scalar
                }
            }))
}

/// A JSON value in a cell: lists joined by commas, objects as `key=value`, nothing for null.
package func display(_ value: JSON) -> String {
    switch value {
    case .null: ""
    case .bool(let flag): flag ? "yes" : "no"
    case .integer(let number): String(number)
    case .number(let number): String(number)
    case .string(let text): text
    case .array(let items): items.map(display).joined(separator: ", ")
    case .object(let object): object.members.map { "\($0.name)=\(display($0.value))" }.joined(separator: " ")
    }
}
