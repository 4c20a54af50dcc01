// What the promises stand on: a lab with a running dataplane, its typed answers, and the ledger laws.
// The witness (Lab) is outside; this file only speaks with what is judged.

import Foundation
import Lab
import MirrorProgram
import Testing

/// Every promise, one after another: DESIGN's own list, each on real namespaces.
@Suite(.serialized, .onNamespaces, .oneLabAtATime, .timeLimit(.minutes(3))) struct Promises {}

/// A lab whose port is mirrored by the real dataplane.
final class Mirror {
    let lab: TappedPair
    let directory: TemporaryDirectory
    private(set) var dataplane: DataplaneProcess

    /// Ids of the programs below.
    static let port = "port", span = "span", tap = "tap"
    static let monitor = "monitor", second = "second", local = "local"

    /// A command that starts every dataplane, with its words.
    @TaskLocal static var wrapper: [String] = []

    private init(_ lab: TappedPair, _ program: MirrorProgram, _ options: [String], supervised: Bool) throws {
        self.lab = lab
        directory = try TemporaryDirectory()
        dataplane = try DataplaneProcess(
            in: lab.host, stateDirectory: directory.path, options: options, supervised: supervised,
            wrapper: Self.wrapper)
        try apply(program)
    }

    /// Builds a lab, starts a dataplane with a program, waits until it is in effect, and takes all down afterwards.
    static func with(
        _ program: MirrorProgram, _ lab: TappedPair.Options = .init(), dataplane options: [String] = [],
        supervised: Bool = false, ready: Bool = true, _ body: (Mirror) throws -> Void
    ) throws {
        try TappedPair.with(lab) { lab in
            let mirror = try Mirror(lab, program, options, supervised: supervised)
            defer {
                mirror.dataplane.terminate()
                mirror.directory.delete()
            }
            if ready { try mirror.waitUntilReady() }
            try body(mirror)
        }
    }

    /// A second dataplane in the lab of the first.
    static func beside(_ mirror: Mirror, _ program: MirrorProgram, _ body: (Mirror) throws -> Void) throws {
        let other = try Mirror(mirror.lab, program, [], supervised: false)
        defer {
            other.dataplane.terminate()
            other.directory.delete()
        }
        try body(other)
    }

    /// Starts the dataplane again on what the last one, which is dead, has left.
    func startAgain(supervised: Bool = false, seconds: Double = 10) throws {
        dataplane.terminate()
        dataplane = try DataplaneProcess(
            in: lab.host, stateDirectory: directory.path, supervised: supervised, seconds: seconds,
            wrapper: Self.wrapper)
    }

    /// A program with one tapped (or span) port and some of the three destinations.
    static func program(
        _ direction: MirrorProgram.Direction = .both, capture: MirrorProgram.CaptureMode = .tap,
        policy: MirrorProgram.CapturePolicy = .require, to destinations: [String] = [monitor]
    ) -> MirrorProgram {
        let interface = capture == .span ? TappedPair.spanPort : TappedPair.tappedPort
        return MirrorProgram(
            generation: 1, ports: [.init(id: port, interface: interface, capture: capture, policy: policy)],
            destinations: destinations.map(destination),
            taps: [.init(id: tap, port: port, direction: direction, destinations: destinations)])
    }

    static func destination(_ id: String) -> MirrorProgram.Destination {
        switch id {
        case monitor: .init(id: id, target: .tunnel(.init(remote: .init(TappedPair.monitorAddress)!, tunnelID: 5001)))
        case second:
            .init(id: id, target: .tunnel(.init(remote: .init(TappedPair.secondMonitorAddress)!, tunnelID: 5002)))
        default: .init(id: id, target: .interface(TappedPair.localPort))
        }
    }

    private func ask(_ request: DataplaneRequest, seconds: Double = 5) throws -> DataplaneReply {
        let line = String(decoding: try JSONEncoder().encode(request), as: UTF8.self)
        let reply = try JSONDecoder().decode(
            DataplaneReply.self, from: Data(try dataplane.request(line, seconds: seconds).utf8))
        if let error = reply.error { throw LabError("the dataplane refused: \(error)") }
        return reply
    }

