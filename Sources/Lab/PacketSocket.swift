// The lab's door to an interface: an AF_PACKET socket for whole Ethernet frames. FrameSender.swift and
// FrameReceiver.swift stand on it; a test that needs one hand-made frame uses it directly.

import CShims
import Glibc

/// A frame as it was on the wire, with what the kernel knew of it; valid only during the call that hands it out.
public struct CapturedFrame: ~Copyable {
    /// The whole frame, VLAN tags in their places.
    public let bytes: UnsafeRawBufferPointer
    /// When the kernel received it, nanoseconds since 1970-01-01 UTC.
    public let nanoseconds: UInt64
    /// The frame's checksum was left for hardware to complete: such a frame was never on a wire.
    public let checksumIsPartial: Bool
}

/// A packet socket bound to one interface.
public final class PacketSocket: Sendable {
    private let descriptor: Int32

    /// Opens a socket inside a namespace.
    ///
    /// - Parameter receiveBuffer: bytes for frames that wait to be read (incoming ones only, not those sent by this
    ///   host); 0 opens a socket that only sends. Sending goes through queueing discipline and egress hooks.
    public convenience init(in namespace: Namespace, interface: String, receiveBuffer: Int32 = 0) throws {
        self.init(descriptor: try namespace.run { try Self.open(interface, receiveBuffer) })
    }

    private init(descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    private static func open(_ interface: String, _ receiveBuffer: Int32) throws -> Int32 {
        let index = if_nametoindex(interface)
        guard index != 0 else { throw LabError("there is no interface '\(interface)'") }
        let descriptor = lab_packet_socket(index, receiveBuffer)
        guard descriptor >= 0 else { throw LabError(errno: "cannot open a packet socket on '\(interface)'") }
        return descriptor
    }

    /// Sends one frame.
    ///
    /// - Returns: false when the device had no room and the kernel refused it (ENOBUFS).
    /// - Throws: `LabError` for anything else.
    @discardableResult
    public func send(_ frame: UnsafeRawBufferPointer) throws(LabError) -> Bool {
        if Glibc.send(descriptor, frame.baseAddress, frame.count, 0) == frame.count { return true }
        if errno == ENOBUFS || errno == EAGAIN { return false }
        throw LabError(errno: "cannot send a frame of \(frame.count) bytes")
    }

    /// Sends one frame given as an array.
    public func send(_ frame: [UInt8]) throws {
        guard try frame.withUnsafeBytes({ try send($0) }) else { throw LabError("the device refused a frame: no room") }
    }

    /// Waits until a frame is there, at most `milliseconds`.
    func waitReadable(milliseconds: Int32) {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        Glibc.poll(&entry, 1, milliseconds)
    }

    /// Hands out the frames that are there, at most one batch, in the order of their arrival.
    ///
    /// - Returns: their number.
    func receive(into batch: borrowing ReceiveBatch, _ body: (borrowing CapturedFrame) -> Void) -> Int {
        let count = max(0, Int(lab_receive(descriptor, batch.firstFrame, ReceiveBatch.stride, batch.results)))
        for index in 0..<count { body(batch.frame(index)) }
        return count
    }

    /// Frames the socket had no room for, since the last call.
    func takeDropped() -> UInt64 {
        var (seen, dropped): (UInt32, UInt32) = (0, 0)
        lab_packet_statistics(descriptor, &seen, &dropped)
        return UInt64(dropped)
    }
}

/// Room for one batch of frames, each with four bytes before it for the VLAN tag that the kernel takes out.
struct ReceiveBatch: ~Copyable {
    static let stride = 66 * 1024
    private let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: stride * Int(LAB_BATCH) + 16, alignment: 64)
    let results = UnsafeMutablePointer<lab_received>.allocate(capacity: Int(LAB_BATCH))

    init() {}

    deinit {
        memory.deallocate()
        results.deallocate()
    }

    var firstFrame: UnsafeMutablePointer<UInt8> { (memory.baseAddress! + 4).assumingMemoryBound(to: UInt8.self) }

    /// The frame as on the wire: the tag goes back behind the addresses.
    func frame(_ index: Int) -> CapturedFrame {
        let result = results[index]
        var start = memory.baseAddress! + 4 + index * Self.stride
        var length = min(Int(result.length), Self.stride - 4)
        if result.tag_protocol != 0 {
            (start - 4).copyMemory(from: start, byteCount: 12)
            start -= 4
            length += 4
            let header = UnsafeMutableRawBufferPointer(start: start, count: 16)
            header.write16(result.tag_protocol, at: 12)
            header.write16(result.tag, at: 14)
        }
        return CapturedFrame(
            bytes: UnsafeRawBufferPointer(start: start, count: length), nanoseconds: result.nanoseconds,
            checksumIsPartial: result.checksum_partial != 0)
    }
}
