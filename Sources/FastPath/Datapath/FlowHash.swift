// The symmetric hash of a frame's flow: equal for both directions of a conversation, so that a receiver can balance
// by the outer source port and still see both halves. Between Layers.swift and OuterFill.swift on the way of a frame.

package enum FlowHash {
    /// Hash of addresses, protocol and ports of an IP frame; of MAC addresses and EtherType of another.
    ///
    /// Fragments and transports without ports are hashed by addresses and protocol alone, so that all fragments of
    /// a datagram agree.
    /// - Parameter length: bytes that may be read, at least 14.
    @inline(__always)
    package static func symmetric(_ frame: UnsafeRawPointer, _ length: Int, _ layers: Layers) -> UInt32 {
        var sum: UInt64
        if layers.version == 4 {
            let source = UInt64(frame.big32(layers.network &+ 12))
            let destination = UInt64(frame.big32(layers.network &+ 16))
            sum = sorted(source, destination)
        } else if layers.version == 6 {
            let source = mixed(quad(frame, layers.network &+ 8), quad(frame, layers.network &+ 16))
            let destination = mixed(quad(frame, layers.network &+ 24), quad(frame, layers.network &+ 32))
            sum = sorted(source, destination)
        } else {
            let destination = UInt64(frame.big32(0)) << 16 | UInt64(frame.big16(4))
            let source = UInt64(frame.big32(6)) << 16 | UInt64(frame.big16(10))
            return UInt32(truncatingIfNeeded: finished(sorted(source, destination) ^ UInt64(layers.etherType)))
        }
        let hasPorts =
            layers.transport == IPProtocol.tcp || layers.transport == IPProtocol.udp
            || layers.transport == IPProtocol.sctp
        if !layers.isFragment {
            sum ^= UInt64(layers.transport) << 56
            if hasPorts && layers.payload &+ 4 <= length {
                let source = UInt64(frame.big16(layers.payload))
                let destination = UInt64(frame.big16(layers.payload &+ 2))
                sum = mixed(sum, sorted(source, destination))
            }
        }
        return UInt32(truncatingIfNeeded: finished(sum))
    }

    @inline(__always)
    private static func quad(_ frame: UnsafeRawPointer, _ offset: Int) -> UInt64 {
        frame.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
    }

    /// The pair in an order that does not depend on the direction, folded into one word.
    @inline(__always)
    private static func sorted(_ one: UInt64, _ other: UInt64) -> UInt64 {
        one < other ? mixed(one, other) : mixed(other, one)
    }

    @inline(__always)
    private static func mixed(_ one: UInt64, _ other: UInt64) -> UInt64 {
        let product = (one ^ 0x9E37_79B9_7F4A_7C15) &* 0xBF58_476D_1CE4_E5B9
        return (product ^ product >> 31) &+ other &* 0x94D0_49BB_1331_11EB
    }

    /// The finalizer of SplitMix64: every bit of the sum reaches every bit of the hash.
    @inline(__always)
    static func finished(_ sum: UInt64) -> UInt64 {
        var value = (sum ^ sum >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }
}
