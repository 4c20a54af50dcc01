// When copies through an uplink are given up for a while. Before it: UplinkRule.swift, which has one. After it: the
// dataplane's UplinkFuse.swift.

extension MirrorProgram {
    /// Copies are shed wholesale while an uplink, or this host, is persistently over its budget.
    public struct Fuse: Hashable, Sendable {
        /// How long most copies must fail, or the kernel drop frames for want of CPU, before it blows; 100 to 60,000 ms.
        public var after: Int
        /// How long nothing is sent then, and how long all must go well before it is whole again; 100 to 3,600,000 ms.
        public var pause: Int

        public init(after: Int = 1_000, pause: Int = 5_000) {
            self.after = after
            self.pause = pause
        }
    }
}

extension MirrorProgram.Fuse: Codable {
    private enum Keys: String, CodingKey, CaseIterable {
        case after = "after_ms"
        case pause = "pause_ms"
    }

    public init(from decoder: any Decoder) throws {
        let object = try decoder.strict(Keys.self)
        let standard = MirrorProgram.Fuse()
        self.init(
            after: try object.decodeIfPresent(Int.self, forKey: .after) ?? standard.after,
            pause: try object.decodeIfPresent(Int.self, forKey: .pause) ?? standard.pause)
    }

    public func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: Keys.self)
        try object.encode(after, forKey: .after)
        try object.encode(pause, forKey: .pause)
    }

    func validate(_ owner: String) throws(ProgramError) {
        if !(100...60_000).contains(after) {
            throw ProgramError("\(owner): after_ms \(after) is not within 100 to 60000")
        }
        if !(100...3_600_000).contains(pause) {
            throw ProgramError("\(owner): pause_ms \(pause) is not within 100 to 3600000")
        }
    }
}
