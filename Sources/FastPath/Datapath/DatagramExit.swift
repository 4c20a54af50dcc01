// The kernel's side of an uplink of kind `udp`: what Uplink.swift has queued, a ring in plain memory, leaves through a packet
// socket. Consecutive copies that differ in nothing but what UDP carries and are equally long are one message, a super-frame
// of UDP, which the NIC, or the kernel for it, takes apart again (net/ipv4/udp_offload.c). After it: the uplink's
// queueing discipline.
//
// Only neighbours are put together, so nothing overtakes anything.

import CShims

/// A packet socket with PACKET_VNET_HDR that sends what is in a TX ring.
public struct DatagramExit: ~Copyable {
    private let socket: Int32
    private let combines: Bool
    /// Start of the chunks.
    private let area: UnsafeMutableRawPointer
    private var transmit: ConsumerRing<xdp_desc>
    private var completion: ProducerRing<UInt64>
    /// Copies that were counted as handed to the uplink, and that the kernel then did not take.
    public private(set) var refused: UInt64 = 0

    // What is sent with one system call.
    private let messages: UnsafeMutablePointer<hs_message>
    private let offloads: UnsafeMutablePointer<virtio_net_hdr>
    /// The headers that a message's datagrams share.
    private let headers: UnsafeMutableRawPointer
    private let parts: UnsafeMutablePointer<hs_part>
    /// Descriptors of each message.
    private let counts: UnsafeMutablePointer<Int>

    private static var mostMessages: Int { 32 }
    /// Of one message: 64 KB of frames of 1,000 bytes, or a frame of 65,535 bytes in chunks.
    private static var mostDescriptors: Int { 64 }
    private static var headerRoom: Int { 128 }

    /// - Parameters:
    ///   - socket: bound to the interface, with PACKET_VNET_HDR; it must outlive this.
    ///   - transmit: filled by the uplink.
    ///   - completion: takes the chunks back to it, as large as `transmit`.
    ///   - area: start of the worker's chunks.
    ///   - combines: whether datagrams are put together. Only where every packet has an outer header: what has none is not
    ///     ours.
    public init(
        socket: Int32, transmit: RingMapping, completion: RingMapping, area: UnsafeMutableRawPointer, combines: Bool
    ) {
        self.combines = combines
        self.socket = socket
        self.area = area
        self.transmit = ConsumerRing(transmit)
        self.completion = ProducerRing(completion)
        messages = .allocate(capacity: Self.mostMessages)
        messages.initialize(repeating: hs_message(), count: Self.mostMessages)
        offloads = .allocate(capacity: Self.mostMessages)
        offloads.initialize(repeating: virtio_net_hdr(), count: Self.mostMessages)
        headers = .allocate(byteCount: Self.mostMessages * Self.headerRoom, alignment: 64)
        let partCount = Self.mostMessages * (Self.mostDescriptors + 2)
        parts = .allocate(capacity: partCount)
        parts.initialize(repeating: hs_part(), count: partCount)
        counts = .allocate(capacity: Self.mostMessages)
        counts.initialize(repeating: 0, count: Self.mostMessages)
    }

    deinit {
        messages.deallocate()
        offloads.deallocate()
        headers.deallocate()
        parts.deallocate()
        counts.deallocate()
    }

    /// Sends what is in the ring.
    ///
    /// - Returns: false where the kernel takes no more at present: its device is down, or its queue is full. The rest stays.
    @inline(never)
    mutating func flush() -> Bool {
        var available = Int(transmit.available())
        while available > 0 {
            var (count, planned) = (0, 0)
            while count < Self.mostMessages && planned < available {
                counts[count] = plan(count, from: planned, available)
                planned &+= counts[count]
                count &+= 1
            }
            var done = 0
            while done < count {
                let taken = hs_send_messages(socket, messages + done, UInt32(truncatingIfNeeded: count &- done))
                if taken > 0 {
                    for _ in 0..<Int(taken) {
                        complete(counts[done])
                        done &+= 1
                    }
                    continue
                }
                if taken == -EAGAIN || taken == -ENETDOWN || taken == -ENXIO || taken == -ENODEV { return false }
                // Too long for an MTU that was lowered a moment ago, or dropped by the queueing discipline.
                refused &+= UInt64(offloads[done].gso_size == 0 ? 1 : counts[done])
                complete(counts[done])
                done &+= 1
            }
            available = Int(transmit.available())
        }
        return true
    }

    /// Gives the next `count` descriptors back to the uplink.
    @inline(__always)
    private mutating func complete(_ count: Int) {
        for index in 0..<count { completion.write(transmit.peek(UInt32(truncatingIfNeeded: index)).addr) }
        transmit.advance(UInt32(truncatingIfNeeded: count))
        transmit.release()
        completion.publish()
    }

