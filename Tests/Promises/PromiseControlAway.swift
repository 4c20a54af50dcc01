// Promise: the control process may die and stay away; the mirror goes on, and its restart finds every tap.

import Foundation
import Lab
import Testing

extension Promises {
    @Suite struct PromiseControlAway {
        @Test func killedUnderTraffic() throws {
            try TappedPair.with { lab in
                let directory = try TemporaryDirectory()
                defer { directory.delete() }
                let arguments = ["--host", "lab", "--tunnel-address", TappedPair.hostAddress]
                var serve = try ServeProcess(in: lab.host, stateDirectory: "\(directory.path)/state", arguments)
                defer { serve.process.terminate() }
                try serve.command(["port", "create", "web", "--interface", TappedPair.tappedPort])
                try serve.command(["service", "create", "ids", "--to", TappedPair.monitorAddress, "--vni", "5001"])
                try serve.command([
                    "flow", "create", "web-both", "--port", "web", "--service", "ids", "--direction", "both",
                ])
                try expectActive(serve)
                let before = try flow(serve)

                let stream = try Mirror.stream(1)
                let originals = try FrameReceiver(in: lab.b, interface: "eth0", streams: [stream])
                let copies = try FrameReceiver(in: lab.monitor, interface: TappedPair.vxlan, streams: [stream])
                let sender = try FrameSender(stream, in: lab.a, interface: "eth0", rate: 10_000)
                copies.wait(seconds: 5) { $0.frames > 2_000 }
                serve.process.kill()
                #expect(serve.process.wait(seconds: 5) != nil)
                let dead = copies.count
                #expect(
                    copies.wait(seconds: 5) { $0.frames > dead + 10_000 }, "copies go on without the control process")
                serve = try ServeProcess(in: lab.host, stateDirectory: "\(directory.path)/state", arguments)
                try expectActive(serve)
                let back = copies.count
                copies.wait(seconds: 5) { $0.frames > back + 5_000 }
                let sent = try sender.stop()
                originals.settle().streams[0].expectWhole(sent, "originals")
                copies.settle().streams[0].expectWhole(sent, "copies, from before the kill until after the restart")
                #expect(try flow(serve)["id"] as? String == before["id"] as? String)
                try originals.stop()
                try copies.stop()

                // And what the restarted one is told happens.
                try serve.command(["flow", "delete", "web-both"])
                let still = try FrameReceiver(in: lab.monitor, interface: TappedPair.vxlan)
                let probe = try Mirror.stream(2)
                let stopped = try poll(seconds: 5, every: 0.1) {
                    let count = still.count
                    try FrameSender(probe, in: lab.a, interface: "eth0", rate: 1_000, count: 50).wait()
                    return still.settle(quiet: 0.2).frames == count
                }
                #expect(stopped, "copies end after the flow is deleted")
                try still.stop()
            }
        }

        private func flow(_ serve: ServeProcess) throws -> [String: Any] {
            let text = try serve.command(["flow", "show", "web-both", "--json"])
            let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
            return object["tap_flow"] as? [String: Any] ?? object
        }

        private func expectActive(_ serve: ServeProcess) throws {
            let active = try poll(seconds: 10, every: 0.1) { try flow(serve)["status"] as? String == "ACTIVE" }
            #expect(active, "\((try? flow(serve)) ?? [:])")
        }
    }
}
