// What a tap does with the frames of its port, in the order in which it is done: VLAN filter, packet filter, sampling,
// snap length, rate limit. Part of MirrorProgram.swift.

extension MirrorProgram {
    /// Who makes a tap's copies and sends them.
    public enum Engine: String, Codable, Hashable, Sendable, CaseIterable {
        /// The kernel where that costs the sender no more than the dataplane is told to allow, else the worker.
        case auto
        /// The capture program itself, before the original goes on: cheapest in all, at the sender's expense.
        case kernel
        /// The worker, from the capture rings.
        case user
    }

    /// VLAN ids in Tap-as-a-Service syntax: `189,279,999-1008`. A frame matches by its outermost 802.1Q or 802.1ad tag.
    public struct VLANFilter: Hashable, Sendable, LosslessStringConvertible {
        /// As it was written.
        public let description: String
        /// In the order of the text; each within 0 ... 4095.
        public let ranges: [ClosedRange<UInt16>]

        /// Parses a list of ids and ranges; nil for anything else, an id above 4095 and a range that runs backwards.
        public init?(_ text: String) {
            var ranges: [ClosedRange<UInt16>] = []
            for part in text.split(separator: ",", omittingEmptySubsequences: false) {
                let digits = part.split(separator: "-", omittingEmptySubsequences: false)
                guard (1...2).contains(digits.count),
                    digits.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy { (48...57).contains($0) } })
                else { return nil }
                let ends = digits.compactMap { UInt16($0) }
                guard ends.count == digits.count, ends[0] <= ends[ends.count - 1], ends[ends.count - 1] <= 4095 else {
                    return nil
                }
                ranges.append(ends[0]...ends[ends.count - 1])
            }
            self.ranges = ranges
            description = text
        }
    }

    /// One instruction of a classic BPF program (linux/filter.h, struct sock_filter).
    public struct FilterInstruction: Hashable, Sendable {
        public var code: UInt16
        public var jumpTrue, jumpFalse: UInt8
        public var k: UInt32

        public init(code: UInt16, jumpTrue: UInt8, jumpFalse: UInt8, k: UInt32) {
            self.code = code
            self.jumpTrue = jumpTrue
            self.jumpFalse = jumpFalse
            self.k = k
        }
    }

    /// A filter in pcap-filter(7) syntax and what libpcap made of it for Ethernet (DLT_EN10MB).
    ///
    /// The verdict is on the frame as it leaves: a tag that the kernel took out is put back first, a super-frame is
    /// judged by its segments.
    public struct PacketFilter: Hashable, Sendable {
        public var expression: String
        /// Empty until compiled: a program file has the expression alone.
        public var code: [FilterInstruction]

        public init(expression: String, code: [FilterInstruction] = []) {
            self.expression = expression
            self.code = code
        }
    }

    /// One frame, or one flow, in `oneIn`.
    public struct Sampling: Hashable, Sendable {
        public enum Unit: String, Codable, Hashable, Sendable, CaseIterable {
            /// Every N-th frame of the tap.
            case frame
            /// All frames of one flow in N, both directions of it, chosen by the symmetric flow hash.
            case flow
        }

        /// 1 ... 1,000,000; 1 takes everything.
        public var oneIn: UInt32
        public var per: Unit

        public init(oneIn: UInt32, per: Unit = .frame) {
            self.oneIn = oneIn
            self.per = per
        }
    }

    /// Token buckets: what a tap may send, with a tenth of a second's worth as burst (at least one full frame).
    ///
    /// Bits are those of the inner frame as it leaves (after `snaplen`), Ethernet header included.
    public struct RateLimit: Hashable, Sendable {
        /// At least 1; nil for no limit. One of the two is set.
        public var bitsPerSecond: UInt64?
        public var framesPerSecond: UInt64?

        public init(bitsPerSecond: UInt64? = nil, framesPerSecond: UInt64? = nil) {
            self.bitsPerSecond = bitsPerSecond
            self.framesPerSecond = framesPerSecond
        }
    }
}

extension MirrorProgram.VLANFilter: Codable {
    public init(from decoder: any Decoder) throws {
        self = try decodeText(decoder, "a VLAN filter such as 189,279,999-1008 (ids 0 to 4095)")
    }
    public func encode(to encoder: any Encoder) throws { try encodeText(description, encoder) }
}

extension MirrorProgram.PacketFilter: Codable {
    private enum Keys: String, CodingKey, CaseIterable { case expression, code }

    /// `"tcp port 80"`, or `{"expression": "tcp port 80", "code": [[40, 0, 0, 12], …]}` as a control process writes it.
    public init(from decoder: any Decoder) throws {
        if let text = try? decoder.singleValueContainer().decode(String.self) {
            self.init(expression: text)
            return
        }
        let object = try decoder.strict(Keys.self)
        let rows = try object.decodeIfPresent([[UInt32]].self, forKey: .code) ?? []
        self.init(
            expression: try object.decode(String.self, forKey: .expression),
            code: try rows.map { row in
                guard row.count == 4, row[0] <= UInt16.max, row[1] <= UInt8.max, row[2] <= UInt8.max else {
                    throw DecodingError.dataCorruptedError(
                        forKey: .code, in: object,
                        debugDescription: "an instruction is [code, jump true, jump false, k], not \(row)")
                }
                return MirrorProgram.FilterInstruction(
                    code: UInt16(row[0]), jumpTrue: UInt8(row[1]), jumpFalse: UInt8(row[2]), k: row[3])
            })
    }

    public func encode(to encoder: any Encoder) throws {
        if code.isEmpty {
            try encodeText(expression, encoder)
            return
        }
        var object = encoder.container(keyedBy: Keys.self)
        try object.encode(expression, forKey: .expression)
        try object.encode(
            code.map { [UInt32($0.code), UInt32($0.jumpTrue), UInt32($0.jumpFalse), $0.k] }, forKey: .code)
    }
}

extension MirrorProgram.Sampling: Codable {
    private enum Keys: String, CodingKey, CaseIterable {
        case per
        case oneIn = "one_in"
    }

    public init(from decoder: any Decoder) throws {
        let object = try decoder.strict(Keys.self)
        self.init(
            oneIn: try object.decode(UInt32.self, forKey: .oneIn),
            per: try object.decodeIfPresent(Unit.self, forKey: .per) ?? .frame)
    }

    public func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: Keys.self)
        try object.encode(oneIn, forKey: .oneIn)
        try object.encode(per, forKey: .per)
    }
}

extension MirrorProgram.RateLimit: Codable {
    private enum Keys: String, CodingKey, CaseIterable {
        case bitsPerSecond = "bits_per_second"
        case framesPerSecond = "frames_per_second"
    }

    public init(from decoder: any Decoder) throws {
        let object = try decoder.strict(Keys.self)
        self.init(
            bitsPerSecond: try object.decodeIfPresent(UInt64.self, forKey: .bitsPerSecond),
            framesPerSecond: try object.decodeIfPresent(UInt64.self, forKey: .framesPerSecond))
    }

    public func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: Keys.self)
        try object.encodeIfPresent(bitsPerSecond, forKey: .bitsPerSecond)
        try object.encodeIfPresent(framesPerSecond, forKey: .framesPerSecond)
    }
}
