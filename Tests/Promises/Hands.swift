// What somebody does on the host by hand while the dataplane runs, and the judge of it: streams pass through the port that
// the hands are laid on, and through another one, the witness, that nobody touches. Used by PromiseDrift.swift.

import Foundation
import Lab
import MirrorProgram
import Testing

/// One change by hand.
struct Hand {
    var what: String
    /// What of `KernelObjects` it touches, by the beginning of its name.
    var touches: [String] = []
    var act: (Mirror) throws -> Void
    /// Whether it is put right.
    var isRight: (Mirror) throws -> Bool
}

/// What must become of the originals.
enum Originals {
    case whole
    /// An inline wire may let go what it counts.
    case asCounted
    /// The hand itself takes the link away.
    case unjudged
}

/// Programs and links of ours on the ports of a lab, by what and where.
struct KernelObjects: Equatable {
    var words: [String: String] = [:]

    init(_ mirror: Mirror) throws {
        let host = mirror.lab.host
        for interface in [TappedPair.tappedPort, TappedPair.otherPort, TappedPair.spanPort] {
            for ingress in [true, false] {
                let chain = try host.tcx(of: interface, ingress: ingress)
                words["\(interface) \(ingress ? "ingress" : "egress")"] = "\(chain)"
                for program in chain.programs where interface == TappedPair.spanPort {
                    let shown = try host.command("bpftool", "-j", "prog", "show", "id", "\(program)")
                    let object = try JSONSerialization.jsonObject(with: Data(shown.utf8)) as? [String: Any]
                    let maps = try #require(object?["map_ids"] as? [Int])
                    words["maps of \(program)"] = "\(maps)"
                }
            }
            let driver = try host.command("bpftool", "net", "show", "dev", interface).split(separator: "\n")
                .filter { $0.contains(" driver ") }
            words["\(interface) xdp"] = "\(driver)"
        }
    }

    func except(_ touched: [String]) -> [String: String] {
        words.filter { word in !touched.contains { word.key.hasPrefix($0) } }
    }
}

/// Lays hands on a mirror, one after another.
enum Hands {
    /// From a change by hand until copies flow again, or the status says why not, seconds: the dataplane looks once a second.
    static let limit = 2.0
    /// Frames a second of each of the three streams.
    private static let rate = 3_000.0

    static let witness = "witness"

    /// The tapped port, copied to the monitor; and `span0`, which nobody touches, to the second one.
    static func program(
        _ capture: MirrorProgram.CaptureMode = .tap, pair: String? = nil, engine: MirrorProgram.Engine = .user,
        witness mode: MirrorProgram.CaptureMode = .tap
    ) -> MirrorProgram {
        var program = Mirror.program(to: [Mirror.monitor, Mirror.second])
        program.ports = [
            .init(id: Mirror.port, interface: TappedPair.tappedPort, capture: capture, pair: pair),
            .init(id: witness, interface: TappedPair.spanPort, capture: mode),
        ]
        program.taps = [
            .init(
                id: Mirror.tap, port: Mirror.port, direction: .both, destinations: [Mirror.monitor], engine: engine),
            .init(
                id: witness, port: witness, direction: mode == .span ? .in : .out, destinations: [Mirror.second],
                engine: .user),
        ]
        return program
    }

