// Where the headers of a captured frame are: Ethernet, a stack of tags, IPv4 or IPv6, TCP or UDP. Read once a frame,
// then used by the flow hash, by checksum completion and by segmentation. Every offset is checked against the length.

/// EtherTypes and IP protocol numbers (IANA).
enum EtherType {
    @inline(__always) static var ipv4: UInt16 { 0x0800 }
    @inline(__always) static var ipv6: UInt16 { 0x86DD }
    @inline(__always) static var vlan: UInt16 { 0x8100 }
    @inline(__always) static var serviceVLAN: UInt16 { 0x88A8 }
}

enum IPProtocol {
    @inline(__always) static var hopByHop: UInt8 { 0 }
    @inline(__always) static var tcp: UInt8 { 6 }
    @inline(__always) static var udp: UInt8 { 17 }
    @inline(__always) static var routing: UInt8 { 43 }
    @inline(__always) static var fragment: UInt8 { 44 }
    @inline(__always) static var gre: UInt8 { 47 }
    @inline(__always) static var destinationOptions: UInt8 { 60 }
    @inline(__always) static var sctp: UInt8 { 132 }
}

extension UnsafeRawPointer {
    /// Reads in network byte order.
    @inline(__always)
    func big16(_ offset: Int) -> UInt16 { UInt16(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt16.self)) }
    @inline(__always)
    func big32(_ offset: Int) -> UInt32 { UInt32(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }
    @inline(__always)
    func byte(_ offset: Int) -> UInt8 { load(fromByteOffset: offset, as: UInt8.self) }
}

extension UnsafeMutableRawPointer {
    /// Writes in network byte order.
    @inline(__always)
    func put16(_ value: UInt16, _ offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt16.self)
    }
    @inline(__always)
    func put32(_ value: UInt32, _ offset: Int) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self)
    }
    @inline(__always)
    func put8(_ value: UInt8, _ offset: Int) { storeBytes(of: value, toByteOffset: offset, as: UInt8.self) }
}

/// Offsets of a frame's headers, in bytes from its first one.
package struct Layers {
    /// 4, 6, or 0 for a frame that is not IP or whose IP header does not fit.
    package private(set) var version: UInt8 = 0
    /// The transport protocol; 0 where there is none to be read (fragments, unknown extension headers).
    package private(set) var transport: UInt8 = 0
    package private(set) var isFragment = false
    /// Innermost EtherType behind the tags.
    package private(set) var etherType: UInt16 = 0
    package var network = 0
    /// First byte behind the IP header and the extension headers.
    package private(set) var payload = 0

    /// - Parameter length: bytes that may be read, at least 14.
    @inline(__always)
    package init(_ frame: UnsafeRawPointer, _ length: Int) {
        var at = 12
        etherType = frame.big16(at)
        at &+= 2
        while (etherType == EtherType.vlan || etherType == EtherType.serviceVLAN) && at &+ 4 <= length {
            etherType = frame.big16(at &+ 2)
            at &+= 4
        }
        network = at
        payload = at
        if etherType == EtherType.ipv4 {
            readIPv4(frame, length)
        } else if etherType == EtherType.ipv6 {
            readIPv6(frame, length)
        }
    }

    /// RFC 791 section 3.1.
    @inline(__always)
    private mutating func readIPv4(_ frame: UnsafeRawPointer, _ length: Int) {
        guard network &+ 20 <= length, frame.byte(network) >> 4 == 4 else { return }
        let headerLength = Int(frame.byte(network) & 0x0F) &* 4
        guard headerLength >= 20, network &+ headerLength <= length else { return }
        version = 4
        payload = network &+ headerLength
        isFragment = frame.big16(network &+ 6) & 0x3FFF != 0
        transport = frame.byte(network &+ 9)
    }

    /// RFC 8200 sections 3 and 4: at most four extension headers are followed.
    @inline(__always)
    private mutating func readIPv6(_ frame: UnsafeRawPointer, _ length: Int) {
        guard network &+ 40 <= length, frame.byte(network) >> 4 == 6 else { return }
        version = 6
        transport = frame.byte(network &+ 6)
        payload = network &+ 40
        var extensions = 0
        while transport == IPProtocol.hopByHop || transport == IPProtocol.routing
            || transport == IPProtocol.destinationOptions || transport == IPProtocol.fragment
        {
            guard extensions < 4, payload &+ 8 <= length else {
                transport = 0
                return
            }
            if transport == IPProtocol.fragment { isFragment = true }
            let bytes = transport == IPProtocol.fragment ? 8 : (Int(frame.byte(payload &+ 1)) &+ 1) &* 8
            transport = frame.byte(payload)
            payload &+= bytes
            extensions &+= 1
        }
        if payload > length { transport = 0 }
    }
}
