// A destination that stands for several: each flow goes to one of them, by rendezvous hashing (highest random weight), so
// that a member which leaves moves its own flows and no others. Before it: Selection.swift. After it: Actions.swift.

/// A spread of one slot.
struct Spread {
    var counters: CounterBlock
    var members: UnsafeMutablePointer<SpreadMember>
    var count: Int

    /// The destination bit of the member that a flow goes to: the best of those that can be reached, or of all when none
    /// can, which then counts its fate.
    @inline(__always)
    func choose(_ hash: UInt32, _ slot: Slot, _ destinations: UnsafeMutablePointer<Destination>) -> Int {
        var best = 0
        var bestScore: UInt64 = 0
        var bestReaches = false
        for index in 0..<count {
            let member = members[index]
            let score = FlowHash.finished(UInt64(hash) &* 0x9E37_79B9_7F4A_7C15 ^ member.seed)
            let reaches = destinations[Int(slot.destinations[Int(member.bit)])].fate == Destination.noFate
            if index == 0 || (reaches && !bestReaches) || (reaches == bestReaches && score > bestScore) {
                best = Int(member.bit)
                bestScore = score
                bestReaches = reaches
            }
        }
        return best
    }
}

struct SpreadMember {
    /// Of the member's id: the same on every host and under every program.
    var seed: UInt64
    /// Destination bit of the slot.
    var bit: UInt8

    /// FNV-1a, 64 bits.
    static func seed(_ id: String) -> UInt64 {
        id.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    }
}
