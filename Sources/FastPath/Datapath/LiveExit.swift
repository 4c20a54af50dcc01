// Many copies at once as XDP frames of the uplink, instead of one skb each as AF_XDP makes them: BPF_PROG_RUN with live frames
// (Documentation/bpf/bpf_prog_run.rst). Before it: Uplink.swift, which asks for it where enough copies wait. After it: live.bpf.c,
// and the device's ndo_xdp_xmit.
//
// A run has a price of its own, some 20 µs, whatever it sends: below `fewest` copies AF_XDP is cheaper.

import CShims

/// A queue of copies that lies in a BPF array, and the program that empties it.
public struct LiveExit: ~Copyable {
    /// A run for fewer copies takes more CPU than their skbs (docs/performance.md, Copies as XDP frames).
    @inline(__always) public static var fewest: UInt32 { 48 }

    /// Runs for fewer that may follow one for as many.
    @inline(__always) static var followers: Int { 8 }

    private let program: Int32
    private let queue: UnsafeMutablePointer<hs_live_head>
    /// The error of the last run, an errno; 0 if it had none. There is no other run before the host side has taken it back.
    public private(set) var error: Int32 = 0

    /// - Parameters:
    ///   - program: loaded; it must outlive this.
    ///   - queue: its mapped array.
    public init(program: Int32, queue: UnsafeMutableRawPointer) {
        self.program = program
        self.queue = queue.assumingMemoryBound(to: hs_live_head.self)
    }

    /// Lets runs begin again after one that failed.
    public mutating func forgive() { error = 0 }

    /// Copies that are in a run now.
    public var waiting: UInt64 { queue.pointee.end &- queue.pointee.next }

    /// Copies that were given to the device.
    public var sent: UInt64 { queue.pointee.next &- queue.pointee.refused }

    /// Copies that could not be made frames of the uplink.
    public var refused: UInt64 { queue.pointee.refused }

    /// Sends the first copies of those that a ring has unpublished, as many as one run may have.
    ///
    /// - Returns: how many left, each of one descriptor; 0 where the first cannot leave so, or the kernel refuses.
    @inline(__always)
    mutating func send(_ ring: borrowing ProducerRing<xdp_desc>, _ area: UnsafeMutableRawPointer) -> UInt32 {
        if error != 0 { return 0 }
        let most = min(ring.unpublished, UInt32(HS_LIVE_MOST))
        var (count, offset): (UInt32, UInt32) = (0, 0)
        while count < most {
            let copy = ring.peek(count)
            if copy.options & HS_XDP_PKT_CONTD != 0 || copy.len > UInt32(HS_LIVE_LONGEST) { break }
            offset = hs_put_live(queue, offset, area + Int(copy.addr), copy.len)
            count &+= 1
        }
        let first = queue.pointee.next
        if count > 0 {
            let failed = hs_run_live(program, queue)
            error = failed == EINTR ? 0 : failed
        }
        queue.pointee.end = queue.pointee.next
        return UInt32(truncatingIfNeeded: queue.pointee.next &- first)
    }
}
