// The demonstration, step by step: a lab, the real processes, taps through the REST API, traffic, figures.
// The witness is the Lab module; nothing here asks Heliostat what arrived, but only what it says itself.

import Foundation
import Lab

/// A demonstration on a lab of its own.
final class Demo {
    private let seconds: Int
    private let pcap: URL?
    private let lab: TappedPair
    private let directory: TemporaryDirectory
    private var serve: ServeProcess?
    private var screen = Screen()

    /// A tap flow of the demonstration and where its copies go.
    private struct Tap {
        let flow: String
        let monitor: Namespace
        let before: InterfaceCounters
        let portBefore: InterfaceCounters
    }

    init(seconds: Int, pcap: URL?) throws {
        self.seconds = seconds
        self.pcap = pcap
        directory = try TemporaryDirectory()
        do {
            lab = try TappedPair()
        } catch {
            directory.delete()
            throw error
        }
    }

    /// Ends the processes and takes everything away.
    func delete() {
        serve?.process.terminate()
        lab.delete()
        directory.delete()
    }

    /// Carries the demonstration out.
    ///
    /// - Returns: whether all figures agree.
    func run() throws -> Bool {
        screen.head("Heliostat: a tapped pair of hosts, and monitors behind the kernel's vxlan device")
        showTown()
        try startProcesses()
        try createTaps()
        let outcome = try carryTraffic()
        let agrees = outcome.show(on: screen)
        if let pcap {
            screen.line("\n  kept: tcpdump -nr \(pcap.path)   (outer frames, VNI \(lab.options.vni))")
        }
        screen.head(agrees ? "All figures agree." : "The figures do not agree.")
        return agrees
    }

    private func showTown() {
        screen.line(
            """

              a 10.0.0.1 ── port-a ┐                    ┌ uplink ── monitor 192.0.2.9
                                   ├ bridge ┐ Heliostat ┤           vxlan0, VNI \(lab.options.vni)
              b 10.0.0.2 ── port-b ┘        │           │
              switch's SPAN port ── span0 ──┘           └ uplink2 ─ archive 198.51.100.9
                                                                    vxlan0, VNI \(lab.options.secondVNI)
            """)
    }

    private func startProcesses() throws {
        screen.head("The processes, on a temporary state directory")
        let arguments = ["--host", "demo", "--tunnel-address", TappedPair.hostAddress]
        screen.command("heliostat serve " + arguments.joined(separator: " "))
        serve = try ServeProcess(in: lab.host, stateDirectory: "\(directory.path)/state", arguments)
    }

    private func createTaps() throws {
        let (monitor, archive) = (TappedPair.monitorAddress, TappedPair.secondMonitorAddress)
        let (vni, second) = (lab.options.vni, lab.options.secondVNI)
        screen.head("The taps")
        for line in [
            "port create web --interface \(TappedPair.tappedPort)",
            "service create ids --to \(monitor) --vni \(vni)",
            "flow create web-both --port web --service ids --direction both",
            "port create spanned --interface \(TappedPair.spanPort) --capture span",
            "service create archive --to \(archive) --vni \(second)",
            "flow create span-in --port spanned --service archive",
        ] {
            screen.command("heliostat \(line)")
            try serve!.command(line.split(separator: " ").map(String.init))
        }
        for flow in ["web-both", "span-in"] { try waitUntilActive(flow) }
        screen.line("  both tap flows are ACTIVE")
    }

    private func waitUntilActive(_ flow: String) throws {
        var last = ""
        let active = try poll(seconds: 10, every: 0.1) {
            let object = try json(["flow", "show", flow])
            last = "\(object["status"] ?? "?") \(object["status_reason"] as? String ?? "")"
            return object["status"] as? String == "ACTIVE"
        }
        guard active else { throw LabError("tap flow '\(flow)' is not ACTIVE after 10 s: \(last)") }
    }

