// Promise: a tap flow of one host reaches a tap service's port on another. REST on A alone; B runs what
// `heliostat program --host B` prints. The ledger is exact across both.

import Foundation
import Lab
import MirrorProgram
import Testing

extension Promises {
    @Suite struct PromiseTwoHosts {
        /// A is the lab's host; B is its monitor, with a port of its own behind which `collector` sits.
        @Test(arguments: [
            ("vxlan", false), ("erspan2", false), ("gre", false), ("vxlan", true), ("erspan3", true), ("geneve", true),
        ])
        func copiesReachThePortOfAnotherHost(encapsulation: String, v6: Bool) throws {
            try TappedPair.with { lab in
                if v6 { try PromiseOuterIPv6.enable(lab) }
                let addresses =
                    v6
                    ? (PromiseOuterIPv6.hostAddress, PromiseOuterIPv6.monitorAddress)
                    : (TappedPair.hostAddress, TappedPair.monitorAddress)
                let directory = try TemporaryDirectory()
                defer { directory.delete() }
                let (a, b) = (lab.host, lab.monitor)
                let far = try Namespace("far")
                defer { far.delete() }
                try b.ip(
                    "link add port-far type veth peer name eth0 netns \(far.name)",
                    "link set port-far mtu \(lab.options.mtu) up")
                try far.ip("link set eth0 mtu \(lab.options.mtu) up")
                try far.offloads(of: "eth0", ["gro": false])
                try far.receiveOnOneCPU("eth0")

                let serve = try ServeProcess(
                    in: a, stateDirectory: "\(directory.path)/state",
                    ["--host", "a", "--tunnel-address", addresses.0])
                defer { serve.process.terminate() }
                try serve.command(["host", "create", "b", "--address", addresses.1, "--heliostat"])
                try serve.command(["port", "create", "web", "--interface", TappedPair.tappedPort])
                try serve.command(["port", "create", "far", "--host", "b", "--interface", "port-far"])
                try serve.command([
                    "service", "create", "ids", "--port", "far", "--encapsulation", encapsulation, "--vni", "77",
                ])
                try serve.command(["flow", "create", "web-both", "--port", "web", "--service", "ids"])
                let program = try serve.command(["program", "--host", "b"])
                let state = "\(directory.path)/b"
                try FileManager.default.createDirectory(atPath: state, withIntermediateDirectories: true)
                let delivering = try DataplaneProcess(in: b, stateDirectory: state, program: program)
                defer { delivering.terminate() }
                let isReady = poll(seconds: 5, every: 0.05) {
                    (try? Self.delivery(delivering).status)?.state == .ready
                }
                let status = try delivering.request(#"{"method":"status"}"#)
                #expect(isReady, "\(program)\n\(status)")

                // A's neighbour is asked for only when copies wait for it, or by the look after.
                let socket = "\(directory.path)/state/dataplane/dataplane.sock"
                let isOpen = poll(seconds: 10, every: 0.05) {
                    let line = try? ask(#"{"method":"status"}"#, at: socket, seconds: 5)
                    let status = line.flatMap { try? Self.reply($0).status }
                    return status.map { !$0.destinations.isEmpty && $0.destinations.allSatisfy { $0.state == .ready } }
                        ?? false
                }
                #expect(isOpen)

                let streams = [
                    try Mirror.stream(1, lengths: [80, 128, 1514]), try Mirror.stream(2, fromB: true, lengths: [80]),
                ]
                let copies = try FrameReceiver(in: far, interface: "eth0", streams: streams)
                let senders = [
                    try FrameSender(streams[0], in: lab.a, interface: "eth0", rate: 10_000, count: 10_000),
                    try FrameSender(streams[1], in: lab.b, interface: "eth0", rate: 10_000, count: 10_000),
                ]
                let sent = try senders.map { try $0.wait() }
                let report = copies.settle()
                for (index, sent) in sent.enumerated() {
                    report.streams[index].expectWhole(sent, "stream \(index + 1)")
                }

                // Handed over by A = delivered by B: whatever else went through the port (ARP) is in both.
                let handed = try Self.handed(socket, encapsulation)
                let arrived = try Self.delivery(delivering).statistics
                #expect(arrived.frames == handed && handed >= 20_000, "handed \(handed), delivered \(arrived)")
                #expect(arrived.drops.values.allSatisfy { $0 == 0 }, "\(arrived)")
                if encapsulation.hasPrefix("erspan") { #expect(arrived.gaps == 0, "\(arrived)") }
                print(
                    "two hosts, \(encapsulation), IPv\(v6 ? 6 : 4): handed over by A \(handed), delivered by B \(arrived.frames)"
                )
                try copies.stop()
            }
        }

        private static func delivery(
            _ dataplane: DataplaneProcess
        ) throws -> (status: DeliveryStatus, statistics: DeliveryStatistics) {
            let status = try reply(try dataplane.request(#"{"method":"status"}"#)).status
            let statistics = try reply(try dataplane.request(#"{"method":"stats"}"#)).stats
            return (try #require(status?.deliveries.first), try #require(statistics?.deliveries.first))
        }

        private static func handed(_ socket: String, _ encapsulation: String) throws -> UInt64 {
            let statistics = try #require(try reply(try ask(#"{"method":"stats"}"#, at: socket, seconds: 5)).stats)
            for ledger in statistics.destinations {
                #expect(ledger.offered == ledger.frames + ledger.drops.values.reduce(0, +), "\(ledger)")
                #expect(ledger.drops.values.allSatisfy { $0 == 0 }, "\(ledger)")
            }
            return statistics.destinations.reduce(0) { $0 + $1.frames }
        }

        private static func reply(_ line: String) throws -> DataplaneReply {
            try JSONDecoder().decode(DataplaneReply.self, from: Data(line.utf8))
        }
    }
}
