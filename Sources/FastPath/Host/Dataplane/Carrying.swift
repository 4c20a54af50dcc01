// What the kernel does of a copy's way by itself: the device hs-encap while something is to go through it, the routes of
// its program, and who carries a tap. Before it: the routes of this moment (Reconcile.swift). After it: carry_out.h,
// encapsulate.bpf.c and WholeSend.swift; StatusReport.swift tells.

import CShims
import FastPath
import Logging
import MirrorProgram

extension Dataplane {
    /// Makes the device while it is needed, and again where somebody has taken it away.
    func placeDevice() -> Bool {
        let isWanted =
            [current, previous].contains { $0?.carried.isEmpty == false }
            || workers.contains { $0.uplinks.values.contains(where: takesWhole) }
        if !isWanted {
            leaveDevice()
            encapsulationError = nil
            return true
        }
        if encapsulation != nil { return true }
        do throws(HostError) {
            guard let capture else { throw HostError("BPF may not be loaded") }
            let device = try EncapsulationDevice(capture, kind: hookKind)
            device.setRealTime(offset: workers[0].realTimeOffset)
            encapsulation = device
            encapsulationError = nil
            return true
        } catch {
            encapsulationError = error.description
            return false
        }
    }

    /// Once a second: somebody may have changed the device, or have taken its program away.
    func inspectDevice() {
        guard let device = encapsulation else { return }
        do throws(HostError) {
            let changes = try device.keep(kernel.links[device.index])
            if changes.isEmpty { return }
            logger.warning(
                "\(device.name) was not as it was left (\(changes.joined(separator: ", "))); it was put right")
        } catch {
            logger.warning("\(error); making \(device.name) anew")
            leaveDevice()
        }
    }

    /// The worker's table may have its socket until the next one.
    func leaveDevice() {
        leavingDevice = encapsulation ?? leavingDevice
        encapsulation = nil
    }

    /// Whether super-frames leave whole through an uplink: where the program says so, and where a NIC segments them behind
    /// the outer header. What has no wire (a veth) would show them whole to the monitor.
    func takesWhole(_ uplink: UplinkSocket) -> Bool {
        guard let link = kernel.links[uplink.interface] else { return false }
        let rule = rule(of: link.name)
        if rule.limit != nil || uplink.isZeroCopy || uplink.owner != nil { return false }
        return rule.kind == .device || rule.kind == .auto && uplink.segmentsTunnels
    }

    /// Where the super-frames of a destination go whole; nil where they are segmented.
    func whole(_ route: DestinationRoute, index: Int, _ uplink: UplinkSocket?) -> WholeWay? {
        // The device's program sends to one queue: that of the worker whose single copies leave there.
        guard let device = encapsulation, device.rival == nil, let uplink, route.fate == nil, takesWhole(uplink),
            uplink === socket(route),
            route.encapsulation?.takesWholeFrames == true
        else { return nil }
        return WholeWay(socket: device.socket.raw, route: UInt16(index))
    }

    /// The first worker's socket that copies toward a destination leave through.
    private func socket(_ route: DestinationRoute) -> UplinkSocket? {
        route.link.flatMap { link in workers.lazy.compactMap { $0.uplinks[link.index] }.first { $0.owner == nil } }
    }

    /// The kernel's routes, by the destinations' indices.
    var wantedRoutes: [UInt32: hs_route] {
        guard let device = encapsulation else { return [:] }
        var wanted: [UInt32: hs_route] = [:]
        for (destination, index) in indices {
            guard let route = routes[destination], route.fate == nil, let header = route.encapsulation,
                header.tunnel.obstacleToKernel == nil, let uplink = socket(route)
            else { continue }
            wanted[UInt32(index)] = header.kernelRoute(
                limit: route.frameLimit, interface: uplink.interface, queue: uplink.queue, device: device.index,
                carries: obstacleToKernel(destination, route) == nil)
        }
        return wanted
    }

    /// Why the worker carries a tap at this moment; nil if the kernel does.
    func obstacleToKernel(_ tap: MirrorProgram.Tap) -> String? {
        guard let current else { return "there is no program" }
        if let obstacle = current.obstacles[tap.id] { return obstacle }
        guard current.carried.values.contains(where: { $0.taps.contains { $0.id == tap.id } }) else {
            return "its engine is \(tap.engine.rawValue)"
        }
        for destination in current.program.destinations where tap.destinations.contains(destination.id) {
            guard let route = routes[destination] else { return "'\(destination.id)' has not been looked for yet" }
            if let obstacle = obstacleToKernel(destination, route) { return obstacle }
        }
        return nil
    }

    /// Why frames are not cloned toward a destination: then all of them take the worker's way, in their order.
    private func obstacleToKernel(_ destination: MirrorProgram.Destination, _ route: DestinationRoute) -> String? {
        guard let device = encapsulation else { return encapsulationError ?? "its device is not there yet" }
        if let rival = device.rival { return rival }
        return obstacleOnTheWay(to: destination, route, longest: 0)
    }

    /// The same, whatever the device is like.
    ///
    /// - Parameter longest: bytes of a frame that would be carried there besides.
    func obstacleOnTheWay(
        to destination: MirrorProgram.Destination, _ route: DestinationRoute, longest: Int
    ) -> String? {
        guard route.fate == nil, let link = route.link else {
            return route.reason ?? "'\(destination.id)' cannot be reached"
        }
        if rule(of: link.name).limit != nil { return "uplink \(link.name) has a limit" }
        if fuses[link.index]?.fuse.sheds == true { return "the fuse of uplink \(link.name) has blown" }
        let longest = max(longest, longestFrame(toward: destination.id))
        if longest > route.frameLimit {
            return "frames of up to \(longest) bytes do not fit whole into the path to '\(destination.id)'"
        }
        if watches.contains(where: { !$0.taps.isDisjoint(with: taps(toward: destination.id)) }) {
            return "somebody looks on"
        }
        return nil
    }

    /// Of the frames that the kernel would carry there, by the MTUs of their ports.
    private func longestFrame(toward id: String) -> Int {
        let slots = (current?.carried ?? [:]).filter { $0.value.reaches.contains { $0.destination == id } }.map(
            \.key.slot)
        return ports.filter { slots.contains($0.slot) }.compactMap(\.mtu).reduce(0) { max($0, $1 + 14) }
    }

    private func taps(toward id: String) -> Set<String> {
        Set((current?.program.taps ?? []).filter { $0.destinations.contains(id) }.map(\.id))
    }
}
