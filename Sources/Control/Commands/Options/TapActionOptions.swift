// What may be done to the copies of a tap flow or tap mirror, as options of `create` and `update`.
// Before: the command line. After: the attributes of the request, which the API checks.

package import ArgumentParser
package import ControlModel

/// `--filter`, `--snaplen`, `--one-in`, `--per`, `--bit-rate`, `--frame-rate`.
package struct TapActionOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Only frames that match, in the syntax of pcap-filter(7), such as 'tcp port 80'; '' for all frames.",
            valueName: "expression"))
    package var filter: String?

    @Option(
        help: ArgumentHelp(
            "Keep this many bytes of each frame, 14 to 65535, from its Ethernet header on; 0 for all.",
            valueName: "bytes"))
    package var snaplen: Int64?

    @Option(help: ArgumentHelp("Sample one in N, 1 to 1000000; 1 for all.", valueName: "N"))
    package var oneIn: Int64?

    package enum Unit: String, ExpressibleByArgument, CaseIterable, Sendable { case frame, flow }

    @Option(help: ArgumentHelp("What --one-in counts: frames, or flows in both directions.", valueName: "frame|flow"))
    package var per: Unit?

    @Option(help: ArgumentHelp("At most this many bits a second, such as 100M; 0 for no limit.", valueName: "rate"))
    package var bitRate: DecimalCount?

    @Option(help: ArgumentHelp("At most this many frames a second, such as 10k; 0 for no limit.", valueName: "rate"))
    package var frameRate: DecimalCount?

    package init() {}

    package mutating func validate() throws {
        if per != nil, oneIn == nil { throw ValidationError("--per goes with --one-in N") }
    }

    /// The attributes that were given; what takes an action away is null.
    package var attributes: JSON.Object {
        var attributes: JSON.Object = [:]
        if let filter { attributes["filter"] = filter.isEmpty ? .null : .string(filter) }
        if let snaplen { attributes["snaplen"] = snaplen == 0 ? .null : .integer(snaplen) }
        if let oneIn {
            attributes["sampling"] =
                oneIn == 1 ? .null : ["one_in": .integer(oneIn), "per": .string((per ?? .frame).rawValue)]
        }
        let limits = [("bits_per_second", bitRate), ("frames_per_second", frameRate)].filter { $0.1 != nil }
        if !limits.isEmpty {
            let set = limits.filter { $0.1!.value > 0 }
            attributes["rate_limit"] =
                set.isEmpty ? .null : .object(JSON.Object(set.map { ($0.0, .integer($0.1!.value)) }))
        }
        return attributes
    }
}

/// A whole number that may end in k, M or G (powers of 1000).
package struct DecimalCount: ExpressibleByArgument, Hashable, Sendable {
    package let value: Int64

    package init?(argument: String) {
        let units: [Character: Int64] = ["k": 1000, "M": 1_000_000, "G": 1_000_000_000]
        let unit = argument.last.flatMap { units[$0] }
        guard let number = Int64(unit == nil ? argument : String(argument.dropLast())), number >= 0 else { return nil }
        let (value, overflow) = number.multipliedReportingOverflow(by: unit ?? 1)
        if overflow { return nil }
        self.value = value
    }
}
