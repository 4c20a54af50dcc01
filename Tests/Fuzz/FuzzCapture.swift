// Target `capture`: any bytes as a capture file, as `replay` reads it: pcap and pcapng, both byte orders. It ends with
// frames that were in the file or with an error.

import Glibc

final class FuzzCapture {
    private let file: CInt

    init() {
        var path = Array("/tmp/heliostat-fuzz-XXXXXX".utf8CString)
        file = mkstemp(&path)
        expect(file >= 0, "no file for the input")
        unlink(path)
    }

    func take(_ bytes: [UInt8]) {
        expect(ftruncate(file, 0) == 0 && pwrite(file, bytes, bytes.count, 0) == bytes.count, "cannot write the input")
        var (frames, sum) = (0, 0)
        do throws(HostError) {
            var capture = try CaptureFile(path: "/proc/self/fd/\(file)")
            while let frame = try capture.next() {
                frames += 1
                sum += frame.bytes.count
                expect(frame.length >= frame.bytes.count, "\(frame.length) on the wire, \(frame.bytes.count) caught")
                expect(bytes.contains(frame.bytes), "a frame that is not in the file")
            }
            expect(try capture.next() == nil || !capture.isCutShort, "a frame behind the end")
        } catch {
            expect(!error.description.isEmpty && error.code == 0, "\(error)")
        }
        expect(sum + 16 * frames <= bytes.count, "\(frames) frames of \(sum) bytes out of \(bytes.count)")
    }
}
