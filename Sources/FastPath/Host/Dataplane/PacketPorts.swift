// Ports of a dataplane that may not load BPF: `tap` by packet sockets, everything else refused with the reason. Before it:
// Reconcile.swift, of whose steps this is one in place of the hooks. After it: PacketCapture.swift.

import FastPath
import Glibc
import Logging
import MirrorProgram

/// What is there without BPF, and why it is without.
struct PacketPorts {
    let reason: String
    var captures: [PacketPlace: PacketCapture] = [:]
    /// Out of use, and to be closed once the worker has a table without them.
    var leaving: [PacketCapture] = []

    /// Pure: whether a failure to load BPF says that it may not be loaded, rather than that something is short for now.
    static func means(_ code: Int32) -> Bool { ![ENOMEM, EMFILE, ENFILE, EAGAIN, EBUSY, EINTR].contains(code) }

    init(_ error: HostError) {
        let isMissing = (try? Capabilities())?.bpf == false
        reason = isMissing ? "missing CAP_BPF" : error.description
    }

    /// Why a port in a mode of its own, or a delivery, is not served.
    func refusal(of what: String) -> String { "\(what) needs BPF, which cannot be used here: \(reason)" }

    /// Why a port has a packet socket.
    var explanation: String { "by a packet socket, since BPF cannot be used here: \(reason)" }
}

extension Dataplane {
    /// Why a port cannot have its mode without BPF.
    func refusalWithoutBPF(_ port: MirrorProgram.Port) -> String? {
        port.capture == .tap ? nil : packets?.refusal(of: port.capture.rawValue)
    }

    /// Opens what is missing and closes what nobody wants.
    func placePackets() -> Bool {
        // The first look comes before the worker.
        guard let worker = workers.first else { return true }
        let wanted = ports.reduce(into: [PacketPlace: PortPlan]()) { wanted, plan in
            if let place = PacketPlace(plan) { wanted[place] = plan }
        }
        for place in packets!.captures.keys where wanted[place] == nil { leave(place) }
        var isDone = true
        for (place, plan) in wanted where packets!.captures[place] == nil {
            do throws(HostError) {
                packets!.captures[place] = try PacketCapture(
                    place, name: plan.port.interface, ports: wanted.count, worker: worker)
            } catch {
                portErrors[plan.port.id] = error.description
                isDone = false
            }
        }
        do throws(HostError) {
            try publish()
            packets!.leaving = []
        } catch {
            logger.error("\(error)")
            isDone = false
        }
        return isDone
    }

    /// Takes a socket out of the next table.
    func leave(_ place: PacketPlace) {
        foldDrops(of: place)
        if let capture = packets?.captures.removeValue(forKey: place) { packets!.leaving.append(capture) }
    }

    func letGoOfPackets(_ ended: Set<Int32>) {
        for place in packets.map({ Array($0.captures.keys) }) ?? []
        where place.namespace == nil && ended.contains(place.interface) { leave(place) }
    }

    /// `af_packet` while the port's socket is open.
    func packetHook(_ plan: PortPlan) -> String? {
        PacketPlace(plan).flatMap { packets?.captures[$0] } == nil ? nil : "af_packet"
    }

    var packetSources: PacketSources {
        guard let packets else { return PacketSources() }
        return PacketSources(sources: packets.captures.values.map(\.source), own: maps.ownTunnels.map(\.key))
    }

    func foldPacketDrops() {
        for place in packets.map({ Array($0.captures.keys) }) ?? [] { foldDrops(of: place) }
    }

    /// Of which direction a lost frame was the kernel does not tell: it counts for the taps of both.
    private func foldDrops(of place: PacketPlace) {
        let lost = packets?.captures[place]?.takeDrops() ?? 0
        let losers = place.points.compactMap { previous?.losers[$0] ?? current?.losers[$0] }
        ledger.lose(
            lost, .captureRingFull, taps: Set(losers.flatMap { $0.taps }),
            destinations: losers.reduce(into: Set<String>()) { $0.formUnion($1.destinations) })
    }
}
