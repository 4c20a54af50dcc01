// The memory that captured frames wait in: one `struct hs_ring` for each worker and CPU, a BPF array of one value, mapped. Made
// beside the program; CaptureMaps.swift hands the rings to it, and the worker reads them.

import CLibBPF
import CShims
package import FastPath
import Glibc

/// One ring for each worker and CPU that is present.
package struct CaptureRingSet {
    package struct Ring {
        package let worker: Int
        package let cpu: Int
        package let descriptor: Descriptor
        package let mapping: CaptureRingMapping
    }

    /// By worker, then by rising CPU.
    package let rings: [Ring]

    /// Bytes of all rings together, shared out over them within `sizes`.
    private static let budget = 32 << 20
    private static let sizes = (2 << 20)...(16 << 20)

    /// No ring at all.
    package static var none: CaptureRingSet { CaptureRingSet(rings: []) }

    private init(rings: [Ring]) { self.rings = rings }

    /// - Parameter size: bytes of each, as the program has them.
    package init(workers: Int = 1, size: Int) throws(HostError) {
        let cpus = try Self.presentCPUs()
        var rings: [Ring] = []
        for worker in 0..<workers {
            for cpu in cpus {
                let descriptor = try Self.makeRing(
                    "cannot make a capture ring of \(size >> 20) MiB for CPU \(cpu)", size: size)
                let memory = try mapPages(
                    "a capture ring", CaptureRingMapping.byteCount(size), PROT_READ | PROT_WRITE, descriptor.raw, 0)
                rings.append(
                    Ring(
                        worker: worker, cpu: cpu, descriptor: descriptor,
                        mapping: CaptureRingMapping(memory, size: UInt(size))))
            }
        }
        self.rings = rings
    }

    /// A ring's BPF array: one value that can be mapped.
    static func makeRing(_ failure: String, size: Int) throws(HostError) -> Descriptor {
        try BPFObject.value(
            "hs_ring", bytes: CaptureRingMapping.byteCount(size), flags: UInt32(HS_BPF_F_MMAPABLE), failure)
    }

    /// Size of each ring for so many workers on this machine.
    package static func size(workers: Int) throws(HostError) -> Int {
        size(rings: try presentCPUs().count * workers)
    }

    /// Power of two that each of so many rings gets.
    ///
    /// - Parameter most: bytes of a value that the kernel's arrays take.
    package static func size(rings: Int, most: Int = Self.mostBytes) -> Int {
        let share = max(1, min(budget / max(1, rings), most - CaptureRingMapping.byteCount(0)))
        let size = 1 << (Int.bitWidth - 1 - share.leadingZeroBitCount)
        return min(max(size, sizes.lowerBound), sizes.upperBound)
    }

    /// KMALLOC_MAX_SIZE before Linux 6.0 (kernel/bpf/arraymap.c).
    package static let mostBytes: Int = {
        var name = utsname()
        uname(&name)
        let release = withUnsafeBytes(of: name.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        return (release.split(separator: ".").first.flatMap { Int($0) } ?? 0) < 6 ? 4 << 20 : .max
    }()

    private static func presentCPUs() throws(HostError) -> [Int] {
        cpus(in: try readText("/sys/devices/system/cpu/present"))
    }

    /// Indices in a list such as `0-3,8` (/sys/devices/system/cpu/present).
    package static func cpus(in list: String) -> [Int] {
        list.split { $0 == "," || $0 == "\n" }.flatMap { part in
            let ends = part.split(separator: "-").compactMap { Int($0) }
            return ends.count == 2 && ends[0] <= ends[1] ? Array(ends[0]...ends[1]) : Array(ends.prefix(1))
        }
    }
}

let pageSize = Int(sysconf(Int32(_SC_PAGESIZE)))

/// Maps a part of a descriptor, shared.
func mapPages(
    _ what: String, _ length: Int, _ protection: Int32, _ descriptor: Int32, _ offset: Int
) throws(HostError) -> UnsafeMutableRawPointer {
    let address = mmap(nil, length, protection, MAP_SHARED | MAP_POPULATE, descriptor, offset)
    guard let address, address != MAP_FAILED else { throw .system("cannot map \(what)") }
    return address
}
