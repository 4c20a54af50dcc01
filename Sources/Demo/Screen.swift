// What the demo shows: lines for anybody, and a live line that is redrawn on a terminal only.

import Foundation
import Glibc

/// Standard output of the demo, at most 80 columns wide.
struct Screen {
    private let isTerminal = isatty(STDOUT_FILENO) == 1
    private var shownAt = 0.0

    /// A line.
    func line(_ text: String = "") { write(text + "\n") }

    /// A headline.
    func head(_ text: String) { write("\n" + (isTerminal ? "\u{1B}[1m\(text)\u{1B}[0m" : text) + "\n") }

    /// A command as a user would type it.
    func command(_ text: String) { write("  $ " + (isTerminal ? "\u{1B}[36m\(text)\u{1B}[0m" : text) + "\n") }

    /// The state of things, replaced by the next one; elsewhere than on a terminal a line every two seconds.
    mutating func live(_ text: String, at seconds: Double) {
        if isTerminal {
            write("\r\u{1B}[K" + text)
        } else if seconds - shownAt >= 2 {
            shownAt = seconds
            line(text)
        }
    }

    /// Ends the live line.
    func endLive() {
        if isTerminal { write("\n") }
    }

    /// A line that says whether something holds.
    func verdict(_ holds: Bool, _ text: String) {
        let word = holds ? "ok  " : "FAIL"
        write("  " + (isTerminal ? "\u{1B}[\(holds ? 32 : 31)m\(word)\u{1B}[0m" : word) + " " + text + "\n")
    }

    /// A row of a table: a title, then numbers in columns.
    func row(_ title: String, _ columns: [String]) {
        line("  " + title.padding(toLength: 30, withPad: " ", startingAt: 0) + columns.map { pad($0, 15) }.joined())
    }

    private func write(_ text: String) {
        FileHandle.standardOutput.write(Data(text.utf8))
    }
}

/// Text at the right end of `width` columns.
func pad(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
}

/// A number with commas between thousands.
func grouped(_ number: some BinaryInteger) -> String {
    var digits = String(number)
    var groups: [String] = []
    while digits.count > 3 {
        groups.insert(String(digits.suffix(3)), at: 0)
        digits.removeLast(3)
    }
    return ([digits] + groups).joined(separator: ",")
}
