// Filter expressions: what they compile to, and where and how the wrong ones are refused.

import MirrorProgram
import PacketFilter
import Testing

@Suite("Filter expressions")
struct FilterCompilerTests {
    private func refusal(_ expression: String) -> String? {
        do throws(FilterError) {
            _ = try FilterCompiler.compile(expression)
            return nil
        } catch {
            return error.description
        }
    }

    @Test("a filter compiles to the code that tcpdump -d shows for Ethernet")
    func code() throws {
        // (000) ldh [12]  (001) jeq #0x800 jt 2 jf 5  (002) ldb [23]  (003) jeq #0x1 jt 4 jf 5  (004) ret #262144
        let code = try FilterCompiler.compile("icmp")
        #expect(
            code == [
                .init(code: 0x28, jumpTrue: 0, jumpFalse: 0, k: 12),
                .init(code: 0x15, jumpTrue: 0, jumpFalse: 3, k: 0x800),
                .init(code: 0x30, jumpTrue: 0, jumpFalse: 0, k: 23), .init(code: 0x15, jumpTrue: 0, jumpFalse: 1, k: 1),
                .init(code: 0x06, jumpTrue: 0, jumpFalse: 0, k: 262_144),
                .init(code: 0x06, jumpTrue: 0, jumpFalse: 0, k: 0),
            ])
    }

    @Test(
        "what pcap-filter(7) has, it has here",
        arguments: [
            "tcp port 80", "port http or ssh or 99", "tcp[13]&tcp-syn!=0", "ether host aa:bb:cc:dd:ee:ff",
            "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0 and not src and dst net 10.0.0.0/8", "ether host aa-bb-cc-dd-ee-ff",
            "ether host aabb.ccdd.eeff", "ip6 host 2001:db8::1 or net 2001:db8::/32", "portrange 6000-6008",
            "tcp portrange 80-ssh", "ip proto \\tcp", "ip proto (\\tcp or \\udp)", "ether proto \\ip",
            "vlan 5 and vlan",
            "mpls 5", "llc i", "len > 5", "less 60", "net 10", "geneve", "host ::1", "ip host 1.2.3.4 or 5.6.7.8",
            "tcp port 80 || udp port 53 && !arp", "pppoes 5 and ip", "multicast", "arp or rarp", "ip6[6]=58",
        ])
    func accepted(expression: String) {
        #expect(refusal(expression) == nil)
    }

    private static let early = "the filter ends too early (pcap-filter(7))"
    private static let misplaced = "this cannot stand here (pcap-filter(7))"
    private static let name = "this is no keyword of pcap-filter(7), and names are not looked up; write an address"

    @Test(
        "an error has the column and the token that is wrong",
        arguments: [
            ("tcp prt 80", "column 5: 'prt': \(name)"), ("tcp port", "column 9: \(early)"),
            ("(tcp", "column 5: \(early)"), ("tcp)", "column 4: ')': \(misplaced)"),
            ("tcp and and udp", "column 9: 'and': \(misplaced)"), ("tcp and ", "column 9: \(early)"),
            ("tcp[13", "column 7: \(early)"), ("()", "column 2: ')': \(misplaced)"),
            ("tcp == 5", "column 5: '==': \(misplaced)"),
            ("host 2001:db8:::1", "column 6: '2001:db8:::1': \(misplaced)"),
            ("ip proto tcp", "column 10: 'tcp': \(misplaced)"), ("$5", "column 1: '$5': \(misplaced)"),
            ("tcp port 80 and (udp port 53", "column 29: \(early)"),
            ("port htp and tcp", "column 6: 'htp': unknown port 'htp'"),
            ("tcp port 80 or port 70000 or udp", "column 21: '70000': illegal port number 70000 > 65535"),
            ("vlan 99999", "column 6: '99999': VLAN tag 99999 greater than maximum 4095"),
            ("host 1.2.3.400", "column 6: '1.2.3.400': invalid IPv4 address '1.2.3.400'"),
            ("host aabb.ccdd.eeff", "column 6: 'aabb.ccdd.eeff': ethernet address used in non-ether expression"),
            ("net 1.2.3.4/8 and tcp", #"column 13: '8': non-network bits set in "1.2.3.4/8""#),
            ("ip broadcast", "column 4: 'broadcast': netmask not known, so 'ip broadcast' not supported"),
            ("ip[0:4]=1/0", "column 11: '0': division by zero"),
            ("tcp and udp", "column 1: no frame can satisfy this filter"),
            ("  ", "column 1: the filter is empty; leave it out to take every frame"),
            ("tcp\u{1}", "column 4: the character U+1 cannot be in a filter"),
            ("tcp and é", "column 9: the character U+E9 cannot be in a filter"),
        ])
    func refused(expression: String, text: String) {
        #expect(refusal(expression) == text)
    }

    @Test(
        "no name is looked up",
        arguments: [
            ("host foo", 6), ("host foo and tcp", 6), ("src net www.example.com or tcp", 9), ("host 1-2", 6),
            ("host \\tcp", 6), ("dst port ssh and dst host a.b.c", 27), ("foo", 1), ("host 1.2.3.4 or foo", 17),
            ("port 80 and src foo", 17), ("(host foo)", 7), ("not foo", 5),
        ])
    func names(expression: String, column: Int) throws {
        do throws(FilterError) {
            _ = try FilterCompiler.compile(expression)
            Issue.record("compiled")
        } catch {
            #expect(error.column == column)
            #expect(error.reason == Self.name)
        }
    }

    @Test(
        "what has no meaning for a copy, or no end, is refused",
        arguments: [
            ("tcp and inbound", "column 9: 'inbound': a copy has no such direction; set the direction of the tap"),
            ("outbound", "column 1: 'outbound': a copy has no such direction; set the direction of the tap"),
            (
                "ip protochain 6",
                "column 4: 'protochain': loops are not allowed in a filter; write 'proto', or test the bytes"
            ),
            (
                "gateway x",
                "column 1: 'gateway': names are not looked up; write 'ether host ADDRESS and not host ADDRESS' instead"
            ),
            ("ether[0xfffff004:1]=4", "column 1: the filter reads behind the end of every frame"),
        ])
    func meaningless(expression: String, text: String) {
        #expect(refusal(expression) == text)
    }

    @Test("size and time have bounds")
    func bounds() {
        let long = String(repeating: " ", count: 4093) + "tcp "
        #expect(refusal(long) == "column 1: the filter has 4097 bytes; 4096 is the limit")
        #expect(refusal(String(long.dropLast())) == nil)
        let ports = (1...129).map { "\($0)" }
        #expect(refusal("port " + ports.dropLast().joined(separator: " or ")) == nil)
        #expect(
            refusal("port " + ports.joined(separator: " or "))
                == "column 794: '129': a filter names at most 128 ports, a range counting as two; use several taps")
        let deep = String(repeating: "(", count: 2000) + "tcp" + String(repeating: ")", count: 2000)
        #expect(refusal(deep) == nil)
        #expect(refusal(String(repeating: "!", count: 4094) + "ip") == nil)
    }

    @Test("whatever is written, it is compiled to valid code or refused with a column inside it")
    func anything() throws {
        let words = [
            "tcp", "udp", "port", "80", "http", "(", ")", "and", "or", "not", "host", "1.2.3.4", "::1", "net", "/", "8",
            "[", "]", "0", "=", "!", "&", "ip", "ip6", "vlan", "proto", "\\tcp", "src", "dst", "ether",
            "aa:bb:cc:dd:ee:ff", "foo", "mpls", "len", ">", "-", "+", "*", "%", "<<", "portrange", "1-2", "llc", "i",
            "icmp", "tcpflags", "tcp-syn", "\\", "$a", "_", "'", "\"", ".", ":", "geneve", "less", "broadcast",
        ]
        for _ in 0..<2000 {
            let expression = (0..<Int.random(in: 1...12)).map { _ in words.randomElement()! }
                .joined(separator: Bool.random() ? " " : "")
            do throws(FilterError) {
                let filter = MirrorProgram.PacketFilter(
                    expression: expression, code: try FilterCompiler.compile(expression))
                let program = MirrorProgram(
                    ports: [.init(id: "p", interface: "e")],
                    destinations: [.init(id: "d", target: .interface("f"))],
                    taps: [.init(id: "t", port: "p", direction: .both, destinations: ["d"], filter: filter)])
                #expect(throws: Never.self, "\(expression)") { try program.validate() }
            } catch {
                #expect((1...expression.count + 1).contains(error.column), "\(expression)")
            }
        }
    }

    @Test("a program's filters are compiled where they have no code, and errors name the tap")
    func program() throws {
        let own = [MirrorProgram.FilterInstruction(code: 6, jumpTrue: 0, jumpFalse: 0, k: 1)]
        var program = MirrorProgram(taps: [
            .init(id: "a", port: "p", direction: .both, destinations: ["d"]),
            .init(id: "b", port: "p", direction: .both, destinations: ["d"], filter: .init(expression: "icmp")),
            .init(id: "c", port: "p", direction: .both, destinations: ["d"], filter: .init(expression: "?", code: own)),
        ])
        try program.compileFilters()
        #expect(program.taps.map { $0.filter?.code.count } == [nil, 6, 1])
        program.taps[0].filter = .init(expression: "tcp prt 80")
        #expect(throws: ProgramError("taps[0].filter: column 5: 'prt': \(Self.name)")) { try program.compileFilters() }
    }
}
