// Counters for people: three digits and a decimal prefix. JSON has the exact numbers.

import ControlModel
import Foundation

/// Numbers as a table shows them.
package enum Quantity {
    /// Exact below 10,000, then `12.3k`, `4.56M`.
    package static func count(_ value: UInt64) -> String {
        if value < 10_000 { return String(value) }
        let (number, prefix) = scaled(Double(value))
        return number + prefix
    }

    /// `512 B`, `1.50 kB`, `12.3 MB` (powers of 1000).
    package static func bytes(_ value: UInt64) -> String {
        if value < 1000 { return "\(value) B" }
        let (number, prefix) = scaled(Double(value))
        return "\(number) \(prefix)B"
    }

    /// Something per second: exact to one below 1000, then `41.5k`.
    package static func rate(_ value: Double) -> String {
        if value < 999.5 { return String(Int(value.rounded())) }
        let (number, prefix) = scaled(value)
        return number + prefix
    }

    private static func scaled(_ value: Double) -> (String, String) {
        var value = value
        var prefix = 0
        let prefixes = ["", "k", "M", "G", "T", "P", "E"]
        while value >= 999.5, prefix < prefixes.count - 1 {
            value /= 1000
            prefix += 1
        }
        let digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0
        return (String(format: "%.\(digits)f", value), prefixes[prefix])
    }
}
