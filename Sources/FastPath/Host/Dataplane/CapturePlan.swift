// Pure: from a program and its ports' slots to the bits that the capture program sets and the worker reads.

import CShims
import FastPath
package import MirrorProgram

/// Which taps select the frames of which capture points.
package struct CapturePlan {
    package struct Port {
        package var slot: Int
        /// Bit i of a record stands for tap i.
        package var taps: [MirrorProgram.Tap]
    }

    package private(set) var ports: [Port] = []
    /// Bits by point. A `span` or `inline` port that is required needs none, its sockets are its match.
    package private(set) var taps: [CapturePoint: UInt64] = [:]
    /// What the taps of those points want beside that, where it is not every frame whole.
    package private(set) var wishes: [CapturePoint: CaptureWish] = [:]
    /// Of ports in other network namespaces.
    package private(set) var foreign: Set<CapturePoint> = []
    /// What the kernel carries by itself, and by tap why it does not where it should.
    package private(set) var carried: [CapturePoint: CarryPlan] = [:]
    package private(set) var obstacles: [String: String] = [:]
    /// By port, what it could carry besides where the program leaves that open.
    package private(set) var offers: [String: EngineOffer] = [:]
    /// Ids of the taps that select a point's frames, and of all their destinations.
    package private(set) var losers: [CapturePoint: (taps: [String], destinations: Set<String>)] = [:]

    /// - Precondition: the program is valid, and every port has a slot.
    package init(_ program: MirrorProgram, slots: [String: Int], auto: AutoEngine = .chosen([])) {
        let destinations = Dictionary(uniqueKeysWithValues: program.destinations.map { ($0.id, $0) })
        let tapsOfPort = Dictionary(grouping: program.taps, by: \.port)
        for port in program.ports {
            guard let slot = slots[port.id], let taps = tapsOfPort[port.id] else { continue }
            ports.append(Port(slot: slot, taps: taps))
            var points: [EngineOffer.Point] = []
            for direction in [HS_IN, HS_OUT] {
                let point = CapturePoint(slot: slot, direction: UInt8(direction.rawValue))
                let chosen = taps.enumerated().filter { $0.element.direction.selects(direction) }
                if chosen.isEmpty || port.capture == .span && direction == HS_OUT { continue }
                if ![.span, .inline].contains(port.capture) || port.policy == .prefer {
                    self.taps[point] = Self.bits(chosen)
                    if port.netns != nil { foreign.insert(point) }
                    wishes[point] = Self.wish(chosen)
                    points.append(EngineOffer.Point(point, port, chosen, destinations))
                }
                losers[point] = (
                    chosen.map(\.element.id), chosen.reduce(into: []) { $0.formUnion($1.element.destinations) }
                )
            }
            carry(port.id, points, destinations, auto)
        }
    }

    private mutating func carry(
        _ port: String, _ points: [EngineOffer.Point], _ destinations: [String: MirrorProgram.Destination],
        _ auto: AutoEngine
    ) {
        var prefersKernel = true
        if case .chosen(let ports) = auto {
            offers[port] = EngineOffer(points, destinations)
            prefersKernel = ports.contains(port) && offers[port] != nil
        }
        for point in points {
            let plan = prefersKernel ? point.open : point.closed
            carried[point.point] = plan
            obstacles.merge(plan.obstacles) { one, _ in one }
        }
    }
}

extension CapturePlan {
    private typealias Chosen = [(offset: Int, element: MirrorProgram.Tap)]

    private static func bits(_ taps: Chosen) -> UInt64 { taps.reduce(0) { $0 | 1 << UInt64($1.offset) } }

    private static func wish(_ taps: Chosen) -> CaptureWish? {
        let filtered = taps.filter { $0.element.isFiltered }
        let snaplens = taps.compactMap(\.element.snaplen)
        let longest = snaplens.count == taps.count ? max(leastCaptured, snaplens.max() ?? 0) : 0
        if filtered.isEmpty && longest == 0 { return nil }
        return CaptureWish(
            unfiltered: bits(taps.filter { !$0.element.isFiltered }),
            filtered: filtered.map { (bit: $0.offset, tap: $0.element) }, longest: UInt32(longest))
    }

    /// Room for the headers that the flow hash reads.
    private static var leastCaptured: Int { 256 }
}

extension MirrorProgram.Direction {
    func selects(_ direction: hs_direction) -> Bool { self == .both || (self == .in) == (direction == HS_IN) }
}
