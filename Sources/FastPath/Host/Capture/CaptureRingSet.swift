// The memory that captured frames wait in: one BPF ring buffer for each CPU, mapped. Made before there is a program;
// CaptureMaps.swift hands the rings to it, and the worker reads them.

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

    package init(workers: Int = 1) throws(HostError) {
        let cpus = Self.cpus(in: try readText("/sys/devices/system/cpu/present"))
        let size = Self.size(rings: cpus.count * workers)
        var rings: [Ring] = []
        for worker in 0..<workers {
            for cpu in cpus {
                let descriptor = try Descriptor("cannot make a capture ring of \(size >> 20) MiB for CPU \(cpu)") {
                    bpf_map_create(BPF_MAP_TYPE_RINGBUF, "hs_ring", 0, 0, UInt32(size), nil)
                }
                let mapping = try Self.map(descriptor, size: size)
                rings.append(Ring(worker: worker, cpu: cpu, descriptor: descriptor, mapping: mapping))
            }
        }
        self.rings = rings
    }

    /// Power of two that each of so many rings gets.
    package static func size(rings: Int) -> Int {
        let share = max(1, budget / max(1, rings))
        let size = 1 << (Int.bitWidth - 1 - share.leadingZeroBitCount)
        return min(max(size, sizes.lowerBound), sizes.upperBound)
    }

    /// Indices in a list such as `0-3,8` (/sys/devices/system/cpu/present).
    package static func cpus(in list: String) -> [Int] {
        list.split { $0 == "," || $0 == "\n" }.flatMap { part in
            let ends = part.split(separator: "-").compactMap { Int($0) }
            return ends.count == 2 && ends[0] <= ends[1] ? Array(ends[0]...ends[1]) : Array(ends.prefix(1))
        }
    }

    /// kernel/bpf/ringbuf.c: the consumer's page can be written; the producer's page and the data, which follow it and
    /// are there twice in a row, can not.
    private static func map(_ ring: Descriptor, size: Int) throws(HostError) -> CaptureRingMapping {
        let consumer = try mapPages("a capture ring's consumer page", pageSize, PROT_READ | PROT_WRITE, ring.raw, 0)
        let producer = try mapPages("a capture ring", pageSize + 2 * size, PROT_READ, ring.raw, pageSize)
        return CaptureRingMapping(
            consumer: consumer, producer: producer, data: UnsafeRawPointer(producer + pageSize), size: UInt(size))
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
