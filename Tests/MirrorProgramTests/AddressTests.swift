// Addresses as text, as octets, and those that a copy may not be sent to.

import MirrorProgram
import Testing

@Suite("Addresses")
struct AddressTests {
    @Test(
        "an IPv4 address is four decimal octets",
        arguments: [
            ("192.0.2.9", 0xC000_0209, [192, 0, 2, 9]), ("0.0.0.0", 0, [0, 0, 0, 0]),
            ("255.255.255.255", 0xFFFF_FFFF, [255, 255, 255, 255]), ("10.20.30.40", 0x0A14_1E28, [10, 20, 30, 40]),
        ] as [(String, UInt32, [UInt8])])
    func ipv4(text: String, value: UInt32, octets: [UInt8]) throws {
        let address = try #require(IPv4Address(text))
        #expect(address.value == value)
        #expect(address.octets == octets)
        #expect(address.description == text)
        #expect(try encoded([address]) == "[\"\(text)\"]")
        #expect(try decoded("[\"\(text)\"]") == [address])
    }

    @Test(
        "anything else is not an IPv4 address",
        arguments: [
            "", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.", ".1.2.3", "1..2.3", "01.2.3.4", "1.2.3.04",
            "1.2.3.4 ",
            " 1.2.3.4", "1.2.3.-4", "1.2.3.+4", "1.2.3.a", "0x1.2.3.4", "1.2.3.1000", "::1", "::ffff:192.0.2.9",
            "１.2.3.4",
        ])
    func notIPv4(text: String) {
        #expect(IPv4Address(text) == nil)
        #expect(
            refusal(of: [IPv4Address].self, in: "[\"\(text)\"]")
                == "'\(text)' is not an IPv4 address such as 192.0.2.9")
    }

    @Test(
        "a MAC address is six hexadecimal octets, in either case",
        arguments: [
            ("52:54:00:12:34:56", [0x52, 0x54, 0x00, 0x12, 0x34, 0x56]),
            ("FF:fe:0A:00:b0:01", [0xFF, 0xFE, 0x0A, 0x00, 0xB0, 0x01]),
        ] as [(String, [UInt8])])
    func mac(text: String, octets: [UInt8]) throws {
        let address = try #require(MACAddress(text))
        #expect(address.octets == octets)
        #expect(address.description == text.lowercased())
        #expect(try encoded([address]) == "[\"\(text.lowercased())\"]")
        #expect(MACAddress(octets: octets) == address)
    }

    @Test(
        "anything else is not a MAC address",
        arguments: [
            "", "52:54:00:12:34", "52:54:00:12:34:56:78", "52-54-00-12-34-56", "5254.0012.3456", "5:54:00:12:34:56",
            "52:54:00:12:34:5g", "52:54:00:12:34:", "052:54:00:12:34:56", "+1:54:00:12:34:56",
        ])
    func notMAC(text: String) {
        #expect(MACAddress(text) == nil)
        #expect(
            refusal(of: [MACAddress].self, in: "[\"\(text)\"]")
                == "'\(text)' is not a MAC address such as 52:54:00:12:34:56")
    }

    @Test("a MAC address has exactly six octets", arguments: [0, 5, 7])
    func octetCount(count: Int) {
        #expect(MACAddress(octets: [UInt8](repeating: 1, count: count)) == nil)
    }

    @Test(
        "a copy goes to a unicast address of another machine only",
        arguments: [
            ("0.0.0.0", "is in 0.0.0.0/8, which names no host"), ("0.1.2.3", "is in 0.0.0.0/8, which names no host"),
            ("127.0.0.1", "is a loopback address"), ("127.255.0.1", "is a loopback address"),
            ("169.254.1.1", "is a link-local address"), ("224.0.0.1", "is a multicast address"),
            ("239.255.255.255", "is a multicast address"),
            ("240.0.0.1", "is in the reserved range 240.0.0.0/4"),
            ("255.255.255.254", "is in the reserved range 240.0.0.0/4"),
            ("255.255.255.255", "is the broadcast address"),
        ])
    func unfit(text: String, reason: String) throws {
        #expect(try #require(IPv4Address(text)).unfitAsRemote == reason)
    }

    @Test(
        "the neighbours of the refused ranges are fit",
        arguments: [
            "1.0.0.0", "126.255.255.255", "128.0.0.1", "169.253.0.1", "169.255.0.1", "223.255.255.255", "192.0.2.9",
        ])
    func fit(text: String) throws {
        #expect(try #require(IPv4Address(text)).unfitAsRemote == nil)
    }

    @Test(
        "an IPv6 address is written as RFC 5952 says, whichever of its forms was read",
        arguments: [
            ("2001:0DB8:0:0:0:0:0:0001", "2001:db8::1"), ("::", "::"), ("::1", "::1"), ("1::", "1::"),
            ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
            ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"), ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
            ("::ffff:192.0.2.1", "::ffff:c000:201"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
            ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"), ("fe80::ABCD", "fe80::abcd"),
        ])
    func ipv6(text: String, canonical: String) throws {
        let address = try #require(IPv6Address(text))
        #expect(address.description == canonical)
        #expect(IPv6Address(canonical) == address)
        #expect(IPv6Address(octets: address.octets) == address)
        #expect(try encoded([address]) == "[\"\(canonical)\"]")
        #expect(IPAddress(text) == .v6(address))
    }

    @Test(
        "anything else is not an IPv6 address",
        arguments: [
            "", ":", ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::", "g::", "::1%eth0",
            "1:2:3:4:5:6:7:8::",
            "192.0.2.1", "::192.0.2", "::192.0.2.1:1", "1:192.0.2.1::", " ::1", "::1 ", "[::1]", "1:2:3:4:5:6:7:",
        ])
    func notIPv6(text: String) {
        #expect(IPv6Address(text) == nil)
        #expect(
            refusal(of: [IPv6Address].self, in: "[\"\(text)\"]")
                == "'\(text)' is not an IPv6 address such as 2001:db8::9")
    }

    @Test(
        "a copy goes to a unicast IPv6 address of another machine only",
        arguments: [
            ("::", "is the unspecified address"), ("::1", "is the loopback address"),
            ("::ffff:192.0.2.1", "is an IPv4-mapped address; write the IPv4 address itself"),
            ("fe80::1", "is a link-local address"), ("febf::1", "is a link-local address"),
            ("ff02::1", "is a multicast address"), ("100::1", "is in 100::/64, which is discarded"),
            ("fec0::1", nil), ("2001:db8::1", nil), ("fd00::1", nil), ("::2", nil), ("100:0:0:1::1", nil),
        ] as [(String, String?)])
    func unfitIPv6(text: String, reason: String?) throws {
        #expect(try #require(IPAddress(text)).unfitAsRemote == reason)
    }

    @Test("an address of either version has as many octets as its version")
    func either() throws {
        #expect(IPAddress(octets: [192, 0, 2, 9])?.description == "192.0.2.9")
        #expect(
            IPAddress(octets: [0x20, 1, 0xD, 0xB8] + [UInt8](repeating: 0, count: 12))?.description == "2001:db8::")
        #expect(IPAddress(octets: [1, 2, 3]) == nil && IPAddress(octets: [UInt8](repeating: 0, count: 17)) == nil)
        #expect(
            refusal(of: [IPAddress].self, in: #"["foo"]"#)
                == "'foo' is not an IP address such as 192.0.2.9 or 2001:db8::9")
    }
}
