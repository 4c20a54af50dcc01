// What taps do with their frames: VLAN filter, sampling, snap length, rate limit, spread; and that the ledger holds.

import CShims
import FastPath
import MirrorProgram
import Testing

/// A port whose taps act, toward destinations that stand for themselves.
private final class ActionRig {
    let rig = Rig(chunks: 4096)
    let uplink = FakeUplink(number: 1, size: 2048)
    let destinations = (0..<4).map { _ in CounterBlock.allocate() }
    let spread = CounterBlock.allocate()
    var counters: [CounterBlock] = []
    var states: [TapState] = []
    private var generation: UInt32 = 0
    private var time: UInt64 = 0

    func tap(_ change: (inout MirrorProgram.Tap) -> Void) -> MirrorProgram.Tap {
        var tap = MirrorProgram.Tap(id: "t", port: "p", direction: .both, destinations: ["d"])
        change(&tap)
        return tap
    }

    /// - Parameters:
    ///   - taps: with the destinations' indices and whether they use the spread over 1, 2 and 3.
    ///   - down: destinations that cannot be reached.
    ///   - watched: numbers of the taps that destination 0 looks on.
    func run(
        _ taps: [(MirrorProgram.Tap, [Int], spread: Bool)], down: Set<Int> = [], limit: Int = 9000,
        watched: Set<Int> = [], cap: MirrorProgram.RateLimit? = nil
    ) {
        generation += 1
        while counters.count < taps.count {
            counters.append(.allocate())
            states.append(.allocate())
        }
        let rows = taps.enumerated().map { index, tap in
            Selection.Tap(
                counters: counters[index], destinations: tap.1, spreads: tap.spread ? [0] : [],
                watchers: watched.contains(index) ? [0] : [],
                actions: (tap.0, states[index]))
        }
        let spreads = Selection.SpreadPlan(
            counters: spread, members: [(id: "one", index: 1), (id: "two", index: 2), (id: "three", index: 3)])
        let plans = destinations.indices.map { index in
            DestinationPlan(
                encapsulation: nil, frameLimit: limit, uplink: uplink.uplink,
                fate: down.contains(index) ? .noRoute : nil,
                counters: destinations[index])
        }
        let needsSpread = taps.contains { $0.spread }
        _ = rig.publish(
            Selection(
                generation: generation, ports: [.init(slot: 0, taps: rows, spreads: needsSpread ? [spreads] : [])]),
            plans, [uplink], limits: [cap])
    }

    /// - Returns: what was sent.
    @discardableResult
    func push(_ frames: [[UInt8]], every step: UInt64 = 1000, flags: hs_record_flags = HS_UNFILTERED) -> [[UInt8]] {
        var sent: [[UInt8]] = []
        for frame in frames {
            time += step
            var one = record(time: time, taps: .max, generation: generation, length: frame.count)
            one.flags = UInt8(flags.rawValue)
            rig.rings[0].push(one, frame)
            rig.run()
            sent += uplink.sent(rig.area)
        }
        rig.run()
        return sent
    }

    func expectBalance() {
        for block in destinations + counters + [spread] {
            #expect(block.offered == block.frames + DropReason.allCases.reduce(0) { $0 + block.drops($1) })
        }
    }
}

private func flow(_ number: Int, back: Bool = false, payload: Int = 40) -> [UInt8] {
    let (one, other): ([UInt8], [UInt8]) = ([10, 0, 0, 1], [10, 1, UInt8(number >> 8), UInt8(number & 255)])
    return Frames.udp4(
        payload: Frames.payload(payload), source: back ? other : one, destination: back ? one : other,
        ports: back ? (53, 4000) : (4000, 53))
}

@Suite struct ActionTests {
    private let lab = ActionRig()

