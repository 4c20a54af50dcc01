// A capture file through the dataplane's own worker: what would have left, frame by frame, without privileges. Rings and
// uplinks are plain memory. Before it: CaptureFile.swift. After it: CaptureFileWriter.swift.

import CShims
import FastPath
package import MirrorProgram

/// `heliostat-dataplane replay`.
package struct Replay {
    /// What stands for the kernel's answers.
    package struct Surroundings {
        /// Port that the frames are of; nil for the only one.
        package var port: String?
        /// `in` or `out` for all frames; nil: frames from the port's MAC address go out, others and all of a port without
        /// one go in.
        package var direction: MirrorProgram.Direction?
        /// Outer source addresses of tunnels that set none.
        package var source = IPAddress("192.0.2.1")!
        package var source6 = IPAddress("2001:db8::1")!
        package var sourceMAC = MACAddress("02:00:00:00:00:01")!
        package var destinationMAC = MACAddress("02:00:00:00:00:02")!
        /// Of the path to every destination.
        package var mtu = 65535

        package init() {}
    }

    /// What became of the frames.
    package struct Outcome {
        package var frames = 0
        package var isCutShort = false
        package var taps: [TapStatistics] = []
        package var destinations: [DestinationStatistics] = []
    }

    private let port: MirrorProgram.Port
    private let program: MirrorProgram
    private let surroundings: Surroundings
    private let masks: (in: UInt64, out: UInt64)
    private let targets: [MirrorProgram.Destination]
    private let uplinks: [MemoryUplink]
    private let ring = MemoryCaptureRing()
    private let ledger = Ledger()
    private let worker: WorkerThread
    private static let generation: UInt32 = 1

    /// - Parameter program: valid, its filters compiled.
    package init(_ program: MirrorProgram, _ surroundings: Surroundings) throws(HostError) {
        let port = try Self.port(program, surroundings.port)
        let taps = program.taps.filter { $0.port == port.id }
        if taps.isEmpty { throw HostError("no tap selects frames of port '\(port.id)'; add one to the program") }
        var own = program
        own.taps = taps
        let named = Self.reached(program, taps)
        own.destinations = program.destinations.filter { named.contains($0.id) }
        self.program = own
        self.port = port
        self.surroundings = surroundings
        masks = (Self.mask(taps, HS_IN), Self.mask(taps, HS_OUT))
        targets = own.destinations.filter { if case .spread = $0.target { false } else { true } }
        uplinks = targets.indices.map { MemoryUplink(number: UInt16($0)) }
        guard let umem = UMEM(chunkCount: 2048) else { throw HostError("no memory for frames") }
        let plans = Self.plans(targets, uplinks, ledger, surroundings)
        worker = WorkerThread(
            umem: umem, rings: [ring.mapping], wakeUp: .unheard(), epoll: -1,
            table: ForwardingTable(
                serial: 1, current: Self.selection(own, taps, targets, ledger), destinations: plans,
                uplinks: uplinks.map(\.uplink), spans: []))
    }

    /// Reads `input`, writes `output`.
    package func run(_ input: String, to output: String) throws(HostError) -> Outcome {
        var outcome = Outcome()
        var file = try CaptureFile(path: input)
        var writer = try CaptureFileWriter(path: output, interfaces: targets.map(\.id))
        let area = worker.area.base
        while let frame = try file.next() {
            outcome.frames += 1
            ring.push(record(frame), Array(frame.bytes.prefix(Int(HS_LONGEST_FRAME))))
            worker.replay()
            for (index, uplink) in uplinks.enumerated() {
                for copy in uplink.sent(area) { try writer.write(copy, interface: index, time: frame.time) }
            }
        }
        try writer.flush()
        outcome.isCutShort = file.isCutShort
        (outcome.taps, outcome.destinations) = ledger.statistics(of: program, pending: [])
        return outcome
    }

    private func record(_ frame: CapturedFrame) -> hs_record {
        let isOut =
            surroundings.direction.map { $0 == .out }
            ?? (port.mac.map { frame.bytes.dropFirst(6).prefix(6).elementsEqual($0.octets) } ?? false)
        var record = hs_record()
        record.time = frame.time
        record.taps = isOut ? masks.out : masks.in
        record.generation = Self.generation
        record.captured = UInt32(min(frame.bytes.count, Int(HS_LONGEST_FRAME)))
        record.length = UInt32(clamping: frame.length)
        record.gso_segments = 1
        record.direction = UInt8(isOut ? HS_OUT.rawValue : HS_IN.rawValue)
        record.flags = UInt8(HS_UNFILTERED.rawValue)
        return record
    }

    private static func port(_ program: MirrorProgram, _ id: String?) throws(HostError) -> MirrorProgram.Port {
        let known = program.ports.map(\.id).joined(separator: ", ")
        if let id {
            guard let port = program.ports.first(where: { $0.id == id }) else {
                throw HostError("the program has no port '\(id)'; it has: \(known)")
            }
            return port
        }
        guard let port = program.ports.first else { throw HostError("the program has no port") }
        if program.ports.count > 1 {
            throw HostError("the program has several ports; say with --port which one the frames are of: \(known)")
        }
        return port
    }

    private static func mask(_ taps: [MirrorProgram.Tap], _ direction: hs_direction) -> UInt64 {
        taps.enumerated().reduce(0) { $0 | ($1.element.direction.selects(direction) ? 1 << UInt64($1.offset) : 0) }
    }

    /// Ids of the destinations of `taps` and of the members of spreads.
    private static func reached(_ program: MirrorProgram, _ taps: [MirrorProgram.Tap]) -> Set<String> {
        var ids = Set(taps.flatMap(\.destinations))
        for destination in program.destinations where ids.contains(destination.id) {
            if case .spread(let members) = destination.target { ids.formUnion(members) }
        }
        return ids
    }

    private static func plans(
        _ targets: [MirrorProgram.Destination], _ uplinks: [MemoryUplink], _ ledger: Ledger,
        _ surroundings: Surroundings
    ) -> [DestinationPlan] {
        /// One numbering for each pair of addresses (RFC 2890).
        var sequences: [[IPAddress]: SequenceWord] = [:]
        return zip(targets, uplinks).map { target, uplink in
            let block = ledger.block(destination: target.id)
            guard case .tunnel(let tunnel) = target.target else {
                return DestinationPlan(
                    encapsulation: nil, frameLimit: min(surroundings.mtu + 18, Int(HS_LONGEST_FRAME)),
                    uplink: uplink.uplink, fate: nil, counters: block)
            }
            let source =
                tunnel.source ?? (tunnel.remote.isIPv6 ? surroundings.source6 : surroundings.source)
            let header = OuterHeader(
                tunnel, source: source, sourceMAC: surroundings.sourceMAC, destinationMAC: surroundings.destinationMAC)
            let limit = min(surroundings.mtu, 65535) - header.overhead
            let pair = [source, tunnel.remote]
            if tunnel.isSequenced, sequences[pair] == nil { sequences[pair] = .allocate() }
            return DestinationPlan(
                encapsulation: header, frameLimit: limit, uplink: uplink.uplink,
                fate: limit < 14 ? .exceedsMTU : nil, counters: block,
                sequence: tunnel.isSequenced ? sequences[pair] : nil)
        }
    }

    private static func selection(
        _ program: MirrorProgram, _ taps: [MirrorProgram.Tap], _ targets: [MirrorProgram.Destination], _ ledger: Ledger
    ) -> Selection {
        let places = Dictionary(uniqueKeysWithValues: targets.enumerated().map { ($1.id, $0) })
        var spreads: [(id: String, plan: Selection.SpreadPlan)] = []
        for destination in program.destinations {
            guard case .spread(let members) = destination.target,
                taps.contains(where: { $0.destinations.contains(destination.id) })
            else { continue }
            spreads.append(
                (
                    destination.id,
                    .init(
                        counters: ledger.block(destination: destination.id),
                        members: members.map { (id: $0, index: places[$0]!) })
                ))
        }
        return Selection(
            generation: generation,
            ports: [
                .init(
                    slot: 0,
                    taps: taps.map { tap in
                        Selection.Tap(
                            counters: ledger.block(tap: tap.id),
                            destinations: tap.destinations.compactMap { places[$0] },
                            spreads: tap.destinations.compactMap { id in spreads.firstIndex { $0.id == id } },
                            actions: tap.hasActions ? (tap: tap, state: ledger.state(of: tap)) : nil)
                    }, spreads: spreads.map(\.plan))
            ])
    }
}
