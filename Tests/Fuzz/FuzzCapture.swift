// Target `capture`: any bytes as a capture file of `replay`. What libpcap reads of it we read too, frame by frame, and
// no more is made of a file than it holds. Compiled with Sources/FastPath/Host/Replay/CaptureFile.swift.

import Glibc

/// libpcap's struct pcap_pkthdr, with nanoseconds in the place of microseconds.
private struct PacketHeader {
    var seconds = 0, nanoseconds = 0
    var captured: UInt32 = 0, length: UInt32 = 0
}

@_silgen_name("pcap_fopen_offline_with_tstamp_precision")
private func libpcapOpen(_ file: UnsafeMutablePointer<FILE>, _ precision: UInt32, _ error: UnsafeMutablePointer<CChar>)
    -> OpaquePointer?
@_silgen_name("pcap_next_ex")
private func libpcapNext(
    _ capture: OpaquePointer, _ header: UnsafeMutablePointer<UnsafeMutablePointer<PacketHeader>?>,
    _ bytes: UnsafeMutablePointer<UnsafePointer<UInt8>?>
) -> CInt
@_silgen_name("pcap_datalink") private func libpcapLinkType(_ capture: OpaquePointer) -> CInt
@_silgen_name("pcap_close") private func libpcapClose(_ capture: OpaquePointer)

enum FuzzCapture {
    private static let file = fileno(tmpfile())
    private static let path = "/proc/self/fd/\(file)"

    static func take(_ bytes: [UInt8]) {
        expect(ftruncate(file, 0) == 0 && pwrite(file, bytes, bytes.count, 0) == bytes.count, "cannot write the input")
        let theirs = frames(bytes)
        var (sum, index) = (0, 0)
        do throws(HostError) {
            var capture = try CaptureFile(path: path)
            while let frame = try capture.next() {
                sum += frame.bytes.count
                expect(frame.length >= frame.bytes.count, "\(frame.length) on the wire, \(frame.bytes.count) caught")
                expect(bytes.contains(frame.bytes), "a frame that is not in the file")
                if index < theirs.count { compare(frame, theirs[index], index, isNG: bytes[0] == 0x0A) }
                index += 1
            }
            expect(try capture.next() == nil || !capture.isCutShort, "a frame behind the end")
        } catch {
            expect(!error.description.isEmpty && error.code == 0, "\(error)")
            // Versions of pcap that libpcap knows and we refuse at once.
            if index == 0, error.description.hasSuffix("is neither pcap nor pcapng") { return }
        }
        expect(sum + 12 * index <= bytes.count, "\(index) frames of \(sum) bytes out of \(bytes.count)")
        expect(index >= theirs.count, "libpcap reads \(theirs.count) frames, we \(index)")
    }

    private static func compare(_ ours: CapturedFrame, _ theirs: CapturedFrame, _ index: Int, isNG: Bool) {
        // libpcap cuts what is longer than the file says that frames are.
        expect(ours.bytes.starts(with: theirs.bytes), "frame \(index) has other bytes than libpcap's")
        expect(ours.length == max(theirs.length, ours.bytes.count), "frame \(index): \(ours.length), \(theirs.length)")
        // A fraction beyond a second libpcap leaves as it is; pcapng's units it turns into nanoseconds with other roundings.
        expect(
            isNG || theirs.time == 0 || ours.time == theirs.time,
            "frame \(index): \(ours.time) ns, libpcap's \(theirs.time)")
    }

    /// What libpcap reads before it gives up.
    private static func frames(_ bytes: [UInt8]) -> [CapturedFrame] {
        // Before version 2.4 the two lengths of a record changed places, sometimes.
        guard bytes.count >= 8, bytes[0] == 0x0A || [[2, 0, 4, 0], [0, 2, 0, 4]].contains(Array(bytes[4..<8])) else {
            return []
        }
        var copy = bytes
        var error = [CChar](repeating: 0, count: 256)
        var frames: [CapturedFrame] = []
        guard let stream = fmemopen(&copy, copy.count, "r") else { return [] }
        guard let capture = libpcapOpen(stream, 1, &error) else {
            fclose(stream)
            return []
        }
        defer { libpcapClose(capture) }
        guard libpcapLinkType(capture) == 1 else { return [] }
        var header: UnsafeMutablePointer<PacketHeader>?
        var data: UnsafePointer<UInt8>?
        while libpcapNext(capture, &header, &data) == 1, let found = header?.pointee {
            let seconds = UInt64(UInt32(truncatingIfNeeded: found.seconds))
            let isWhole = (0..<1_000_000_000).contains(found.nanoseconds)
            frames.append(
                CapturedFrame(
                    time: isWhole ? seconds * 1_000_000_000 + UInt64(found.nanoseconds) : 0,
                    bytes: Array(UnsafeBufferPointer(start: data, count: Int(found.captured))),
                    length: Int(found.length)))
        }
        return frames
    }
}
