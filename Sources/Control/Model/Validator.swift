// One check per kind of value, each with upstream's text for what it refuses (neutron_lib.api.validators).
// Before: AttributeTable. After: the value, converted where upstream converts.

import MirrorProgram

/// A check of one attribute's value.
package struct Validator: Sendable {
    /// Why a value is refused: what follows `Reason: ` in the fault.
    package struct Refusal: Error, Hashable, Sendable {
        package let reason: String
        package init(_ reason: String) { self.reason = reason }
    }

    package let check: @Sendable (JSON) throws(Refusal) -> JSON

    package init(_ check: @escaping @Sendable (JSON) throws(Refusal) -> JSON) { self.check = check }

    /// The same check, passed by null too (`type:…_or_none`).
    package var orNone: Validator {
        Validator { value throws(Refusal) in value == .null ? value : try check(value) }
    }

    /// `type:uuid`: 32 hexadecimal digits, with or without hyphens.
    package static let uuid = Validator { value throws(Refusal) in
        let digits = value.string?.utf8.filter { $0 != UInt8(ascii: "-") } ?? []
        guard digits.count == 32, digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }) else {
            throw Refusal("'\(value.pythonText)' is not a valid UUID")
        }
        return value
    }

    /// `type:string`.
    package static let string = Validator { value throws(Refusal) in
        guard value.string != nil else { throw Refusal("'\(value.pythonText)' is not a valid string") }
        return value
    }

    /// `type:string` with a largest number of characters.
    package static func string(atMost limit: Int) -> Validator {
        Validator { value throws(Refusal) in
            let text = try string.check(value).string!
            if text.unicodeScalars.count > limit { throw Refusal("'\(text)' exceeds maximum length of \(limit)") }
            return value
        }
    }

    /// `type:name_string`: printable characters, no white space at either end; empty is a name.
    package static let name = Validator { value throws(Refusal) in
        guard let text = value.string, text.unicodeScalars.allSatisfy(isPrintable),
            text.unicodeScalars.first?.properties.isWhitespace != true,
            text.unicodeScalars.last?.properties.isWhitespace != true
        else { throw Refusal("'\(value.pythonText)' is not a valid string") }
        return value
    }

    /// A name that is not empty, of 1 ... 255 characters.
    package static let hostName = Validator { value throws(Refusal) in
        let text = try name.check(value).string!
        if text.isEmpty { throw Refusal("a host needs a name") }
        return try string(atMost: 255).check(value)
    }

    /// `type:values`.
    package static func values(_ allowed: [String]) -> Validator {
        Validator { value throws(Refusal) in
            guard let text = value.string, allowed.contains(text) else {
                throw Refusal("\(value.pythonText) is not in valid_values")
            }
            return value
        }
    }

    /// Converted as `convert_to_boolean` does.
    package static let boolean = Validator { value throws(Refusal) in
        switch value {
        case .bool: return value
        case .integer(1): return true
        case .integer(0): return false
        case .string(let text) where ["true", "1", "on", "yes"].contains(text.lowercased()): return true
        case .string(let text) where ["false", "0", "off", "no"].contains(text.lowercased()): return false
        default: throw Refusal("'\(value.pythonText)' cannot be converted to boolean")
        }
    }

    /// `type:range`: an integer, or text that is one.
    package static func range(_ range: ClosedRange<Int64>) -> Validator {
        Validator { value throws(Refusal) in
            guard let integer = value.integer ?? value.string.flatMap({ Int64($0) }) else {
                throw Refusal("'\(value.pythonText)' is not an integer")
            }
            if integer < range.lowerBound {
                throw Refusal("'\(integer)' is too small - must be at least '\(range.lowerBound)'")
            }
            if integer > range.upperBound {
                throw Refusal("'\(integer)' is too large - must be no larger than '\(range.upperBound)'")
            }
            return .integer(integer)
        }
    }

    /// `type:mac_address`, given back in lower case.
    package static let mac = Validator { value throws(Refusal) in
        guard let mac = value.string.flatMap({ MACAddress($0) }), mac.octets.contains(where: { $0 != 0 }) else {
            throw Refusal("'\(value.pythonText)' is not a valid MAC address")
        }
        return .string(mac.description)
    }

    /// `vlan_filter`: upstream's expression first; what it takes is refused too until frames can be filtered.
    package static let vlanFilter = Validator { value throws(Refusal) in
        guard let text = value.string, text.wholeMatch(of: /([0-9]+(-[0-9]+)?)(,([0-9]+(-[0-9]+)?))*/) != nil else {
            throw Refusal("'\(value.pythonText)' is not a valid input")
        }
        throw Refusal("'\(text)' would filter by VLAN, which is not offered yet; leave vlan_filter out or null")
    }.orNone

    private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .surrogate, .unassigned, .lineSeparator, .paragraphSeparator: false
        default: true
        }
    }
}
