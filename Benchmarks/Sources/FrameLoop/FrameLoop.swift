// What one captured frame costs in user space: whole turns of the real worker, from a capture ring to a TX ring, against
// the same loop by hand in C (FrameLoopReference) and a bare copy of the same bytes. The rings are plain memory and the
// kernel's half of them is played here, outside the measured time: the figures are the loop's alone, without system calls.
//
// Rounds of all kinds alternate and the smallest of each counts: the ratios stay put when the machine is busy. Both loops
// must make the same packets, byte for byte. Tests/frameloop counts instructions instead, which no other load disturbs.

import Glibc

@main
enum FrameLoop {
    static let sizes = [64, 512, 1500]
    static let rounds = 101

    static func main() {
        let words = CommandLine.arguments.dropFirst()
        switch words.first {
        case nil: compare()
        case "count" where words.count == 4:
            count(words[words.startIndex + 1], Int(words[words.startIndex + 2]), Int(words.last!))
        default:
            print("usage: FrameLoop               a table of ns a frame")
            print("       FrameLoop count swift|c BYTES ROUNDS    runs one loop, for callgrind, and prints the frames")
            exit(2)
        }
    }

    private static func compare() {
        print(
            "frame loop: worker turns from a capture ring to a TX ring (VXLAN), the same in C, a copy of the same bytes"
        )
        print("bytes  ns/frame  C ns/frame  copy ns/frame  Swift/C   (minimum of \(rounds) interleaved rounds)")
        for size in sizes {
            let (bench, reference) = pair(size)
            var loop = Double.infinity
            var same = Double.infinity
            var copy = Double.infinity
            for _ in 0..<rounds {
                loop = min(loop, bench.turns())
                same = min(same, reference.turns())
                copy = min(copy, bench.copies())
            }
            print(
                "\(pad("\(size)", 5))\(pad(shown(loop, 1), 10))\(pad(shown(same, 1), 12))\(pad(shown(copy, 1), 15))"
                    + "\(pad(shown(loop / same, 3), 9))")
        }
    }

    /// The real worker and the reference, which have been seen to do the same.
    private static func pair(_ size: Int) -> (swift: WorkerBench, reference: WorkerBench) {
        let swift = WorkerBench(frameLength: size)
        let packets = swift.packets()
        let reference = WorkerBench(frameLength: size, packet: packets[0])
        guard reference.packets() == packets else {
            print("FrameLoop: the loop in C does not make the packets that the worker makes of \(size) bytes")
            exit(1)
        }
        return (swift, reference)
    }

    private static func count(_ kind: String, _ size: Int?, _ rounds: Int?) {
        guard let size, let rounds, sizes.contains(size), kind == "swift" || kind == "c" else { exit(2) }
        let (swift, reference) = pair(size)
        let bench = kind == "swift" ? swift : reference
        for _ in 0..<rounds { _ = bench.turns() }
        // One round of each has been run before.
        print("\(bench.framesInRound * (rounds + 1)) frames")
    }

    private static func shown(_ value: Double, _ digits: Int) -> String {
        let scale = digits == 1 ? 10.0 : 1000.0
        let rounded = Int((value * scale).rounded())
        let rest = "\(rounded % Int(scale))"
        return "\(rounded / Int(scale)).\(String(repeating: "0", count: digits - rest.count))\(rest)"
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
