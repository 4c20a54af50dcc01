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

    /// What is taken, as JSON Schema: values that pass it pass the check, where a schema can say it.
    package let schema: JSON.Object
    /// What answers show of it, as JSON Schema.
    package let shown: JSON.Object
    package let check: @Sendable (JSON) throws(Refusal) -> JSON

    package init(
        _ schema: JSON.Object, shown: JSON.Object? = nil,
        _ check: @escaping @Sendable (JSON) throws(Refusal) -> JSON
    ) {
        self.schema = schema
        self.shown = shown ?? schema
        self.check = check
    }

    /// The same check, passed by null too (`type:…_or_none`).
    package var orNone: Validator {
        Validator(schema.orNull, shown: shown.orNull) { value throws(Refusal) in
            value == .null ? value : try check(value)
        }
    }

    /// `type:uuid`: 32 hexadecimal digits, with or without hyphens.
    package static let uuid = Validator(["type": "string", "format": "uuid"], shown: ["type": "string"]) {
        value throws(Refusal) in
        let digits = value.string?.utf8.filter { $0 != UInt8(ascii: "-") } ?? []
        guard digits.count == 32, digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }) else {
            throw Refusal("'\(value.pythonText)' is not a valid UUID")
        }
        return value
    }

    /// `type:string`.
    package static let string = Validator(["type": "string"]) { value throws(Refusal) in
        guard value.string != nil else { throw Refusal("'\(value.pythonText)' is not a valid string") }
        return value
    }

    /// `type:string` with a largest number of characters.
    package static func string(atMost limit: Int) -> Validator {
        Validator(["type": "string", "maxLength": .integer(Int64(limit))]) { value throws(Refusal) in
            let text = try string.check(value).string!
            if text.unicodeScalars.count > limit { throw Refusal("'\(text)' exceeds maximum length of \(limit)") }
            return value
        }
    }

    /// `type:name_string`: printable characters, no white space at either end; empty is a name.
    package static let name = Validator(
        ["type": "string", "pattern": "^([!-~]([ -~]*[!-~])?)?$"], shown: ["type": "string"]
    ) { value throws(Refusal) in
        guard let text = value.string, text.unicodeScalars.allSatisfy(isPrintable),
            text.unicodeScalars.first?.properties.isWhitespace != true,
            text.unicodeScalars.last?.properties.isWhitespace != true
        else { throw Refusal("'\(value.pythonText)' is not a valid string") }
        return value
    }

    /// A name that is not empty, of 1 ... 255 characters.
    package static let hostName = Validator(
        ["type": "string", "pattern": "^[!-~]([ -~]*[!-~])?$", "maxLength": 255], shown: ["type": "string"]
    ) { value throws(Refusal) in
        let text = try name.check(value).string!
        if text.isEmpty { throw Refusal("a host needs a name") }
        return try string(atMost: 255).check(value)
    }

    /// `type:values`.
    package static func values(_ allowed: [String]) -> Validator {
        Validator(["type": "string", "enum": .array(allowed.map(JSON.string))]) { value throws(Refusal) in
            guard let text = value.string, allowed.contains(text) else {
                throw Refusal("\(value.pythonText) is not in valid_values")
            }
            return value
        }
    }

    /// Converted as `convert_to_boolean` does.
    package static let boolean = Validator(["type": "boolean"]) { value throws(Refusal) in
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
        let schema: JSON.Object = [
            "type": "integer", "minimum": .integer(range.lowerBound), "maximum": .integer(range.upperBound),
        ]
        return Validator(schema) { value throws(Refusal) in
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
    package static let mac = Validator(
        ["type": "string", "pattern": "^[0-9a-f][26ae](:[0-9a-f]{2}){5}$"], shown: ["type": "string"]
    ) { value throws(Refusal) in
        guard let mac = value.string.flatMap({ MACAddress($0) }), mac.octets.contains(where: { $0 != 0 }) else {
            throw Refusal("'\(value.pythonText)' is not a valid MAC address")
        }
        return .string(mac.description)
    }

    /// `vlan_filter`: upstream's `type:regex_or_none`, which looks at the form alone; what no frame can match (`5000`,
    /// `9-1`) is taken, and is an ERROR with the reason when it is to be carried out.
    package static let vlanFilter = Validator(
        ["type": "string", "pattern": "^([0-9]+(-[0-9]+)?)(,([0-9]+(-[0-9]+)?))*$"]
    ) { value throws(Refusal) in
        guard let text = value.string, text.wholeMatch(of: /([0-9]+(-[0-9]+)?)(,([0-9]+(-[0-9]+)?))*/) != nil else {
            throw Refusal("'\(value.pythonText)' is not a valid input")
        }
        return value
    }.orNone

    /// `type:ip_address`, given back as it was written.
    package static let ipAddress = Validator(
        ["type": "string", "anyOf": [["format": "ipv4"], ["format": "ipv6"]]], shown: ["type": "string"]
    ) { value throws(Refusal) in
        if value.string.flatMap({ IPAddress($0) }) == nil {
            throw Refusal("'\(value.pythonText)' is not a valid IP address")
        }
        return value
    }

    /// `type:integer`: a number without fraction, or text that is one; given back as it was written.
    package static let integer = Validator(
        ["anyOf": [["type": "integer"], ["type": "string", "pattern": "^[0-9]{1,18}$"]]],
        shown: ["type": ["integer", "number", "string"]]
    ) { value throws(Refusal) in
        switch value {
        case .bool: throw Refusal("'\(value.pythonText)' is not an integer:boolean")
        case .integer: return value
        case .number(let number) where number == number.rounded() && number.isFinite: return value
        case .string(let text) where text.wholeMatch(of: /\s*[+-]?[0-9]+(_[0-9]+)*\s*/) != nil: return value
        default: throw Refusal("'\(value.pythonText)' is not an integer")
        }
    }

    /// An empty list: what there is none of, and clients send all the same.
    package static let emptyList = Validator(["type": "array", "maxItems": 0]) { value throws(Refusal) in
        if value == .array([]) { return value }
        throw Refusal("'\(value.pythonText)' is not an empty list, and there is nothing that could be in it")
    }

    /// An object with known members.
    ///
    /// - Parameter members: names, checks, and what a member that is left out is; nil: it must be there.
    package static func object(_ members: [(name: String, validator: Validator, otherwise: JSON?)]) -> Validator {
        var schema: JSON.Object = ["type": "object", "additionalProperties": false]
        var shown = schema
        schema["required"] = .array(members.filter { $0.otherwise == nil }.map { .string($0.name) })
        schema["properties"] = .object(JSON.Object(members.map { ($0.name, .object($0.validator.schema)) }))
        shown["properties"] = .object(JSON.Object(members.map { ($0.name, .object($0.validator.shown)) }))
        return Validator(schema, shown: shown) { value throws(Refusal) in
            guard let object = value.object else { throw Refusal("'\(value.pythonText)' is not a dictionary") }
            let unknown = object.members.map(\.name).filter { name in !members.contains { $0.name == name } }
            if !unknown.isEmpty { throw Refusal("Unexpected keys supplied: \(unknown.joined(separator: ", "))") }
            var result = JSON.Object()
            for member in members {
                guard let sent = object[member.name] ?? member.otherwise else {
                    throw Refusal("'\(member.name)' is missing")
                }
                do throws(Refusal) {
                    result.append(member.name, try member.validator.check(sent))
                } catch { throw Refusal("\(member.name): \(error.reason)") }
            }
            return .object(result)
        }
    }

    /// A list of values that one check passes, no two alike.
    package static func list(of validator: Validator, atMost limit: Int) -> Validator {
        let schema: JSON.Object = [
            "type": "array", "maxItems": .integer(Int64(limit)), "uniqueItems": true,
            "items": .object(validator.schema),
        ]
        return Validator(schema, shown: ["type": "array", "items": .object(validator.shown)]) { value throws(Refusal) in
            guard let values = value.array else { throw Refusal("'\(value.pythonText)' is not a list") }
            if values.count > limit { throw Refusal("there are \(values.count) of them; \(limit) is the limit") }
            var result: [JSON] = []
            for value in values {
                let checked = try validator.check(value)
                if result.contains(checked) { throw Refusal("\(checked.pythonText) is there twice") }
                result.append(checked)
            }
            return .array(result)
        }
    }

    private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .surrogate, .unassigned, .lineSeparator, .paragraphSeparator: false
        default: true
        }
    }
}

extension JSON.Object {
    /// The schema of what this one describes, or null.
    fileprivate var orNull: JSON.Object { ["anyOf": [.object(self), ["type": "null"]]] }

    /// Members in this order; their names differ.
    package init(_ members: [(String, JSON)]) {
        self.init()
        for (name, value) in members { append(name, value) }
    }
}