    /// - Parameter isOrdered: false where copies of a moment may be out of order.
    static func lay(
        _ hands: [Hand], on mirror: Mirror, originals: Originals = .whole, isOrdered: Bool = true
    ) throws {
        let lab = mirror.lab
        let streams = [try Mirror.stream(1), try Mirror.stream(2, fromB: true)]
        let past = try FrameStream(id: 3, from: MAC(0x0200_0000_00FE), to: MAC(0x0200_0000_00FD), lengths: [128])
        let ends = [
            try FrameReceiver(in: lab.b, interface: "eth0", streams: [streams[0]]),
            try FrameReceiver(in: lab.a, interface: "eth0", streams: [streams[1]]),
        ]
        let copies = try mirror.receiver(Mirror.monitor, streams)
        let seen = try mirror.receiver(Mirror.second, [past])
        let senders = [
            try FrameSender(streams[0], in: lab.a, interface: "eth0", rate: rate),
            try FrameSender(streams[1], in: lab.b, interface: "eth0", rate: rate),
            try FrameSender(past, in: lab.feeder, interface: "eth0", rate: rate),
        ]
        try #require(copies.wait(seconds: 5) { $0.streams.allSatisfy { $0.frames > 500 } }, "\(words(mirror))")
        var moments: [UInt64] = []
        for hand in hands {
            let before = try KernelObjects(mirror)
            moments.append(nowNanoseconds())
            try hand.act(mirror)
            let isRight = poll(seconds: limit, every: 0.02) { (try? hand.isRight(mirror)) == true }
            #expect(isRight, "\(hand.what) is not put right: \(words(mirror))")
            let sent = senders.map { $0.report.nextSequence }
            let flows = copies.wait(seconds: limit) { report in
                zip(report.streams, sent).allSatisfy { ($0.highestSequence ?? 0) > $1 + 300 }
            }
            #expect(flows, "\(hand.what): no copies: \(words(mirror))")
            let after = try KernelObjects(mirror)
            #expect(after.except(hand.touches) == before.except(hand.touches), "\(hand.what): what was right")
        }
        let sent = try senders.map { try $0.stop() }
        let arrived = ends.map { $0.settle() }
        for (report, sent) in zip(arrived, sent) { try judge(report, sent, originals, mirror) }
        let check = seen.settle().streams[0]
        check.expectWhole(sent[2], "the witness's copies")
        let lost = zip(arrived, sent).reduce(0) { $0 + $1.0.streams[0].lost(of: $1.1) }
        let count = sent[0].frames + sent[1].frames
        print(
            "figure: by hand: \(lost) of \(count) originals lost, \(check.lost(of: sent[2])) of \(sent[2].frames) of the witness's copies"
        )
        let checks = copies.settle().streams
        for check in checks {
            #expect(check.differing == 0 && check.duplicates == 0, "\(check.firstDifference ?? "")")
            #expect(!isOrdered || check.reordered == 0)
        }
        tell(hands, moments, checks)
        try mirror.ledger()
        for receiver in ends + [copies, seen] { try receiver.stop() }
    }

    private static func judge(
        _ report: ReceiveReport, _ sent: SendReport, _ originals: Originals, _ mirror: Mirror
    ) throws {
        switch originals {
        case .whole: try mirror.expectOriginals(report, sent)
        case .asCounted:
            let dropped = try mirror.statistics().inline.flatMap(\.drops.values).reduce(0, +)
            #expect(report.streams[0].lost(of: sent) <= dropped)
        case .unjudged: break
        }
    }

    /// The longest time without a copy after each hand.
    private static func tell(_ hands: [Hand], _ moments: [UInt64], _ checks: [StreamCheck]) {
        for (index, hand) in hands.enumerated() {
            let next = index + 1 < moments.count ? moments[index + 1] : .max
            let near = checks.flatMap(\.pauses).filter {
                $0.arrivals.upperBound > moments[index] && $0.arrivals.lowerBound < next
            }
            let longest = near.map { $0.arrivals.upperBound - $0.arrivals.lowerBound }.max() ?? 0
            let missing = near.reduce(0) { $0 + $1.missing }
            print(
                "figure: \(hand.what): longest time without a copy \(longest / 1_000_000) ms, \(missing) copies missing"
            )
            #expect(Double(longest) / 1e9 <= limit, "\(hand.what)")
        }
    }

    /// For a failure's message.
    static func words(_ mirror: Mirror) -> String {
        (try? mirror.status()).map { "\($0.ports) \($0.taps) \($0.destinations)" } ?? "nobody answers"
    }
}
