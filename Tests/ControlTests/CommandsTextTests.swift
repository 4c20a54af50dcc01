// What the commands print for people, as literal text.

import ControlCommands
import ControlModel
import Testing

@Suite struct CommandsTextTests {
    func parse(_ text: String) throws -> JSON { try JSON(parsing: text.utf8) }

    @Test func tableAlignsAndCutsNothing() {
        var table = Table(["NAME", "FRAMES", "REASON"], right: ["FRAMES"])
        table.add(["a", "1", ""])
        table.add(["a longer name", "12345", "x\u{1B}[31m\ny"])
        #expect(
            table.text == """
                NAME           FRAMES  REASON
                a                   1  -
                a longer name   12345  x?[31m?y

                """)
    }

    @Test func flowsShowNamesStatusesAndReasons() throws {
        let flows = try parse(
            """
            [{"id":"2","name":"web-out","source_port":"p","tap_service_id":"s","direction":"OUT","status":"DOWN",
              "status_reason":"interface veth0 is not there"},
             {"id":"1","name":"db","source_port":"q","tap_service_id":"s","direction":"BOTH","status":"ACTIVE","status_reason":null}]
            """)
        let names = Names(try parse(#"[{"id":"p","name":"web"},{"id":"s","name":"ids"},{"id":"q","name":""}]"#).items)
        #expect(
            Output.table(flows.items, of: FlowResource.self, names: names) == """
                NAME     ID  PORT  DIRECTION  SERVICE  STATUS  REASON
                db       1   q     BOTH       ids      ACTIVE  -
                web-out  2   web   OUT        ids      DOWN    interface veth0 is not there

                """)
        #expect(
            Output.table([], of: FlowResource.self, names: names)
                == "no tap flows; 'heliostat flow create --help' says how to make one\n")
    }

    @Test(
        arguments: [
            (0, "0"), (9999, "9999"), (10_000, "10.0k"), (99_949, "99.9k"), (99_950, "100k"), (999_499, "999k"),
            (999_500, "1.00M"), (2_000_000, "2.00M"), (UInt64.max, "18.4E"),
        ] as [(UInt64, String)])
    func counts(_ value: UInt64, _ text: String) { #expect(Quantity.count(value) == text) }

    @Test(arguments: [(0, "0 B"), (999, "999 B"), (1500, "1.50 kB"), (12_345_678, "12.3 MB")] as [(UInt64, String)])
    func bytes(_ value: UInt64, _ text: String) { #expect(Quantity.bytes(value) == text) }

    @Test(arguments: [(0, "0"), (0.4, "0"), (999.4, "999"), (999.5, "1.00k"), (8.25e9, "8.25G")] as [(Double, String)])
    func rates(_ value: Double, _ text: String) { #expect(Quantity.rate(value) == text) }

    @Test func jsonHasALineForEachMember() throws {
        let value = try parse(#"{"b":[],"a":[{"x":1,"y":null},"\n"],"c":{}}"#)
        #expect(
            value.prettyText == #"""
                {
                  "b": [],
                  "a": [
                    {
                      "x": 1,
                      "y": null
                    },
                    "\n"
                  ],
                  "c": {}
                }
                """#)
    }

    @Test func statusNamesWhatRuns() throws {
        let status = try parse(
            """
            {"host":"rack4","version":"0.1.0","dataplane":{"connected":true,"reason":null,"status":{
              "version":"0.1.0","pid":4242,"epoch":"e","generation":7,
              "ports":[{"id":"p","interface":"veth0","state":"capturing","capture":"tap","hook":"tcx","side":"peer","mtu":1500},
                       {"id":"q","interface":"eth2","state":"down","capture":"span","hook":"xdp-native","zero_copy":false,
                        "queues":2,"reason":"link is down"},
                       {"id":"r","interface":"eth3","state":"capturing","capture":"xdp","obtained":"xdp","side":"self",
                        "hook":"xdp-native+tcx","mtu":1500,"mtu_limit":3498,"changes":["rxvlan off"]},
                       {"id":"t","interface":"br0","state":"capturing","capture":"xdp","obtained":"tap","hook":"tcx",
                        "side":"self","mtu":1500,"reason":"no XDP"}],
              "destinations":[{"id":"s","state":"ready","uplink":"eth1","source":"192.0.2.1","next_hop":"02:00:00:00:00:09","mtu":9000}],
              "taps":[{"id":"f","state":"active","engine":"kernel","engine_reason":"super-frames"}]}}}
            """)
        let names = Names(
            try parse(#"[{"id":"p","name":"web"},{"id":"s","name":"ids"},{"id":"f","name":"web-in"}]"#).items)
        #expect(
            StatusCommand.text(status, names: names) == """
                host       rack4
                version    0.1.0
                dataplane  connected
                           version 0.1.0, pid 4242, program 7

                PORT  INTERFACE  STATE      CAPTURE       HOOK                                        SIDE   MTU  REASON
                web   veth0      capturing  tap           tcx                                         peer  1500  -
                q     eth2       down       span          xdp-native, copy, 2 queues                  -        -  link is down
                r     eth3       capturing  xdp           xdp-native+tcx, MTU up to 3498, rxvlan off  self  1500  -
                t     br0        capturing  tap, not xdp  tcx                                         self  1500  no XDP

                DESTINATION  STATE  UPLINK  SOURCE     NEXT HOP            MTU  REASON
                ids          ready  eth1    192.0.2.1  02:00:00:00:00:09  9000  -

                TAP FLOW  STATE   ENGINE  REASON
                web-in    active  kernel  super-frames

                """)
    }

    @Test func statusWithoutADataplaneSaysWhy() throws {
        let status = try parse(
            #"{"host":"rack4","version":"0.1.0","dataplane":{"connected":false,"reason":"permission denied","status":null}}"#
        )
        #expect(
            StatusCommand.text(status, names: Names()) == """
                host       rack4
                version    0.1.0
                dataplane  not connected: permission denied

                """)
    }

    static let statistics = """
        {"updated_at":"2026-01-01T00:00:00Z","epoch":"e","tap_flows":[{"id":"f","name":"web-in","frames":1234567,
         "bytes":98765432,"truncated":3,"drops":{"tx_ring_full":12,"no_route":13,"exceeds_mtu":0}}],
         "destinations":[{"id":"s","name":"ids","offered":1234592,"frames":1234567,"bytes":98765432,"truncated":3,
                          "drops":{"tx_ring_full":12,"no_route":13}}],
         "strays":{"unknown_generation":0,"uplink_down":7},
         "umem":{"chunks":4096,"free":4000,"fill":0,"receive":0,"transmit":96}}
        """

    @Test func statisticsOnce() throws {
        #expect(
            StatisticsText.text(try parse(Self.statistics), rates: nil) == """
                TAP FLOW  FRAMES    BYTES  TRUNCATED  DROPPED  REASONS
                web-in     1.23M  98.8 MB          3       25  no_route 13, tx_ring_full 12

                DESTINATION  OFFERED  FRAMES    BYTES  TRUNCATED  DROPPED  REASONS
                ids            1.23M   1.23M  98.8 MB          3       25  no_route 13, tx_ring_full 12

                drops of no tap  uplink_down 7
                UMEM             4096 chunks: 4000 free, 0 fill, 0 receive, 96 transmit
                read at          2026-01-01T00:00:00Z

                """)
    }

    @Test func ratesComeFromTwoReadingsOfOneEpoch() throws {
        func reading(_ second: String, epoch: String, _ frames: Int, _ bytes: Int) throws -> JSON {
            try parse(
                """
                {"updated_at":"2026-01-01T00:00:\(second)Z","epoch":"\(epoch)",
                 "tap_flows":[{"id":"f","frames":\(frames),"bytes":\(bytes)}]}
                """)
        }
        var rates = Rates()
        rates.take(try reading("00", epoch: "a", 100, 10_000))
        #expect(rates["f"] == nil)
        rates.take(try reading("02.500", epoch: "a", 350, 35_000))
        #expect(rates["f"] == Rates.Rate(frames: 100, bytes: 10_000))
        rates.take(try reading("02.500", epoch: "a", 350, 35_000))
        #expect(rates["f"] == Rates.Rate(frames: 100, bytes: 10_000))
        rates.take(try reading("03", epoch: "b", 400, 40_000))
        #expect(rates["f"] == nil)
    }
}
