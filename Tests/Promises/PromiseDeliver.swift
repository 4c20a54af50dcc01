// Promise: what the kernel's own vxlan device sends is delivered byte for byte, and nothing else is touched.

import Foundation
import Lab
import MirrorProgram
import Testing

extension Promises {
    @Suite struct PromiseDeliver {
        /// The monitor's vxlan0 sends to the host, which delivers to `local0`.
        @Test func theKernelsVXLANDeviceIsAPeer() throws {
            try TappedPair.with { lab in
                let directory = try TemporaryDirectory()
                defer { directory.delete() }
                let program = MirrorProgram(deliveries: [
                    .init(
                        id: "far", peers: [.init(TappedPair.monitorAddress)!], local: .init(TappedPair.hostAddress)!,
                        tunnelID: lab.options.vni, interface: TappedPair.localPort)
                ])
                let text = String(decoding: try JSONEncoder().encode(program), as: UTF8.self)
                let dataplane = try DataplaneProcess(in: lab.host, stateDirectory: directory.path, program: text)
                defer { dataplane.terminate() }
                let stream = try Mirror.stream(1, lengths: [80, 81, 600, 1514], flows: 16)
                let receiver = try FrameReceiver(in: lab.collector, interface: "eth0", streams: [stream])
                let sent = try FrameSender(
                    stream, in: lab.monitor, interface: TappedPair.vxlan, rate: 10_000, count: 10_000
                )
                .wait()
                receiver.settle().streams[0].expectWhole(sent, "frames of the kernel's device")
                let reply = try JSONDecoder().decode(
                    DataplaneReply.self, from: Data(try dataplane.request(#"{"method":"stats"}"#).utf8))
                let statistics = try #require(reply.stats?.deliveries.first)
                #expect(statistics.frames >= 10_000 && statistics.drops.values.allSatisfy { $0 == 0 }, "\(statistics)")
                #expect(statistics.gaps == nil)
                try receiver.stop()
            }
        }
    }
}