    @Test func takesTheVLANsOfItsFilter() {
        lab.run([(lab.tap { $0.vlanFilter = .init("5,100-102") }, [0], false)])
        let tagged = { (id: UInt16) in Frames.tcp4(payload: [1], tags: [(0x8100, id | 0x6000)]) }
        let inner = Frames.tcp4(payload: [1], tags: [(0x88A8, 9), (0x8100, 5)])
        let sent = lab.push([tagged(5), tagged(6), tagged(100), tagged(102), tagged(103), flow(1), inner])
        #expect(sent == [tagged(5), tagged(100), tagged(102)])
        #expect(lab.destinations[0].offered == 3 && lab.counters[0].offered == 3, "what is filtered is not offered")
    }

    @Test func samplesEveryNthFrame() {
        lab.run([(lab.tap { $0.sampling = .init(oneIn: 4) }, [0], false)])
        let frames = (0..<42).map { flow($0) }
        #expect(lab.push(frames) == stride(from: 3, to: 42, by: 4).map { frames[$0] })
        // Two frames were counted toward the next: another program changes nothing in that.
        lab.run([(lab.tap { $0.sampling = .init(oneIn: 4) }, [0], false)])
        #expect(lab.push(Array(frames.prefix(3))) == [frames[1]])
        #expect(lab.counters[0].offered == 11)
    }

    @Test func samplesWholeFlows() {
        lab.run([(lab.tap { $0.sampling = .init(oneIn: 4, per: .flow) }, [0], false)])
        var taken = 0
        for number in 0..<800 {
            let sent = lab.push([flow(number), flow(number, back: true), flow(number)])
            #expect(sent.count == 0 || sent.count == 3)
            taken += sent.count / 3
        }
        #expect((150...250).contains(taken), "\(taken) of 800")
    }

    @Test func theLongestSnapLengthWins() {
        lab.run([
            (lab.tap { $0.snaplen = 60 }, [0, 1], false), (lab.tap { $0.snaplen = 100 }, [0], false),
            (lab.tap { _ in }, [2], false),
        ])
        let frame = flow(1, payload: 400)
        let sent = lab.push([frame])
        #expect(sent == [Array(frame.prefix(100)), Array(frame.prefix(60)), frame])
        #expect(lab.destinations.map(\.truncated) == [1, 1, 0, 0])
        #expect(lab.counters[0].truncated == 2 && lab.counters[2].truncated == 0)
        lab.expectBalance()
    }

    @Test func aShortFrameIsNotCut() {
        lab.run([(lab.tap { $0.snaplen = 14 }, [0], false), (lab.tap { $0.snaplen = 1500 }, [1], false)])
        let frame = Frames.tcp4(payload: Frames.payload(10), tags: [(0x8100, 5)])
        #expect(lab.push([frame]) == [Array(frame.prefix(14)), frame])
        #expect(lab.destinations[1].truncated == 0)
    }

    @Test func limitsFrames() {
        // 100 a second: a burst of 10, then one every 10 ms.
        lab.run([(lab.tap { $0.rateLimit = .init(framesPerSecond: 100) }, [0, 1], false)])
        let frames = (0..<200).map { flow($0) }
        #expect(lab.push(frames, every: 1_000_000).count == 2 * (10 + 19))
        #expect(lab.counters[0].drops(.rateLimited) == 2 * (200 - 29))
        #expect(lab.destinations[0].drops(.rateLimited) == 171 && lab.destinations[0].offered == 200)
        lab.expectBalance()
    }

    @Test func limitsBits() {
        // A burst of 100,000 bits holds 12 frames of 1,000 bytes.
        lab.run([(lab.tap { $0.rateLimit = .init(bitsPerSecond: 1_000_000) }, [0], false)])
        let frames = (0..<100).map { flow($0, payload: 1000 - 42) }
        #expect(lab.push(frames, every: 1).count == 12)
        // After 80 ms there are tokens for 10 more, and for what was left.
        #expect(lab.push([frames[0]], every: 80_000_000).count == 1)
        #expect((9...10).contains(lab.push(frames, every: 1).count))
        // What is cut to 100 bytes costs 800 bits.
        lab.run([
            (
                lab.tap {
                    $0.rateLimit = .init(bitsPerSecond: 1_000_000); $0.snaplen = 100
                }, [0], false
            )
        ])
        _ = lab.push([frames[0]], every: 200_000_000)
        #expect(lab.push((0..<200).map { flow($0, payload: 1000) }, every: 1).count == 124)
        lab.expectBalance()
    }