    /// Makes a message of the descriptors from `start` on.
    ///
    /// - Returns: how many it takes, at least one.
    @inline(__always)
    private func plan(_ message: Int, from start: Int, _ available: Int) -> Int {
        let parts = self.parts + message &* (Self.mostDescriptors &+ 2)
        let lead = transmit.peek(UInt32(truncatingIfNeeded: start))
        let transport = combines && lead.options & HS_XDP_PKT_CONTD == 0 ? Datagram.transport(area + Int(lead.addr)) : 0
        let shared = transport &+ 8
        var count = transport == 0 ? 1 : equals(lead, from: start, available, shared: shared)
        var filled = 1
        if count > 1 {
            let payload = Int(lead.len) &- shared
            offloads[message] = hs_offload(UInt16(truncatingIfNeeded: shared), UInt16(truncatingIfNeeded: payload))
            let header = headers + message &* Self.headerRoom
            header.copyMemory(from: area + Int(lead.addr), byteCount: shared)
            Datagram.lengthen(header, transport: shared &- 8, to: 8 &+ count &* payload)
            parts[1] = hs_part(bytes: header, length: shared)
            filled = 2
            for index in 0..<count {
                let address = Int(transmit.peek(UInt32(truncatingIfNeeded: start &+ index)).addr)
                parts[filled] = hs_part(bytes: area + address + shared, length: payload)
                filled &+= 1
            }
        } else {
            offloads[message] = hs_offload(0, 0)
            var part = lead
            count = 0
            while true {
                parts[filled] = hs_part(bytes: area + Int(part.addr), length: Int(part.len))
                filled &+= 1
                count &+= 1
                guard part.options & HS_XDP_PKT_CONTD != 0, start &+ count < available, count < Self.mostDescriptors
                else { break }
                part = transmit.peek(UInt32(truncatingIfNeeded: start &+ count))
            }
        }
        parts[0] = hs_part(bytes: offloads + message, length: MemoryLayout<virtio_net_hdr>.size)
        hs_fill_message(messages + message, parts, UInt32(truncatingIfNeeded: filled))
        return count
    }

    /// How many descriptors from `start` on are like the first one.
    @inline(__always)
    private func equals(_ lead: xdp_desc, from start: Int, _ available: Int, shared: Int) -> Int {
        let header = area + Int(lead.addr)
        let payload = Int(lead.len) &- shared
        // An IP packet has 65,535 bytes at most (RFC 791 section 3.1; of IPv6 without its header).
        let most = min(min(Self.mostDescriptors, (65_535 &- shared) / max(payload, 1)), available &- start)
        var count = 1
        while count < most {
            let next = transmit.peek(UInt32(truncatingIfNeeded: start &+ count))
            // All of the outer header but UDP's length, which is the same then, and its checksum, which is made anew.
            guard next.len == lead.len, next.options & HS_XDP_PKT_CONTD == 0,
                Datagram.isSame(header, area + Int(next.addr), shared &- 4)
            else { break }
            count &+= 1
        }
        return count
    }
}

/// What is known of a packet whose outer header is ours: IPv4 without options or IPv6 without extension headers, behind one
/// tag or none.
private enum Datagram {
    /// Where UDP begins; 0 if it is another encapsulation.
    @inline(__always)
    static func transport(_ packet: UnsafeRawPointer) -> Int {
        let network = packet.big16(12) == EtherType.vlan ? 18 : 14
        let isIPv6 = packet.big16(network &- 2) == EtherType.ipv6
        if packet.byte(network &+ (isIPv6 ? 6 : 9)) != IPProtocol.udp { return 0 }
        return network &+ (isIPv6 ? 40 : 20)
    }

    @inline(__always)
    static func isSame(_ one: UnsafeRawPointer, _ other: UnsafeRawPointer, _ count: Int) -> Bool {
        var at = 0
        while at &+ 8 <= count {
            if one.loadUnaligned(fromByteOffset: at, as: UInt64.self)
                != other.loadUnaligned(fromByteOffset: at, as: UInt64.self)
            {
                return false
            }
            at &+= 8
        }
        while at < count {
            if one.byte(at) != other.byte(at) { return false }
            at &+= 1
        }
        return true
    }

    /// Makes headers those of a packet with `length` bytes from UDP on, the checksum left to whoever takes it apart.
    @inline(__always)
    static func lengthen(_ header: UnsafeMutableRawPointer, transport: Int, to length: Int) {
        var sum = UInt64(IPProtocol.udp) &+ UInt64(truncatingIfNeeded: length)
        if transport < 14 &+ 40 {
            let network = header + (transport &- 20)
            network.put16(UInt16(truncatingIfNeeded: 20 &+ length), 2)
            network.put16(0, 10)
            network.put16(~Checksum.fold(Checksum.sum(network, 20)), 10)
            sum &+= Checksum.sum(network + 12, 8)
        } else {
            let network = header + (transport &- 40)
            network.put16(UInt16(truncatingIfNeeded: length), 4)
            sum &+= Checksum.sum(network + 8, 32)
        }
        (header + transport).put16(UInt16(truncatingIfNeeded: length), 4)
        (header + transport).put16(Checksum.fold(sum), 6)
    }
}
