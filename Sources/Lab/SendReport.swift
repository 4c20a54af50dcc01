// What FrameSender.swift has done; StreamCheck.swift is judged against it.

/// What a sender has really sent.
public struct SendReport: Sendable, Hashable {
    /// Frames the kernel took, and their bytes without frame check sequence.
    public var frames: UInt64 = 0
    public var bytes: UInt64 = 0
    /// Sequence numbers begin at 0; those below this one were handed to the kernel.
    public var nextSequence: UInt64 = 0
    /// Sequence numbers the device refused for want of room. They are not in `frames` and are not sent again, since a
    /// frame may be refused behind the hook that captures it.
    public var refused: [UInt64] = []
    /// When the first and the last frame were sent, nanoseconds since 1970-01-01 UTC.
    public var began: UInt64 = 0
    public var ended: UInt64 = 0
    /// Times the sender moved to another CPU.
    public var moves: Int = 0

    public init() {}

    /// Frames a second.
    public var rate: Double { ended > began ? Double(frames) / (Double(ended - began) / 1e9) : 0 }
}