    /// What a command prints as JSON, out of its envelope if it has one.
    private func json(_ command: [String]) throws -> [String: Any] {
        let text = try serve!.command(command + ["--json"])
        guard let object = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any] else {
            throw LabError("'heliostat \(command.joined(separator: " ")) --json' printed no JSON object: \(text)")
        }
        return object.count == 1 ? object.values.first as? [String: Any] ?? object : object
    }

    private func carryTraffic() throws -> Outcome {
        let (macA, macB) = (TappedPair.macOfA, TappedPair.macOfB)
        let forth = try FrameStream(id: 1, from: macA, to: macB, lengths: [70, 128, 594, 1280, 1514], flows: 32)
        let back = try FrameStream(id: 2, from: macB, to: macA, content: .udp6, lengths: [90, 576, 1514], flows: 32)
        let span = try FrameStream(
            id: 3, from: MAC(0x0200_0000_00C1), to: MAC(0x0200_0000_00C2), lengths: [70, 700, 1514])
        let atB = try FrameReceiver(in: lab.b, interface: "eth0", streams: [forth])
        let atA = try FrameReceiver(in: lab.a, interface: "eth0", streams: [back])
        let copies = try FrameReceiver(in: lab.monitor, interface: TappedPair.vxlan, streams: [forth, back])
        let archive = try FrameReceiver(in: lab.secondMonitor, interface: TappedPair.vxlan, streams: [span])
        let outer = try pcap.map { try FrameReceiver(in: lab.monitor, interface: TappedPair.underlay, pcap: $0) }
        let taps = [
            try tap("web-both", on: TappedPair.tappedPort, of: lab.host, to: lab.monitor),
            try tap("span-in", on: "eth0", of: lab.feeder, to: lab.secondMonitor),
        ]

        screen.head("Traffic: numbered frames both ways and into span0, and a conversation over UDP")
        let talk = try Conversation(from: lab.a, to: lab.b, address: TappedPair.addressOfB, rate: 50)
        let senders = [
            try FrameSender(
                forth, in: lab.a, interface: "eth0", rate: 5_000, count: UInt64(seconds) * 5_000, moveEvery: 500),
            try FrameSender(back, in: lab.b, interface: "eth0", rate: 5_000, count: UInt64(seconds) * 5_000),
            try FrameSender(span, in: lab.feeder, interface: "eth0", rate: 2_000, count: UInt64(seconds) * 2_000),
        ]
        watch(senders, [copies, archive])
        let sent = try senders.map { try $0.wait() }
        let talked = try talk.stop()
        for receiver in [atA, atB, copies, archive] { _ = receiver.settle() }
        let (copied, archived) = (try copies.stop(), try archive.stop())
        _ = try outer?.stop()
        return Outcome(
            ways: [
                Way(title: "a to b", sent: sent[0], original: try atB.stop().streams[0], copy: copied.streams[0]),
                Way(title: "b to a", sent: sent[1], original: try atA.stop().streams[0], copy: copied.streams[1]),
                Way(title: "into span0", sent: sent[2], original: nil, copy: archived.streams[0]),
            ],
            ledgers: [
                try ledger(taps[0], TappedPair.tappedPort, of: lab.host, copied),
                try ledger(taps[1], "eth0", of: lab.feeder, archived),
            ],
            talk: talked)
    }

    private func tap(_ flow: String, on port: String, of namespace: Namespace, to monitor: Namespace) throws -> Tap {
        Tap(
            flow: flow, monitor: monitor, before: try monitor.counters(of: TappedPair.vxlan),
            portBefore: try namespace.counters(of: port))
    }

    private func watch(_ senders: [FrameSender], _ receivers: [FrameReceiver]) {
        let began = nowNanoseconds()
        var (lastFrames, lastTime) = (UInt64(0), 0.0)
        while true {
            let sent = senders.reduce(0) { $0 + $1.report.nextSequence }
            let came = receivers.reduce(0) { $0 + $1.count }
            let time = Double(nowNanoseconds() - began) / 1e9
            let rate = time > lastTime ? Double(came - lastFrames) / (time - lastTime) : 0
            (lastFrames, lastTime) = (came, time)
            let clock = String(format: "%5.1f s", time)
            screen.live(
                "  \(clock)   sent \(grouped(sent))   copies \(grouped(came))   \(grouped(Int(rate))) copies/s",
                at: time)
            if sent >= UInt64(seconds) * 12_000 || time > Double(seconds) * 3 + 5 { break }
            usleep(200_000)
        }
        screen.endLive()
    }

    private func ledger(_ tap: Tap, _ port: String, of namespace: Namespace, _ report: ReceiveReport) throws -> Ledger {
        let carried = try namespace.counters(of: port) - tap.portBefore
        let monitor = try tap.monitor.counters(of: TappedPair.vxlan) - tap.before
        // A span port has IN only: what its feeder sent. The feeder's device hands its frames to an XDP program, and
        // like the vxlan device it then counts bytes behind the Ethernet header of 14.
        let isSpan = namespace === lab.feeder
        let frames = carried.sentFrames + (isSpan ? 0 : carried.receivedFrames)
        let bytes = carried.sentBytes + (isSpan ? 14 * carried.sentFrames : carried.receivedBytes)
        var (handed, drops): (UInt64, [(reason: String, frames: UInt64)]) = (0, [])
        // The control process reads the dataplane's counters now and then: wait until it has read the last ones.
        try poll(seconds: 10, every: 0.2) {
            (handed, drops) = try counters(of: tap.flow)
            return handed + drops.reduce(0) { $0 + $1.frames } >= frames
        }
        return Ledger(
            flow: tap.flow,
            port: (frames, bytes),
            monitor: (monitor.receivedFrames, monitor.receivedBytes + 14 * monitor.receivedFrames),
            received: report.frames, missed: report.missed, handed: handed, drops: drops)
    }

    private func counters(of flow: String) throws -> (UInt64, [(reason: String, frames: UInt64)]) {
        let flows = try json(["stats"])["tap_flows"] as? [[String: Any]] ?? []
        guard let counters = flows.first(where: { $0["name"] as? String == flow }) else { return (0, []) }
        let drops = (counters["drops"] as? [String: Any] ?? [:]).sorted { $0.key < $1.key }
            .map { (reason: $0.key, frames: ($0.value as? NSNumber)?.uint64Value ?? 0) }
        return ((counters["frames"] as? NSNumber)?.uint64Value ?? 0, drops)
    }
}
