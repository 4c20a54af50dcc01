// The judgement of one stream where it arrives: fed by FrameReceiver.swift, compared with SendReport.swift.
// Public so that a test can plant faults and see that they are caught.

/// What arrived of one stream.
public struct StreamCheck: Sendable {
    public let stream: FrameStream
    /// Frames and bytes that arrived, duplicates included.
    public private(set) var frames: UInt64 = 0
    public private(set) var bytes: UInt64 = 0
    /// Frames with a number that had arrived before.
    public private(set) var duplicates: UInt64 = 0
    /// Frames that arrived behind one with a higher number.
    public private(set) var reordered: UInt64 = 0
    /// Frames that are not, byte for byte, what the sender sends under their number.
    public private(set) var differing: UInt64 = 0
    /// Where the first of them differs, in words.
    public private(set) var firstDifference: String?
    /// When the first and the last frame arrived, nanoseconds since 1970-01-01 UTC.
    public private(set) var firstArrival: UInt64 = 0
    public private(set) var lastArrival: UInt64 = 0
    /// Pauses of 2 ms or more between two frames: last frame before, first frame after.
    public var silences: [Range<UInt64>] { pauses.map(\.arrivals) }
    /// The same with what the sender did meanwhile.
    public private(set) var pauses: [Pause] = []

    /// A time of 2 ms or more without a frame.
    public struct Pause: Sendable {
        /// Arrival of the last frame before, and of the first one after.
        public var arrivals: Range<UInt64>
        /// When these two were sent, on the sender's clock.
        public var sent: Range<UInt64>
        /// Numbers between the two, which have not arrived by then.
        public var missing: UInt64

        /// Nanoseconds for which the way was interrupted: the pause, less what the sender was late itself.
        public func interruption(rate: Double) -> UInt64 {
            let usual = UInt64(Double(missing + 1) / rate * 1e9)
            let length = sent.upperBound - sent.lowerBound
            let late = length > usual ? length - usual : 0
            let pause = arrivals.upperBound - arrivals.lowerBound
            return pause > late ? pause - late : 0
        }
    }

    private var highest: UInt64?
    private var last: (sequence: UInt64, sent: UInt64) = (0, 0)
    private var seen: [UInt64] = []
    private var expected = [UInt8](repeating: 0, count: 66 * 1024)

    public init(_ stream: FrameStream) { self.stream = stream }

    /// Distinct numbers that arrived.
    public var distinct: UInt64 { frames - duplicates }
    /// Numbers below the highest that have not arrived.
    public var gaps: UInt64 { highest.map { $0 + 1 - distinct } ?? 0 }
    /// Highest number that arrived.
    public var highestSequence: UInt64? { highest }

    /// Whether this number has arrived.
    public func contains(_ sequence: UInt64) -> Bool {
        let word = Int(sequence / 64)
        return word < seen.count && seen[word] & 1 << (sequence % 64) != 0
    }

    /// Numbers the sender's kernel took and that have not arrived.
    public func lost(of sent: SendReport) -> UInt64 { UInt64(missing(of: sent).count) }

    /// Those numbers, in their order.
    public func missing(of sent: SendReport) -> [UInt64] {
        let refused = Set(sent.refused)
        return (0..<sent.nextSequence).filter { !contains($0) && !refused.contains($0) }
    }

    /// Takes one frame.
    ///
    /// - Returns: whether it is one of this stream.
    public mutating func take(_ frame: UnsafeRawBufferPointer, at nanoseconds: UInt64) -> Bool {
        guard let (sequence, time) = stream.identify(frame) else { return false }
        frames += 1
        bytes += UInt64(frame.count)
        compare(frame, sequence, time)
        mark(sequence)
        if firstArrival == 0 { firstArrival = nanoseconds }
        if lastArrival != 0, nanoseconds > lastArrival + 2_000_000 {
            pauses.append(
                Pause(
                    arrivals: lastArrival..<nanoseconds, sent: min(last.sent, time)..<max(last.sent, time),
                    missing: sequence > last.sequence ? sequence - last.sequence - 1 : 0))
        }
        lastArrival = nanoseconds
        last = (sequence, time)
        return true
    }

    private mutating func mark(_ sequence: UInt64) {
        if contains(sequence) {
            duplicates += 1
            return
        }
        if let highest, sequence < highest { reordered += 1 }
        highest = max(highest ?? 0, sequence)
        let word = Int(sequence / 64)
        // A number that no sender reaches is a corrupt one: it must not cost memory.
        guard word < 1 << 24 else { return }
        while seen.count <= word { seen.append(0) }
        seen[word] |= 1 << (sequence % 64)
    }

    private mutating func compare(_ frame: UnsafeRawBufferPointer, _ sequence: UInt64, _ time: UInt64) {
        let difference = expected.withUnsafeMutableBytes { room -> String? in
            let length = stream.write(sequence, time: time, to: room)
            if length != frame.count { return "frame \(sequence) has \(frame.count) bytes instead of \(length)" }
            guard let at = (0..<length).first(where: { room[$0] != frame[$0] }) else { return nil }
            return "frame \(sequence) of \(length) bytes has \(frame[at]) instead of \(room[at]) at offset \(at)"
        }
        guard let difference else { return }
        differing += 1
        if firstDifference == nil { firstDifference = difference }
    }
}
