// The lines of the dataplane's control socket, against literal text (docs/program.md).

import MirrorProgram
import Testing

@Suite("The control socket's lines")
struct ControlProtocolTests {
    @Test("requests")
    func requests() throws {
        let apply =
            #"{"method":"apply","program":{"deliveries":[],"destinations":[],"generation":3,"ports":[],"taps":[],"uplinks":[]}}"#
        #expect(try decoded(apply) == DataplaneRequest.apply(MirrorProgram(generation: 3)))
        #expect(try encoded(DataplaneRequest.apply(MirrorProgram(generation: 3))) == apply)
        for (text, request) in [
            (#"{"method":"status"}"#, DataplaneRequest.status), (#"{"method":"stats"}"#, .stats),
            (#"{"method":"watch","taps":["a","b"]}"#, .watch(["a", "b"])),
        ] {
            #expect(try decoded(text) == request)
            #expect(try encoded(request) == text)
        }
    }

    @Test("requests that are none")
    func notRequests() {
        #expect(
            refusal(of: DataplaneRequest.self, in: #"{"method":"stop"}"#)
                == "unknown method 'stop'; known: apply, status, stats, watch")
        #expect(refusal(of: DataplaneRequest.self, in: "{}") != nil)
        #expect(refusal(of: DataplaneRequest.self, in: #"{"method":"apply"}"#) != nil)
        #expect(refusal(of: DataplaneRequest.self, in: #"{"method":"watch"}"#) != nil)
        #expect(refusal(of: DataplaneRequest.self, in: #"{"method":"apply","program":{"tap":[]}}"#) != nil)
    }

    @Test("a reply has one member, and absent values are left out")
    func replies() throws {
        let refused = DataplaneReply(error: "port 'web' is there twice; ids are unique")
        #expect(try encoded(refused) == #"{"error":"port 'web' is there twice; ids are unique"}"#)

        let status = DataplaneStatus(
            version: "0.1", pid: 42, epoch: "e1", generation: 3,
            ports: [
                .init(
                    id: "web", interface: "veth0", state: .capturing, capture: .tap, hook: "tcx", side: .peer, mtu: 1500
                )
            ],
            destinations: [
                .init(
                    id: "ids", state: .unreachable, uplink: "eth1", source: IPAddress("192.0.2.1"), mtu: 1500,
                    reason: "192.0.2.9 does not answer")
            ],
            taps: [.init(id: "t", state: .active)],
            deliveries: [.init(id: "from-b", state: .ready, underlays: ["eth1"])])
        let text = """
            {"status":{"deliveries":[{"id":"from-b","state":"ready","underlays":["eth1"]}],"destinations":[{"id":"ids","mtu":1500,"reason":"192.0.2.9 does not answer","source":"192.0.2.1",\
            "state":"unreachable","uplink":"eth1"}],"epoch":"e1","generation":3,"pid":42,\
            "ports":[{"capture":"tap","hook":"tcx","id":"web","interface":"veth0","mtu":1500,"side":"peer",\
            "state":"capturing"}],"taps":[{"id":"t","state":"active"}],"uplinks":[],"version":"0.1","workers":[]}}
            """
        #expect(try encoded(DataplaneReply(status: status)) == text)
        #expect(try decoded(text) == DataplaneReply(status: status))
    }

    @Test("statistics name every drop reason")
    func statistics() throws {
        let drops = Dictionary(uniqueKeysWithValues: DropReason.allCases.map { ($0.name, UInt64(0)) })
        let stats = DataplaneStatistics(
            epoch: "e1", time: 1.5, taps: [.init(id: "t", frames: 2, bytes: 128, truncated: 0, drops: [:])],
            destinations: [.init(id: "ids", offered: 3, frames: 2, bytes: 128, truncated: 1, drops: drops)],
            deliveries: [
                .init(id: "from-b", frames: 5, bytes: 320, drops: ["malformed": 1], gaps: 2),
                .init(id: "from-c", frames: 0, bytes: 0, drops: [:]),
            ], inline: [.init(id: "bump", forwarded: 9, bypassed: 3, drops: [.stale: 2])],
            strays: ["unknown_generation": 4], umem: .init(chunks: 8, free: 4, fill: 2, receive: 1, transmit: 1))
        let text = """
            {"stats":{"deliveries":[{"bytes":320,"drops":{"malformed":1},"frames":5,"gaps":2,"id":"from-b"},\
            {"bytes":0,"drops":{},"frames":0,"id":"from-c"}],"destinations":[{"bytes":128,"drops":{"capture_ring_full":0,"exceeds_mtu":0,"fused":0,"kernel_refused":0,"malformed":0,\
            "neighbour_unresolved":0,"no_route":0,"rate_limited":0,"receive_ring_full":0,"tx_ring_full":0,"umem_exhausted":0,\
            "unknown_generation":0,"unsegmentable":0,"uplink_down":0,"uplink_limited":0},"frames":2,"id":"ids","offered":3,"truncated":1}],"epoch":"e1",\
            "inline":[{"bypassed":3,"drops":{"receive_ring_full":0,"stale":2,"tx_ring_full":0},"forwarded":9,"id":"bump"}],\
            "strays":{"unknown_generation":4},"taps":[{"bytes":128,"drops":{},"frames":2,"id":"t","truncated":0}],"time":1.5,\
            "umem":{"chunks":8,"fill":2,"free":4,"receive":1,"transmit":1}}}
            """
        #expect(try encoded(DataplaneReply(stats: stats)) == text)
        #expect(try decoded(text) == DataplaneReply(stats: stats))
    }

    @Test("a dataplane from before there were deliveries is readable")
    func olderDataplane() throws {
        let status: DataplaneStatus = try decoded(
            #"{"destinations":[],"epoch":"e1","generation":3,"pid":42,"ports":[],"taps":[],"version":"0.1"}"#)
        #expect(status.deliveries.isEmpty && status.generation == 3)
        let stats: DataplaneStatistics = try decoded(
            #"{"destinations":[],"epoch":"e1","strays":{},"taps":[],"time":1,"#
                + #""umem":{"chunks":8,"fill":2,"free":4,"receive":1,"transmit":1}}"#)
        #expect(stats.deliveries.isEmpty && stats.umem.chunks == 8)
        #expect(refusal(of: DataplaneStatus.self, in: #"{"epoch":"e1","pid":42,"version":"0.1"}"#) != nil)
    }

    @Test("drop reasons: the index is the raw value, dense from 0, and the names are unique")
    func dropReasons() {
        #expect(DropReason.allCases.map(\.index) == Array(0..<DropReason.count))
        #expect(Set(DropReason.allCases.map(\.name)).count == DropReason.count)
    }
}
