// Pure: who carries the open taps of one port, by what passes it. Before it: what the capture program has counted since the
// last look (a second). After it: EngineChoices.swift makes a new generation where the choice is another one.
//
// A clone costs the sender the same whether it stands for one frame or for the 45 of a super-frame, whose pages it shares, while
// the worker copies every byte. A switch can put copies out of order for a moment, so there are few: two windows in a row
// within the bound lead to the kernel; what is above it has to add up before they lead back, and who has led back soon is
// believed after twice as many.

/// The choice for one port.
package struct EngineChoice: Equatable {
    /// What has passed the port since the last look.
    package struct Traffic: Equatable {
        /// Frames on the wire.
        package var frames: UInt64
        /// Clones that the kernel has made of them, or would have made.
        package var clones: UInt64

        package init(frames: UInt64 = 0, clones: UInt64 = 0) {
            self.frames = frames
            self.clones = clones
        }
    }

    package private(set) var isKernel = false
    /// What a frame costs the sender if the kernel carries it, ns; in the last window.
    package private(set) var cost = 0.0

    private var window = Traffic()
    /// Windows within the bound, one after the other, and how many of them lead to the kernel.
    private var good = 0
    private var patience = Self.usualPatience
    /// What was above the bound, in bounds, summed over the windows; what is below takes away from it.
    private var excess = 0.0
    /// Windows since the kernel was chosen.
    private var age = 0

    /// Frames that make a window; fewer wait for the next look. So a quiet port keeps its engine.
    package static let leastFrames: UInt64 = 1000
    /// In windows.
    package static let usualPatience = 2
    package static let longestPatience = 256
    /// Windows after which going back is not soon.
    package static let soon = 60
    /// Of `excess`: frames of their own at the usual bound lead back in three windows, a tenth too much in 90.
    private static let most = 9.0

    package init() {}

    /// Takes a look in.
    ///
    /// - Parameter bound: ns that a frame may cost the sender.
    package mutating func take(_ traffic: Traffic, bound: Int) {
        window.frames += traffic.frames
        window.clones += traffic.clones
        if window.frames < Self.leastFrames { return }
        cost = Double(Dataplane.senderCost) * Double(window.clones) / Double(window.frames)
        window = Traffic()
        if !isKernel {
            good = cost <= Double(bound) ? good + 1 : 0
            if good >= patience { (isKernel, good, excess, age) = (true, 0, 0, 0) }
            return
        }
        age += 1
        excess = max(0, excess + min(cost / Double(bound) - 1, Self.most / 3))
        if excess < Self.most { return }
        isKernel = false
        patience = age < Self.soon ? min(patience * 2, Self.longestPatience) : Self.usualPatience
    }

    /// The way out does not take super-frames: the kernel would segment them in the sender's time.
    package mutating func withdraw() { (isKernel, window, good) = (false, Traffic(), 0) }
}
