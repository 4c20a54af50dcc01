// What one tap does with the frames of its port, made ready for the loop: filters, sampling, snap length, rate limit, and
// the levels that they carry from frame to frame. Before it: Selection.swift makes them. After it: Actions.swift.

public import MirrorProgram

/// Where a tap's sampler and token buckets stand. It outlives tables and programs, as counters do.
public struct TapState: @unchecked Sendable {
    let levels: UnsafeMutablePointer<TapLevels>

    /// The sampler at its beginning, the buckets full.
    public static func allocate() -> TapState {
        let levels = UnsafeMutablePointer<TapLevels>.allocate(capacity: 1)
        levels.initialize(to: TapLevels())
        return TapState(levels: levels)
    }

    /// Call it when no table that the worker may hold refers to the state.
    public func deallocate() { levels.deallocate() }
}

struct TapLevels {
    /// Frames since the last one that was taken.
    var passed: UInt32 = 0
    var tokens = TokenLevels()
}

/// The actions of one tap.
struct TapRules {
    var filter: ClassicFilter
    /// Bit i of word i / 64: VLAN id i is wanted; nil for every frame.
    var vlans: UnsafeMutablePointer<UInt64>?
    /// One in so many; 1 for all.
    var oneIn: UInt32
    var perFlow: Bool
    /// Bytes that are kept.
    var snaplen: Int
    var limit: TokenBucket
    var levels: UnsafeMutablePointer<TapLevels>

    /// Whether VLAN filter and packet filter take the frame.
    @inline(__always)
    func select(_ frame: WireFrame, _ words: UnsafeMutablePointer<UInt32>) -> Bool {
        if let vlans {
            let vlan = frame.vlan
            if vlan < 0 || vlans[vlan >> 6] >> UInt64(vlan & 63) & 1 == 0 { return false }
        }
        return filter.count == 0 || filter.matches(frame, words)
    }

    /// Whether the frame is one of those that are taken.
    @inline(__always)
    func sample(_ hash: UInt32) -> Bool {
        if oneIn == 1 { return true }
        if perFlow {
            // A hash of the hash: outer source port and spread go by other bits.
            let mixed = UInt32(truncatingIfNeeded: FlowHash.finished(UInt64(hash) | 0x5A3D_1E0F << 32))
            return (UInt64(mixed) &* UInt64(oneIn)) >> 32 == 0
        }
        levels.pointee.passed &+= 1
        if levels.pointee.passed < oneIn { return false }
        levels.pointee.passed = 0
        return true
    }

    /// Whether the rate limit has no room for a frame of `bytes`; takes its tokens if it has.
    @inline(__always)
    func exceed(_ bytes: Int, at now: UInt64) -> Bool {
        if !limit.isLimited { return false }
        limit.fill(&levels.pointee.tokens, at: now)
        return limit.exceed(bytes, &levels.pointee.tokens)
    }
}

extension TapRules {
    /// - Parameters:
    ///   - steps: room for the filter's instructions; it is filled.
    ///   - vlans: room for 64 words where there is a VLAN filter; they are filled.
    init(
        _ tap: MirrorProgram.Tap, _ levels: UnsafeMutablePointer<TapLevels>,
        steps: UnsafeMutablePointer<FilterStep>, vlans: UnsafeMutablePointer<UInt64>?
    ) {
        let code = tap.filter?.code ?? []
        for (index, one) in code.enumerated() {
            (steps + index).initialize(
                to: FilterStep(code: one.code, jumpTrue: one.jumpTrue, jumpFalse: one.jumpFalse, k: one.k))
        }
        if let vlans {
            vlans.initialize(repeating: 0, count: 64)
            for id in (tap.vlanFilter?.ranges ?? []).joined() { vlans[Int(id) >> 6] |= 1 << UInt64(id & 63) }
        }
        self.init(
            filter: ClassicFilter(steps: steps, count: code.count), vlans: vlans,
            oneIn: max(1, tap.sampling?.oneIn ?? 1), perFlow: tap.sampling?.per == .flow,
            snaplen: tap.snaplen ?? .max, limit: TokenBucket(tap.rateLimit), levels: levels)
    }
}

extension MirrorProgram.Tap {
    /// Whether something is done with the tap's frames beyond copying them whole.
    public var hasActions: Bool { isFiltered || snaplen != nil || sampling != nil || rateLimit != nil }
    /// Whether it wants some frames of its direction only.
    public var isFiltered: Bool { vlanFilter != nil || filter?.code.isEmpty == false }
}