    @Test func aLimitThatIsChangedForgetsTheOther() {
        lab.run([(lab.tap { $0.rateLimit = .init(framesPerSecond: 10) }, [0], false)])
        #expect(lab.push((0..<50).map { flow($0) }).count == 1)
        lab.run([(lab.tap { $0.rateLimit = .init(bitsPerSecond: 1_000_000_000) }, [0], false)])
        #expect(lab.push((0..<50).map { flow($0) }).count == 50, "no frames are counted any more")
        lab.expectBalance()
    }

    /// By the clock, not by the records' times: what can be said is how many fit into the bucket.
    @Test func anUplinkHasACap() {
        let lab = ActionRig()
        let frames = (0..<200).map { _ in flow(1) }
        lab.run([(lab.tap { _ in }, [0, 1], false)], cap: .init(framesPerSecond: 100))
        #expect((10...14).contains(lab.push(frames).count), "a tenth of a second's worth")
        let dropped = lab.destinations[0].drops(.uplinkLimited) + lab.destinations[1].drops(.uplinkLimited)
        #expect(dropped == lab.counters[0].drops(.uplinkLimited) && (386...390).contains(dropped))
        lab.expectBalance()
        // A cap that is taken away with the next table holds nobody up.
        lab.run([(lab.tap { _ in }, [0, 1], false)])
        #expect(lab.push(frames).count == 400)
        // Bits count the whole packet.
        lab.run([(lab.tap { _ in }, [0], false)], cap: .init(bitsPerSecond: 1_214_400))
        let long = (0..<50).map { _ in flow(1, payload: 1400) }
        #expect((10...12).contains(lab.push(long).count))
        lab.expectBalance()
    }

    @Test func aFrameLargerThanTheBucketPassesAFullOne() {
        lab.run([(lab.tap { $0.rateLimit = .init(bitsPerSecond: 8_000) }, [0], false)])
        #expect(lab.push([flow(1, payload: 8000), flow(1, payload: 8000)], every: 1).count == 1)
    }

    @Test func anotherTapCarriesWhatOneMayNot() {
        lab.run([
            (lab.tap { $0.rateLimit = .init(framesPerSecond: 1) }, [0, 1], false), (lab.tap { _ in }, [0], false),
        ])
        #expect(lab.push([flow(1), flow(2)]).count == 3)
        #expect(lab.destinations[0].drops(.rateLimited) == 0 && lab.destinations[0].frames == 2)
        #expect(lab.destinations[1].drops(.rateLimited) == 1 && lab.destinations[1].frames == 1)
        #expect(lab.counters[0].drops(.rateLimited) == 2 && lab.counters[0].frames == 2)
        lab.expectBalance()
    }

