// Pure: from a program and its ports' slots to the bits that the capture program sets and the worker reads.

import CShims
package import MirrorProgram

/// Which taps select the frames of which capture points.
package struct CapturePlan {
    package struct Port {
        package var slot: Int
        /// Bit i of a record stands for tap i.
        package var taps: [MirrorProgram.Tap]
    }

    package private(set) var ports: [Port] = []
    /// Of `tap` ports: bits by point. A `span` port needs none, its sockets are its match.
    package private(set) var taps: [CapturePoint: UInt64] = [:]
    /// Ids of the taps that select a point's frames, and of all their destinations.
    package private(set) var losers: [CapturePoint: (taps: [String], destinations: Set<String>)] = [:]

    /// - Precondition: the program is valid, and every port has a slot.
    package init(_ program: MirrorProgram, slots: [String: Int]) {
        let tapsOfPort = Dictionary(grouping: program.taps, by: \.port)
        for port in program.ports {
            guard let slot = slots[port.id], let taps = tapsOfPort[port.id] else { continue }
            ports.append(Port(slot: slot, taps: taps))
            for direction in [HS_IN, HS_OUT] {
                let point = CapturePoint(slot: slot, direction: UInt8(direction.rawValue))
                let chosen = taps.enumerated().filter { $0.element.direction.selects(direction) }
                if chosen.isEmpty || port.capture == .span && direction == HS_OUT { continue }
                if port.capture == .tap { self.taps[point] = chosen.reduce(0) { $0 | 1 << UInt64($1.offset) } }
                losers[point] = (
                    chosen.map(\.element.id), chosen.reduce(into: []) { $0.formUnion($1.element.destinations) }
                )
            }
        }
    }
}

extension MirrorProgram.Direction {
    func selects(_ direction: hs_direction) -> Bool { self == .both || (self == .in) == (direction == HS_IN) }
}
