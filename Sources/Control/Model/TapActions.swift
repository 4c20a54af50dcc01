// What may be asked of the copies of a tap flow or tap mirror beyond upstream: packet filter, snap length, sampling, rate
// limit. Before: the attributes of a request. After: the tap of a MirrorProgram, which does them in this order.

package import MirrorProgram

/// What happens to the copies of one tap; all of it may be changed while it runs.
package struct TapActions: Hashable, Sendable {
    /// pcap-filter(7) syntax; nil for all frames.
    package var filter: String?
    /// Bytes of a frame that are kept; nil for all.
    package var snaplen: Int?
    package var sampling: MirrorProgram.Sampling?
    package var rateLimit: MirrorProgram.RateLimit?

    package init() {}

    package static let attributes = [
        Attribute("filter", .packetFilter.orNone, .optional(.null), isUpdatable: true),
        Attribute(
            "snaplen",
            .range(Int64(MirrorProgram.snaplens.lowerBound)...Int64(MirrorProgram.snaplens.upperBound)).orNone,
            .optional(.null), isUpdatable: true),
        Attribute("sampling", .sampling.orNone, .optional(.null), isUpdatable: true),
        Attribute("rate_limit", .rateLimit.orNone, .optional(.null), isUpdatable: true),
    ]

    /// Reads what the validators let through, or what `write` wrote.
    package init(_ values: JSON.Object) throws(JSONError) {
        filter = values["filter"]?.string
        snaplen = (values["snaplen"]?.integer).map { Int($0) }
        if let object = values["sampling"]?.object {
            sampling = MirrorProgram.Sampling(
                oneIn: UInt32(clamping: try object.integer("one_in")),
                per: try object.word("per", MirrorProgram.Sampling.Unit.self))
        }
        if let object = values["rate_limit"]?.object {
            rateLimit = MirrorProgram.RateLimit(
                bitsPerSecond: (object["bits_per_second"]?.integer).map { UInt64(clamping: $0) },
                framesPerSecond: (object["frames_per_second"]?.integer).map { UInt64(clamping: $0) })
        }
    }

    package func write(to values: inout JSON.Object) {
        values.append("filter", .optional(filter))
        values.append("snaplen", snaplen.map { .integer(Int64($0)) } ?? .null)
        values.append(
            "sampling",
            sampling.map { ["one_in": .integer(Int64($0.oneIn)), "per": .string($0.per.rawValue)] } ?? .null)
        values.append(
            "rate_limit",
            rateLimit.map {
                [
                    "bits_per_second": $0.bitsPerSecond.map { .integer(Int64($0)) } ?? .null,
                    "frames_per_second": $0.framesPerSecond.map { .integer(Int64($0)) } ?? .null,
                ]
            } ?? .null)
    }
}

extension Validator {
    /// Text of 1 ... 4,096 bytes; what it means is checked where it is compiled.
    package static let packetFilter = Validator(
        ["type": "string", "minLength": 1, "maxLength": 4096, "examples": ["tcp port 80"]], shown: ["type": "string"]
    ) { value throws(Refusal) in
        let text = try string.check(value).string!
        if text.allSatisfy(\.isWhitespace) { throw Refusal("'\(text)' filters nothing; leave filter out, or null") }
        if let excess = MirrorProgram.PacketFilter.excess(text) { throw Refusal("column 1: \(excess)") }
        return value
    }

    /// `{"one_in": N, "per": "frame" | "flow"}`
    package static let sampling = object([
        ("one_in", .range(1...1_000_000), nil),
        ("per", .values(MirrorProgram.Sampling.Unit.allCases.map(\.rawValue)), "frame"),
    ])

    /// `{"bits_per_second": N, "frames_per_second": N}`, either or both.
    package static let rateLimit = Validator(
        rates.schema.adding("minProperties", 1), shown: rates.shown
    ) { value throws(Refusal) in
        let value = try rates.check(value)
        if value.object?.members.allSatisfy({ $0.value == .null }) == true {
            throw Refusal("neither bits_per_second nor frames_per_second is set")
        }
        return value
    }

    private static let rates = object([
        ("bits_per_second", .range(1...1_000_000_000_000).orNone, .null),
        ("frames_per_second", .range(1...1_000_000_000_000).orNone, .null),
    ])
}

extension JSON.Object {
    fileprivate func adding(_ name: String, _ value: JSON) -> JSON.Object {
        var object = self
        object[name] = value
        return object
    }
}