    @discardableResult
    func apply(_ program: MirrorProgram, seconds: Double = 5) throws -> DataplaneStatus {
        try #require(try ask(.apply(program), seconds: seconds).status)
    }
    func status() throws -> DataplaneStatus { try #require(try ask(.status).status) }
    func statistics() throws -> DataplaneStatistics { try #require(try ask(.stats).stats) }

    /// The ways by which copies leave through the lab's uplink.
    func uplinkKinds() throws -> [MirrorProgram.UplinkKind] {
        try status().uplinks.first { $0.interface == TappedPair.uplink }?.kinds ?? []
    }

    /// Lets the monitor's end of the uplink receive by NAPI, but put no segments together, and waits until an uplink of kind
    /// `live` makes use of it.
    func takeXDPFrames() throws {
        try lab.monitor.ip("link set \(TappedPair.underlay) gro_max_size 1")
        try lab.monitor.offloads(of: TappedPair.underlay, ["gro": true])
        let isLive = try poll(seconds: 5, every: 0.05) { try uplinkKinds().contains(.live) }
        let uplinks = try status().uplinks
        #expect(isLive, "\(uplinks)")
    }

    /// What was dropped by the veth between uplink and monitor, and by the monitor's backlog.
    func droppedBehindUplink() throws -> UInt64 {
        try lab.host.counters(of: TappedPair.uplink).sendDropped
            + [TappedPair.underlay, TappedPair.vxlan].reduce(0) {
                $0 + (try lab.monitor.counters(of: $1).receiveDropped)
            }
    }

    /// State of the destinations for a failure's message.
    var destinationsInWords: String { (try? status()).map { "\($0.destinations)" } ?? "nobody answers" }

    /// Waits until every tap is active and every destination ready.
    func waitUntilReady(seconds: Double = 10) throws {
        var last: DataplaneStatus?
        let ready = poll(seconds: seconds, every: 0.02) {
            // While a supervised dataplane starts anew nobody answers.
            last = try? status()
            return last.map { status in
                !status.taps.isEmpty && status.taps.allSatisfy { $0.state == .active }
                    && status.destinations.allSatisfy { $0.state == .ready }
            } ?? false
        }
        try #require(ready, "not ready after \(seconds) s: \(String(describing: last))")
    }

    /// Statistics once no copy is on its way any more, with the ledger's laws checked.
    ///
    /// - Parameter offered: (frame, destination) pairs that each destination must have been offered, where known.
    @discardableResult
    func ledger(offered: [String: UInt64] = [:], location: SourceLocation = #_sourceLocation) throws
        -> DataplaneStatistics
    {
        var last = try statistics()
        poll(seconds: 5, every: 0.05) {
            guard let next = try? statistics() else { return false }
            defer { last = next }
            return next.destinations == last.destinations && next.taps == last.taps && Self.isBalanced(next)
                && offered.allSatisfy { id, count in next.destinations.contains { $0.id == id && $0.offered >= count } }
        }
        for ledger in last.destinations {
            let dropped = ledger.drops.values.reduce(0, +)
            #expect(
                ledger.offered == ledger.frames + dropped, "destination \(ledger.id): \(ledger)",
                sourceLocation: location)
            if let count = offered[ledger.id] {
                #expect(ledger.offered == count, "destination \(ledger.id): \(ledger)", sourceLocation: location)
            }
            #expect(
                Set(ledger.drops.keys) == Set(DropReason.allCases.map(\.name)), "each reason is there",
                sourceLocation: location)
        }
        let umem = last.umem
        #expect(
            umem.chunks == umem.free + umem.fill + umem.receive + umem.transmit, "UMEM: \(umem)",
            sourceLocation: location)
        return last
    }

    private static func isBalanced(_ statistics: DataplaneStatistics) -> Bool {
        let umem = statistics.umem
        return umem.chunks == umem.free + umem.fill + umem.receive + umem.transmit
            && statistics.destinations.allSatisfy { $0.offered == $0.frames + $0.drops.values.reduce(0, +) }
    }

    /// Expects that a's originals arrived at b, but for those that the kernel names: a busy machine can let a backlog
    /// between two ends of a veth run full, mirrored or not.
    func expectOriginals(
        _ report: ReceiveReport, _ sent: SendReport, location: SourceLocation = #_sourceLocation
    ) throws {
        let named = try [
            lab.host.counters(of: TappedPair.tappedPort), lab.host.counters(of: TappedPair.otherPort),
            lab.b.counters(of: "eth0"),
        ].reduce(report.missed) { $0 + $1.receiveDropped + $1.sendDropped }
        if named == 0 { return report.streams[0].expectWhole(sent, "originals", location: location) }
        print("figure: \(named) of \(sent.frames) originals dropped by the kernel's own backlogs")
        let missing = report.streams[0].missing(of: sent)
        #expect(
            missing.count <= named && named < sent.frames / 1_000, "missing \(missing.prefix(10)), named \(named)",
            sourceLocation: location)
    }

    /// A receiver behind the monitor's own vxlan device, or at the same-host destination.
    func receiver(
        _ destination: String, _ streams: [FrameStream], onFrame: (@Sendable (borrowing CapturedFrame) -> Void)? = nil
    ) throws -> FrameReceiver {
        switch destination {
        case Self.monitor: try .init(in: lab.monitor, interface: TappedPair.vxlan, streams: streams, onFrame: onFrame)
        case Self.second:
            try .init(in: lab.secondMonitor, interface: TappedPair.vxlan, streams: streams, onFrame: onFrame)
        default: try .init(in: lab.collector, interface: "eth0", streams: streams, onFrame: onFrame)
        }
    }

    /// A stream of `a` (OUT of the tapped port), or with `fromB` of `b` (IN).
    static func stream(
        _ id: UInt32, fromB: Bool = false, content: FrameStream.Content = .udp4, tags: [FrameStream.Tag] = [],
        lengths: [Int] = [128], flows: UInt16 = 1
    ) throws -> FrameStream {
        let (a, b) = (TappedPair.macOfA, TappedPair.macOfB)
        return try FrameStream(
            id: id, from: fromB ? b : a, to: fromB ? a : b, content: content, tags: tags, lengths: lengths, flows: flows
        )
    }
}

extension StreamCheck {
    /// Everything the sender's kernel took arrived once, in order, byte for byte.
    func expectWhole(_ sent: SendReport, _ what: String, location: SourceLocation = #_sourceLocation) {
        #expect(sent.frames > 0, "\(what): nothing was sent", sourceLocation: location)
        let missing = missing(of: sent)
        #expect(
            missing.isEmpty, "\(what): \(frames) of \(sent.frames) arrived; missing \(missing.prefix(10))",
            sourceLocation: location)
        #expect(duplicates == 0, "\(what): duplicates", sourceLocation: location)
        #expect(reordered == 0, "\(what): out of order", sourceLocation: location)
        #expect(differing == 0, "\(what): \(firstDifference ?? "")", sourceLocation: location)
    }
}
