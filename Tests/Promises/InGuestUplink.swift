// An uplink of a real driver that sends without copying only beside an XDP program (igb): in the guest machine, as the rest
// of InGuest.swift, on its one pair of NICs.

import Foundation
import Glibc
import Lab
import MirrorProgram
import Testing

extension InGuest {
    /// The dataplane puts a program there that lets everything pass, and takes it off again; a dataplane that is killed leaves none.
    @Test func aDedicatedUplinkSendsWithoutCopying() throws {
        var options = TappedPair.Options()
        options.uplinkCable = Cable(near: "p0b", far: "p0a")
        var program = Mirror.program(.out)
        program.uplinks = [.init(interface: TappedPair.uplink, dedicated: true)]
        try Mirror.with(program, options, ready: false) { mirror in
            let streams = [try Mirror.stream(90), try Mirror.stream(1, lengths: [72, 128, 511, 1514], flows: 3)]
            let copies = try mirror.receiver(Mirror.monitor, streams)
            // The link is down for seconds when the program comes.
            let opener = try FrameSender(streams[0], in: mirror.lab.a, interface: "eth0", rate: 100)
            let opened = copies.wait(seconds: 60) { $0.frames > 20 }
            let first = try opener.stop()
            try #require(opened, "no copy of \(first.frames) arrives: \(Self.words(mirror))")
            let uplink = try #require(try mirror.status().uplinks.first)
            #expect(uplink.zeroCopy == true && uplink.reason == nil, "\(uplink)")
            #expect(try Self.programs(mirror.lab).map { $0.hasPrefix(TappedPair.uplink + "(") } == [true])
            // A sender that changes its CPU overtakes itself where CPUs are late.
            let sent = try FrameSender(
                streams[1], in: mirror.lab.a, interface: "eth0", rate: 1_000, count: 1_500, moveEvery: .max
            ).wait()
            copies.wait(seconds: 20) { $0.streams[1].frames >= 1_500 }
            _ = copies.settle()
            try copies.stop().streams[1].expectWhole(sent, "copies")
            try mirror.ledger()
            // Shared it is in copy mode.
            program.generation = 2
            program.uplinks = []
            try mirror.apply(program)
            #expect(poll(seconds: 10, every: 0.05) { (try? Self.programs(mirror.lab).isEmpty) ?? false })
            program.generation = 3
            program.uplinks = [.init(interface: TappedPair.uplink, dedicated: true)]
            try mirror.apply(program)
            let isBack = poll(seconds: 60, every: 0.05) { (try? !Self.programs(mirror.lab).isEmpty) ?? false }
            try #require(isBack, "\(Self.words(mirror))")
            try #require(kill(try mirror.status().pid, SIGKILL) == 0)
            #expect(poll(seconds: 10, every: 0.05) { (try? Self.programs(mirror.lab).isEmpty) ?? false })
            print(
                "figure: igb as a dedicated uplink, zero-copy: \(sent.frames) copies of \(sent.frames), byte for byte")
        }
    }

    private static func words(_ mirror: Mirror) -> String {
        (try? mirror.status()).map { "\($0.uplinks) \($0.destinations)" } ?? "nobody answers"
    }

    /// XDP programs of the host, a line each.
    private static func programs(_ lab: TappedPair) throws -> [String.SubSequence] {
        try lab.host.command("bpftool", "net", "show").split(separator: "\n").filter { $0.contains(" driver ") }
    }
}
