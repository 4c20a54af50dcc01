// Rules for uplinks as an operator writes them: `eth1,dedicated,frames=500000,bits=1000000000`. Before: the command line or
// the configuration file. After: every program that the reconciler makes for this host.

package import MirrorProgram

extension MirrorProgram.UplinkRule {
    /// - Parameter text: interface, then any of `dedicated`, `fuse`, `kind=K`, `frames=N`, `bits=N` (a second), each once.
    /// - Throws: `ServeError` with the part that is wrong.
    package init(text: String) throws(ServeError) {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        self.init(interface: parts[0])
        var limit = MirrorProgram.RateLimit()
        var seen: Set<String> = []
        for part in parts.dropFirst() {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            let (name, value) = (pair[0], pair.count == 2 ? pair[1] : nil)
            if !seen.insert(name).inserted { throw Self.refusal(text, "'\(name)' is there twice") }
            switch (name, value) {
            case ("dedicated", nil): dedicated = true
            case ("fuse", nil): fuse = MirrorProgram.Fuse()
            case ("kind", let value?):
                guard let kind = MirrorProgram.UplinkKind(rawValue: value) else {
                    let kinds = MirrorProgram.UplinkKind.allCases.map(\.rawValue).joined(separator: ", ")
                    throw Self.refusal(text, "'\(value)' is no kind; known: \(kinds)")
                }
                self.kind = kind
            case ("frames", let value?): limit.framesPerSecond = try Self.number(value, text)
            case ("bits", let value?): limit.bitsPerSecond = try Self.number(value, text)
            default:
                throw Self.refusal(text, "'\(part)' is no rule; write dedicated, fuse, kind=K, frames=N or bits=N")
            }
        }
        if limit != .init() { self.limit = limit }
    }

    private static func number(_ value: String, _ text: String) throws(ServeError) -> UInt64 {
        guard let number = UInt64(value) else { throw refusal(text, "'\(value)' is not a number") }
        return number
    }

    private static func refusal(_ text: String, _ reason: String) -> ServeError {
        ServeError("--uplink \(text): \(reason)")
    }
}

extension ServeConfiguration {
    /// - Throws: for a rule that cannot be read, and for rules that no program may have.
    func validateUplinks() throws(ServeError) {
        var rules: [MirrorProgram.UplinkRule] = []
        for text in uplinkTexts { rules.append(try MirrorProgram.UplinkRule(text: text)) }
        do throws(ProgramError) {
            try MirrorProgram(uplinks: rules).validate()
        } catch { throw ServeError("--uplink: \(error)") }
    }
}
