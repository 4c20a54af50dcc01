// Who carries a port whose engine is open: by windows of traffic, and by what its taps allow.

import FastPathHost
import MirrorProgram
import Testing

@Suite struct EngineChoiceTests {
    /// A second of so many frames in buffers of so many frames each.
    private static func second(_ frames: UInt64, by size: UInt64) -> EngineChoice.Traffic {
        .init(frames: frames, clones: frames / size)
    }

    private static let superFrames = second(10_000, by: 40), single = second(10_000, by: 1)

    /// Takes seconds in; what was chosen after each, `k` for the kernel.
    private static func run(
        _ choice: inout EngineChoice, _ seconds: [EngineChoice.Traffic], bound: Int = 350
    ) -> String {
        String(
            seconds.map {
                choice.take($0, bound: bound)
                return choice.isKernel ? "k" : "u"
            })
    }

    private static func chosen(_ seconds: [EngineChoice.Traffic], bound: Int = 350) -> String {
        var choice = EngineChoice()
        return run(&choice, seconds, bound: bound)
    }

    private static func times(_ count: Int, _ second: EngineChoice.Traffic) -> [EngineChoice.Traffic] {
        [EngineChoice.Traffic](repeating: second, count: count)
    }

    @Test(
        "1,500 ns a clone, 350 a frame: some 4.3 frames a super-frame",
        arguments: [
            (second(10_000, by: 1), 350, "uuu"), (second(10_000, by: 4), 350, "uuu"),
            (second(10_000, by: 5), 350, "ukk"), (second(10_000, by: 45), 350, "ukk"),
            // Nine of ten frames in super-frames of 40, the rest alone: 325 clones for 2,800 frames.
            (EngineChoice.Traffic(frames: 2_800, clones: 70 + 255), 350, "ukk"),
            // Half of the frames alone.
            (EngineChoice.Traffic(frames: 2_800, clones: 35 + 1_400), 350, "uuu"),
            // Two destinations are two clones.
            (EngineChoice.Traffic(frames: 10_000, clones: 4_000), 350, "uuu"),
            (second(10_000, by: 2), 750, "ukk"), (second(10_000, by: 45), 33, "uuu"),
            (second(10_000, by: 45), 34, "ukk"), (second(10_000, by: 45), 0, "uuu"),
        ])
    func theBound(_ second: EngineChoice.Traffic, _ bound: Int, _ expected: String) {
        #expect(Self.chosen(Self.times(3, second), bound: bound) == expected)
    }

    /// Fewer frames than a window's wait for the next look, and none decide nothing.
    @Test func aQuietPortKeepsItsEngine() {
        let (few, none) = (Self.second(400, by: 40), EngineChoice.Traffic())
        #expect(Self.chosen(Self.times(6, few)) == "uuuuuk")
        var choice = EngineChoice()
        #expect(Self.run(&choice, Self.times(2, Self.superFrames)) == "uk")
        #expect(Self.run(&choice, Self.times(500, none)).allSatisfy { $0 == "k" })
        #expect(Self.run(&choice, Self.times(8, Self.second(333, by: 1))) == "kkkkkkkk")
        #expect(Self.run(&choice, Self.times(4, Self.second(333, by: 1))).last == "u")
    }

