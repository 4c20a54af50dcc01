// Copies that another worker has made, for an uplink whose one queue is this worker's: a ring in plain memory with one
// producer and one consumer, as those between us and the kernel. Before it: the other worker's Uplink, which queues there
// as it would for the kernel. After it: this worker's Uplink.
//
// A copy is taken only when it can be sent. What finds no room stays in the ring, and a full ring is counted by whoever
// made the copy: so none is dropped between the two, and neither waits for the other.

import CShims

/// The receiving end of one such ring.
public struct Handover: ~Copyable {
    var transmit: ConsumerRing<xdp_desc>
    var completion: ProducerRing<UInt64>
    /// Start of the other worker's chunks.
    let area: UnsafeMutableRawPointer
    /// What this worker sends through.
    let exit: UnsafeMutablePointer<Uplink>

    /// - Parameters:
    ///   - transmit: filled by the other worker.
    ///   - completion: takes its chunks back to it, as large as `transmit`.
    public init(
        transmit: RingMapping, completion: RingMapping, area: UnsafeMutableRawPointer,
        exit: UnsafeMutablePointer<Uplink>
    ) {
        self.transmit = ConsumerRing(transmit)
        self.completion = ProducerRing(completion)
        self.area = area
        self.exit = exit
    }
}

extension Worker {
    /// Sends what one other worker has handed over.
    ///
    /// - Returns: the number of descriptors taken.
    @inline(__always)
    mutating func takeHandedOver(_ handover: UnsafeMutablePointer<Handover>, budget: Int) -> Int {
        let available = Int(handover.pointee.transmit.available())
        let exit = handover.pointee.exit
        var taken = 0
        while taken < available && taken < budget {
            var count = 1
            while taken &+ count <= available
                && handover.pointee.transmit.peek(UInt32(truncatingIfNeeded: taken &+ count &- 1)).options
                    & HS_XDP_PKT_CONTD != 0
            {
                count &+= 1
            }
            if taken &+ count > available { break }
            guard handover.pointee.completion.hasRoom(UInt32(truncatingIfNeeded: count)),
                exit.pointee.makeRoom(count, &umem), umem.spare >= count
            else { break }
            for index in taken..<(taken &+ count) {
                send(handover.pointee.transmit.peek(UInt32(truncatingIfNeeded: index)), handover)
            }
            taken &+= count
        }
        if taken > 0 {
            handover.pointee.transmit.advance(UInt32(truncatingIfNeeded: taken))
            handover.pointee.transmit.release()
            handover.pointee.completion.publish()
        }
        return taken
    }

    @inline(__always)
    private mutating func send(_ part: xdp_desc, _ handover: UnsafeMutablePointer<Handover>) {
        let exit = handover.pointee.exit
        let chunk = umem.take(for: UMEM.Place.transmit(exit.pointee.number))
        let address = UMEM.address(of: chunk)
        (umem.base + Int(address)).copyMemory(
            from: handover.pointee.area + Int(part.addr), byteCount: min(Int(part.len), UMEM.chunkSize))
        exit.pointee.queue(
            address: address, length: Int(part.len), continues: part.options & HS_XDP_PKT_CONTD != 0)
        handover.pointee.completion.write(part.addr)
    }
}