    @Test func aSpreadKeepsFlowsTogetherAndReachesAll() {
        lab.run([(lab.tap { _ in }, [], true)])
        for number in 0..<300 {
            let before = lab.destinations.map(\.frames)
            lab.push([flow(number), flow(number, back: true)])
            let gained = zip(lab.destinations, before).map { $0.frames - $1 }
            #expect(gained.sorted() == [0, 0, 0, 2])
        }
        #expect(
            lab.destinations[1...].allSatisfy { (140...260).contains($0.frames) }, "\(lab.destinations.map(\.frames))")
        #expect(lab.spread.frames == 600 && lab.counters[0].frames == 600)
        lab.expectBalance()
    }

    @Test func aMemberThatLeavesMovesItsOwnFlowsOnly() {
        func members(down: Set<Int>) -> [Int] {
            lab.run([(lab.tap { _ in }, [], true)], down: down)
            return (0..<200).map { number in
                let before = lab.destinations.map(\.offered)
                lab.push([flow(number)])
                return lab.destinations.indices.first { lab.destinations[$0].offered != before[$0] }!
            }
        }
        let (all, some) = (members(down: []), members(down: [2]))
        for (one, other) in zip(all, some) { #expect(one == 2 ? other != 2 : one == other) }
        #expect(lab.destinations[2].drops(.noRoute) == 0)
        #expect(members(down: [1, 2, 3]) == all, "nobody can be reached: the best of all counts it")
        #expect(lab.spread.drops(.noRoute) == 200)
        lab.expectBalance()
    }

    @Test func aMemberThatIsNamedTwiceGetsAFrameOnce() {
        lab.run([(lab.tap { _ in }, [], true), (lab.tap { _ in }, [1, 2, 3], false)])
        #expect(lab.push((0..<50).map { flow($0) }).count == 150)
        #expect(lab.spread.frames == 50)
        lab.expectBalance()
    }

    @Test func whatCannotBeReadIsDroppedForTheSpreadItself() {
        lab.run([(lab.tap { _ in }, [0], true)])
        lab.push([[1, 2, 3]])
        #expect(lab.spread.drops(.malformed) == 1 && lab.destinations[0].drops(.malformed) == 1)
        #expect(lab.counters[0].drops(.malformed) == 2)
        lab.expectBalance()
    }

    @Test func whoLooksOnGetsWhatTheTapCarries() {
        let tap = lab.tap {
            $0.sampling = .init(oneIn: 3)
            $0.snaplen = 60
        }
        // A second tap that nobody looks on, toward the same destination.
        lab.run([(tap, [1], false), (lab.tap { $0.snaplen = 50 }, [2], false)], watched: [0])
        let frames = (0..<30).map { flow($0, payload: 200) }
        let sent = lab.push(frames)
        let wanted = stride(from: 2, to: 30, by: 3).map { Array(frames[$0].prefix(60)) }
        #expect(sent.filter { $0.count == 60 } == wanted.flatMap { [$0, $0] }, "the same frames, each once more")
        #expect(lab.destinations[0].frames == 10 && lab.destinations[0].truncated == 10)
        #expect(lab.counters[0].frames == 10 && lab.counters[0].bytes == 600, "the tap does not count the onlooker's")
        #expect(lab.counters[1].frames == 30 && lab.destinations[1].frames == 10 && lab.destinations[2].frames == 30)
        lab.expectBalance()
    }

    @Test func whoLooksOnCountsForNobody() {
        lab.run(
            [(lab.tap { $0.rateLimit = .init(framesPerSecond: 100) }, [1, 2], false), (lab.tap { _ in }, [], true)],
            watched: [0])
        lab.push((0..<50).map { flow($0) }, every: 1)
        #expect(lab.counters[0].frames == 20 && lab.counters[0].drops(.rateLimited) == 80)
        #expect(lab.destinations[0].offered == 10, "what the tap may not carry is no copy that an onlooker lost")
        #expect(lab.counters[1].frames == 50 && lab.spread.frames == 50)
        lab.expectBalance()
    }

    @Test func whoLooksOnTwoTapsGetsAFrameOnceWithTheLongestSnapLength() {
        lab.run(
            [(lab.tap { $0.snaplen = 60 }, [1], false), (lab.tap { $0.snaplen = 80 }, [2], false)], watched: [0, 1])
        let frame = flow(1, payload: 200)
        #expect(lab.push([frame]).map(\.count).sorted() == [60, 80, 80])
        #expect(lab.destinations[0].frames == 1 && lab.counters[0].bytes == 60 && lab.counters[1].bytes == 80)
        lab.expectBalance()
    }

    @Test func aTapThatDoesNothingElseIsWatchedToo() {
        lab.run([(lab.tap { _ in }, [1, 2], false)], watched: [0])
        let frame = flow(1)
        #expect(lab.push([frame], flags: hs_record_flags(0)) == [frame, frame, frame])
        // What cannot be read is nobody's copy.
        lab.push([[1, 2, 3]])
        #expect(lab.destinations[0].offered == 1 && lab.counters[0].offered == 4)
        lab.expectBalance()
    }
}
