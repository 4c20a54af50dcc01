// The next sequence number of the tunnels between two addresses: RFC 2890 numbers what one end sends to the other,
// whatever key or session it has. The host side keeps it while tables come and go; GRE.swift counts it up.

/// A number that the worker alone changes while it runs; the first packet has number 0 unless it is set otherwise.
public struct SequenceWord: @unchecked Sendable {
    let word: UnsafeMutablePointer<UInt32>

    public static func allocate() -> SequenceWord {
        let word = UnsafeMutablePointer<UInt32>.allocate(capacity: 1)
        word.initialize(to: 0)
        return SequenceWord(word: word)
    }

    /// Call it when no table that the worker may hold refers to it.
    public func deallocate() { word.deallocate() }

    /// The number of the next packet.
    public var next: UInt32 { word.pointee }

    /// Call it while no worker has it.
    package func set(_ next: UInt32) { word.pointee = next }
}