    /// What leads to the kernel comes in a row; what leads back adds up.
    @Test func itDoesNotFlap() {
        let (good, bad) = (Self.superFrames, Self.single)
        #expect(Self.chosen([good, bad, good, bad, good, bad, good, good, bad, bad, bad]) == "uuuuuuukkku")
        var choice = EngineChoice()
        #expect(Self.run(&choice, [good, good, bad, bad]) == "ukkk")
        // Three seconds within the bound take one's worth of too much away each.
        #expect(Self.run(&choice, [good, good, good, bad, bad]) == "kkkku")
        // Every other second above it, by a tenth: no less below it.
        var other = EngineChoice()
        let (above, below) = (EngineChoice.Traffic(frames: 7_000, clones: 1_797), Self.second(7_000, by: 10))
        #expect(
            Self.run(&other, [good, good] + (0..<600).map { $0 % 2 == 0 ? above : below }).dropFirst().contains("u")
                == false)
        // Above it by a tenth all the time: a minute and a half.
        #expect(Self.run(&other, Self.times(85, above)).contains("u") == false)
        #expect(Self.run(&other, Self.times(15, above)).last == "u")
    }

    /// Who has led back soon is believed after twice as many windows, up to 256; a minute later after two again.
    @Test func patience() {
        var choice = EngineChoice()
        for patience in [2, 4, 8, 16, 32, 64, 128, 256, 256] {
            let there = Self.run(&choice, Self.times(patience, Self.superFrames))
            #expect(there == String(repeating: "u", count: patience - 1) + "k")
            #expect(Self.run(&choice, Self.times(3, Self.single)) == "kku")
        }
        _ = Self.run(&choice, Self.times(256 + EngineChoice.soon, Self.superFrames))
        #expect(Self.run(&choice, Self.times(3, Self.single)) == "kku")
        #expect(Self.run(&choice, Self.times(2, Self.superFrames)) == "uk")
    }

    /// An uplink that takes no super-frames any more ends it at once.
    @Test func withdrawn() {
        var choice = EngineChoice()
        _ = Self.run(&choice, Self.times(2, Self.superFrames))
        choice.withdraw()
        #expect(!choice.isKernel)
        #expect(Self.run(&choice, Self.times(2, Self.superFrames)) == "uk")
    }

    // MARK: What a program allows

    private static func offers(
        _ taps: [MirrorProgram.Tap], auto: AutoEngine = .chosen([]), capture: MirrorProgram.CaptureMode = .tap
    ) -> CapturePlan {
        let destinations = ["d", "e"].map {
            MirrorProgram.Destination(id: $0, target: .tunnel(.init(remote: .init("192.0.2.9")!, tunnelID: 7)))
        }
        let program = MirrorProgram(
            ports: [.init(id: "p", interface: "v0", capture: capture), .init(id: "q", interface: "v1")],
            destinations: destinations, taps: taps)
        return CapturePlan(program, slots: ["p": 0, "q": 1], auto: auto)
    }

    private static func tap(
        _ id: String, _ direction: MirrorProgram.Direction, _ engine: MirrorProgram.Engine = .auto,
        to destinations: [String] = ["d"]
    ) -> MirrorProgram.Tap {
        .init(id: id, port: "p", direction: direction, destinations: destinations, engine: engine)
    }

    private static let into = CapturePoint(slot: 0, direction: 0), out = CapturePoint(slot: 0, direction: 1)

    @Test func theChosenPortIsTheKernels() {
        let taps = [
            Self.tap("t", .both), .init(id: "u", port: "q", direction: .both, destinations: ["e"]),
        ]
        let plan = Self.offers(taps)
        #expect(plan.offers["p"]?.clones == [Self.into: 1, Self.out: 1] && plan.offers["p"]?.destinations == ["d"])
        #expect(plan.carried.values.allSatisfy { $0.taps.isEmpty })
        let chosen = Self.offers(taps, auto: .chosen(["p"]))
        #expect(chosen.offers == plan.offers)
        #expect(
            chosen.carried.filter { !$0.value.taps.isEmpty }.keys.sorted { $0.direction < $1.direction } == [
                Self.into, Self.out,
            ])
        let all = Self.offers(taps, auto: .kernel)
        #expect(all.offers.isEmpty && all.carried.values.allSatisfy { $0.taps.count == 1 })
    }

    /// Clones that are made anyway are not what the choice adds.
    @Test func onlyWhatIsOpenCounts() {
        let plan = Self.offers([Self.tap("k", .both, .kernel), Self.tap("t", .out, to: ["d", "e"])])
        // Beside an open tap that the worker carries, the kernel has to leave `d` to it as well.
        #expect(plan.offers["p"]?.clones == [Self.into: 0, Self.out: 2])
        #expect(Self.offers([Self.tap("k", .both, .kernel)]).offers.isEmpty)
        #expect(Self.offers([Self.tap("u", .both, .user)]).offers.isEmpty)
        #expect(Self.offers([Self.tap("t", .in)], capture: .span).offers.isEmpty)
        let beside = Self.offers([Self.tap("k", .both, .kernel, to: ["e"]), Self.tap("t", .out)])
        #expect(beside.offers["p"]?.clones == [Self.into: 0, Self.out: 1])
    }

    /// Order holds across directions: a destination of the port is one engine's in both.
    @Test func aDestinationIsOneEnginesInBothDirections() {
        var sampled = Self.tap("s", .in)
        sampled.sampling = .init(oneIn: 2)
        #expect(Self.offers([Self.tap("t", .out), sampled]).offers.isEmpty)
        let carried = Self.offers([Self.tap("t", .out), sampled], auto: .chosen(["p"])).carried
        #expect(carried.values.allSatisfy { $0.taps.isEmpty })
        sampled.destinations = ["e"]
        #expect(Self.offers([Self.tap("t", .out), sampled]).offers["p"]?.destinations == ["d"])
    }
}
