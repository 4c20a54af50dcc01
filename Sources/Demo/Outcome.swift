// The figures of one demonstration, and whether they agree. Demo.swift collects them, Screen.swift shows them.

import Lab

/// One way that frames went: from a sender to its copies' monitor.
struct Way {
    let title: String
    let sent: SendReport
    /// At the host the frame was for; nil on a span port, whose frames are for nobody but the monitor.
    let original: StreamCheck?
    let copy: StreamCheck
}

/// One tap flow as counted from outside and by Heliostat.
struct Ledger {
    let flow: String
    /// Kernel's count at the tapped port, and at the monitor's vxlan device.
    let port: (frames: UInt64, bytes: UInt64)
    let monitor: (frames: UInt64, bytes: UInt64)
    /// Frames of the receiver behind the vxlan device, and those for which its buffer had no room.
    let received: UInt64
    let missed: UInt64
    /// Heliostat's own count.
    let handed: UInt64
    let drops: [(reason: String, frames: UInt64)]

    var dropped: UInt64 { drops.reduce(0) { $0 + $1.frames } }
}

/// What came of it all.
struct Outcome {
    let ways: [Way]
    let ledgers: [Ledger]
    let talk: (asked: Int, answered: Int)

    /// Prints the tables and the verdict.
    ///
    /// - Returns: whether everything agrees.
    func show(on screen: Screen) -> Bool {
        showWays(on: screen)
        showLedgers(on: screen)
        screen.head("Verdict")
        let verdicts = verdicts
        for (holds, text) in verdicts { screen.verdict(holds, text) }
        return verdicts.allSatisfy(\.0)
    }

    private func showWays(on screen: Screen) {
        func row(_ title: String, _ value: (Way) -> UInt64?) {
            screen.row(title, ways.map { value($0).map(grouped) ?? "-" })
        }
        screen.head("Numbered frames")
        screen.row("", ways.map(\.title))
        row("sent, frames") { $0.sent.frames }
        row("      bytes") { $0.sent.bytes }
        row("originals lost") { $0.original?.lost(of: $0.sent) }
        row("copies received, frames") { $0.copy.frames }
        row("                 bytes") { $0.copy.bytes }
        row("copies with differing bytes") { $0.copy.differing }
        row("copies twice") { $0.copy.duplicates }
        row("copies out of order") { $0.copy.reordered }
    }

    private func showLedgers(on screen: Screen) {
        func row(_ title: String, _ value: (Ledger) -> UInt64) { screen.row(title, ledgers.map { grouped(value($0)) }) }
        screen.head("All frames, by tap flow")
        screen.row("", ledgers.map(\.flow))
        row("kernel, tapped port: frames") { $0.port.frames }
        row("                     bytes") { $0.port.bytes }
        row("kernel, vxlan device: frames") { $0.monitor.frames }
        row("                      bytes") { $0.monitor.bytes }
        row("Heliostat: copies handed on") { $0.handed }
        row("Heliostat: copies dropped") { $0.dropped }
        for ledger in ledgers {
            for drop in ledger.drops where drop.frames > 0 {
                screen.line("    \(ledger.flow) dropped \(grouped(drop.frames)): \(drop.reason)")
            }
        }
    }

    private var verdicts: [(Bool, String)] {
        let lost = ways.reduce(0) { $0 + ($1.original?.lost(of: $1.sent) ?? 0) }
        let differing = ways.reduce(0) { $0 + $1.copy.differing + ($1.original?.differing ?? 0) }
        let disorder = ways.reduce(0) { $0 + $1.copy.reordered + $1.copy.duplicates }
        let sent = ways.reduce(0) { $0 + $1.sent.frames }
        return [
            (sent > 0 && lost == 0, "no original was lost"),
            (
                talk.asked == talk.answered && talk.asked > 0,
                "\(grouped(talk.asked)) questions of a, \(grouped(talk.answered)) answers of b"
            ),
            (differing == 0, "every copy is the original, byte for byte"),
            (disorder == 0, "every copy came once, and in order"),
            (
                ledgers.allSatisfy { $0.port.frames == $0.monitor.frames + $0.dropped },
                "every frame of a port is at its monitor, or a drop with a reason"
            ),
            (
                ledgers.allSatisfy { $0.dropped > 0 || $0.port.bytes == $0.monitor.bytes },
                "the kernel's byte counts of port and vxlan device are equal"
            ),
            (
                ledgers.allSatisfy { $0.received == $0.monitor.frames && $0.missed == 0 },
                "the receiver saw every frame that the kernel counted"
            ),
            (
                ledgers.allSatisfy { $0.handed == $0.monitor.frames },
                "Heliostat's counters say the same as the kernel's"
            ),
        ]
    }
}
