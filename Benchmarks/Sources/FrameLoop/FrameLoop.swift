// What one captured frame costs in user space: whole turns of the real worker, from a capture ring to a TX ring, against
// a bare copy of the same bytes. The rings are plain memory and the kernel's half of them is played here, outside the
// measured time: so the figures are the loop's alone, without system calls.
//
// Rounds of both kinds alternate and the smallest of each counts: the ratio stays put when the machine is busy.

import Glibc

@main
enum FrameLoop {
    static let sizes = [64, 512, 1500]
    static let rounds = 101

    static func main() {
        print("frame loop: worker turns from a capture ring to a TX ring (VXLAN), against a copy of the same bytes")
        print("bytes  ns/frame  copy ns/frame  ratio  difference ns   (minimum of \(rounds) interleaved rounds)")
        for size in sizes {
            let bench = WorkerBench(frameLength: size)
            var loop = Double.infinity
            var copy = Double.infinity
            for _ in 0..<rounds {
                loop = min(loop, bench.turns())
                copy = min(copy, bench.copies())
            }
            let columns = [loop, copy, loop / copy, loop - copy].map(tenths)
            print(
                "\(pad("\(size)", 5))\(pad(columns[0], 10))\(pad(columns[1], 15))\(pad(columns[2], 7))\(pad(columns[3], 15))"
            )
        }
    }

    private static func tenths(_ value: Double) -> String {
        let rounded = Int((value * 10).rounded())
        return "\(rounded / 10).\(abs(rounded % 10))"
    }

    private static func pad(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }
}

/// Nanoseconds of CLOCK_MONOTONIC.
func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}
