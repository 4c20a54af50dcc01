// A rate limit made ready for the loop: how fast tokens come, how many there can be, and how many there are. Of a tap it is
// asked by TapRules.swift, of an uplink by Uplink.swift.

public import MirrorProgram

/// Tokens that there are. They outlive tables and programs, as counters do.
struct TokenLevels {
    /// What is infinite becomes a full bucket at the first look.
    var frames = Double.infinity
    var bits = Double.infinity
    /// CLOCK_MONOTONIC, ns.
    var filledAt: UInt64 = 0
}

/// A limit in frames and bits; the burst is a tenth of a second's worth, and at least one full frame.
public struct TokenBucket: Sendable {
    /// Whether there is a limit at all.
    let isLimited: Bool
    private let framesPerNanosecond, bitsPerNanosecond: Double
    private let frameBurst, bitBurst: Double

    /// - Parameter limit: nil for none.
    public init(_ limit: MirrorProgram.RateLimit?) {
        isLimited = limit != nil
        framesPerNanosecond = Double(limit?.framesPerSecond ?? 0) / 1e9
        bitsPerNanosecond = Double(limit?.bitsPerSecond ?? 0) / 1e9
        frameBurst = limit?.framesPerSecond.map { max(1, Double($0) / 10) } ?? .infinity
        bitBurst = limit?.bitsPerSecond.map { max(Self.fullFrame, Double($0) / 10) } ?? .infinity
    }

    /// Bits of an Ethernet frame with 1,500 bytes of payload and one tag.
    private static var fullFrame: Double { 1518 * 8 }

    /// Puts in what has come since the last time.
    @inline(__always)
    func fill(_ levels: inout TokenLevels, at now: UInt64) {
        var elapsed = 0.0
        if now > levels.filledAt {
            elapsed = Double(now &- levels.filledAt)
            levels.filledAt = now
        }
        levels.frames = filled(levels.frames, elapsed * framesPerNanosecond, frameBurst)
        levels.bits = filled(levels.bits, elapsed * bitsPerNanosecond, bitBurst)
    }

    /// Whether there is no room for a frame of `bytes`; takes its tokens if there is.
    ///
    /// A frame that is larger than the bucket passes when the bucket is full, and is paid for afterwards.
    @inline(__always)
    func exceed(_ bytes: Int, _ levels: inout TokenLevels) -> Bool {
        let cost = Double(bytes &* 8)
        if levels.frames < 1 || levels.bits < lesser(cost, bitBurst) { return true }
        levels.frames -= 1
        levels.bits -= cost
        return false
    }

    /// Without a limit the bucket is full at once, whatever an earlier limit has left in it.
    @inline(__always)
    private func filled(_ level: Double, _ more: Double, _ burst: Double) -> Double {
        burst == .infinity ? .infinity : lesser(level + more, burst)
    }

    @inline(__always)
    private func lesser(_ one: Double, _ other: Double) -> Double { one < other ? one : other }
}
