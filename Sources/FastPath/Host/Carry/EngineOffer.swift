// Pure: whether the kernel could carry a port's open taps, and how many clones a frame would cost then. Before it:
// CarryPlan.swift, both ways. After it: EngineChoice.swift decides by what passes the port.
//
// Copies of a flow keep their order across directions, so a destination that the kernel would serve for one direction must
// not be the worker's for the other.

import MirrorProgram

/// What the kernel would carry of a port, were `auto` to mean it.
package struct EngineOffer: Equatable {
    /// A capture point of the port, as it is when the kernel carries the open taps, and when the worker does.
    struct Point {
        let point: CapturePoint
        let taps: [MirrorProgram.Tap]
        let open: CarryPlan
        let closed: CarryPlan

        init(
            _ point: CapturePoint, _ port: MirrorProgram.Port, _ chosen: [(offset: Int, element: MirrorProgram.Tap)],
            _ destinations: [String: MirrorProgram.Destination]
        ) {
            self.point = point
            taps = chosen.map(\.element)
            closed = CarryPlan(port, chosen, destinations, prefersKernel: false)
            let isOpen = taps.contains { $0.engine == .auto }
            open = isOpen ? CarryPlan(port, chosen, destinations, prefersKernel: true) : closed
        }
    }

    /// Clones of each frame that the kernel would make beside those that it makes anyway.
    package private(set) var clones: [CapturePoint: Int] = [:]
    /// Where they go.
    package private(set) var destinations: Set<String> = []

    /// - Parameter points: all of the port's.
    /// - Returns: nil where there is nothing that the kernel could carry besides, or not without the worker.
    init?(_ points: [Point], _ known: [String: MirrorProgram.Destination]) {
        var left: Set<String> = []
        for point in points {
            let carried = Set(point.open.taps.map(\.id))
            let others = point.taps.filter { !carried.contains($0.id) }
            left.formUnion(others.flatMap { CarryPlan.members($0, known) })
            destinations.formUnion(point.open.reaches.map(\.destination))
            clones[point.point] = point.open.reaches.count - point.closed.reaches.count
        }
        guard clones.values.contains(where: { $0 > 0 }), destinations.isDisjoint(with: left) else { return nil }
    }
}
