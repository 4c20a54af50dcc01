// Promise: an interface that goes away and comes back is captured again, without anybody's doing.

import Lab
import MirrorProgram
import Testing

extension Promises {
    @Suite struct PromiseInterface {
        @Test func deletedAndAddedAgain() throws {
            try Mirror.with(Mirror.program()) { mirror in
                for life in 1...3 {
                    let stream = try Mirror.stream(UInt32(life))
                    let copies = try mirror.receiver(Mirror.monitor, [stream])
                    let sent = try FrameSender(stream, in: mirror.lab.a, interface: "eth0", rate: 5_000, count: 1_000)
                        .wait()
                    copies.wait(seconds: 5) { $0.frames >= sent.frames }
                    try copies.stop().streams[0].expectWhole(sent, "life \(life)")
                    try mirror.lab.deleteTappedLink()
                    let gone = try poll(seconds: 5, every: 0.02) { try mirror.status().taps.first?.state == .down }
                    #expect(gone, "the tap of a missing interface is down")
                    #expect(try mirror.status().ports.first?.reason != nil)
                    try mirror.lab.addTappedLink()
                    try mirror.waitUntilReady()
                }
                try mirror.ledger(offered: [Mirror.monitor: 3_000])
            }
        }
    }
}
