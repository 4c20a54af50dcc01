// The memory that a worker's frames are in: huge pages where the machine has some to spare, near to the worker's CPU, and
// touched before the first frame. Before it: WorkerPlan.swift. After it: UMEM takes it over, and sockets register it.
//
// A page is placed when it is first touched, so the node is bound before that. Preferred, not bound: where that node has
// no memory left, frames far away are better than none. One system call is all of libnuma that this needs.

import CShims
import Glibc

/// A mapped and touched area.
package struct FrameMemory {
    package let base: UnsafeMutableRawPointer
    package let bytes: Int
    /// MAP_HUGETLB: of those that the operator has set aside.
    package let isHuge: Bool
    /// Why it is not near to the worker; nil if it is, or need not be.
    package let obstacle: String?

    /// Bytes of a huge page that areas are aligned to; other sizes are not asked for.
    private static let hugePage = 2 << 20

    /// - Parameters:
    ///   - bytes: a multiple of 2 MiB.
    ///   - node: NUMA node to prefer; nil for none.
    package init(bytes: Int, node: Int?) throws(HostError) {
        self.bytes = bytes
        if let area = Self.map(bytes, Int32(HS_MAP_HUGETLB)) {
            let error = Self.prefer(node, area, bytes)
            // Nothing is left of what another process takes meanwhile: told by an error instead of a signal.
            if hs_populate(area, bytes) == 0 {
                (base, isHuge, obstacle) = (area, true, error)
                return
            }
            munmap(area, bytes)
        }
        guard let area = Self.mapAligned(bytes) else {
            throw .system("cannot map \(bytes >> 20) MiB for frames; free some memory")
        }
        obstacle = Self.prefer(node, area, bytes)
        isHuge = false
        base = area
        // A kernel without transparent huge pages, or told to use none, says so here or not at all.
        _ = madvise(area, bytes, Int32(HS_MADV_HUGEPAGE))
        if hs_populate(area, bytes) != 0 {
            // Before Linux 5.14.
            for page in stride(from: 0, to: bytes, by: pageSize) {
                area.storeBytes(of: 0, toByteOffset: page, as: UInt8.self)
            }
        }
    }

    private static func map(_ bytes: Int, _ flags: Int32) -> UnsafeMutableRawPointer? {
        let area = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | Int32(HS_MAP_ANONYMOUS) | flags, -1, 0)
        return area == MAP_FAILED ? nil : area
    }

    /// Kernels before Linux 6.7 align nothing to huge pages by themselves.
    private static func mapAligned(_ bytes: Int) -> UnsafeMutableRawPointer? {
        guard let wide = map(bytes + hugePage, 0) else { return nil }
        let skipped = -Int(bitPattern: wide) & (hugePage - 1)
        if skipped > 0 { munmap(wide, skipped) }
        munmap(wide + skipped + bytes, hugePage - skipped)
        return wide + skipped
    }

    private static func prefer(_ node: Int?, _ area: UnsafeMutableRawPointer, _ bytes: Int) -> String? {
        guard let node, hs_prefer_node(area, bytes, Int32(node)) != 0 else { return nil }
        return "its memory is not bound to NUMA node \(node): \(String(cString: strerror(errno)))"
    }

    /// NUMA node that an address is really on; nil where the kernel does not tell.
    package static func node(of address: UnsafeRawPointer) -> Int? {
        let node = hs_node_of(address)
        return node < 0 ? nil : Int(node)
    }

    /// Bytes of an area that are in transparent huge pages (/proc/self/smaps).
    package static func transparentBytes(at base: UnsafeRawPointer) -> Int {
        guard let text = try? readText("/proc/self/smaps") else { return 0 }
        return transparentBytes(at: UInt(bitPattern: base), smaps: text)
    }

    /// - Parameter smaps: for each mapping `from-to` in hexadecimal digits and more, then lines of `Name: value`.
    package static func transparentBytes(at base: UInt, smaps: String) -> Int {
        var isInside = false
        for line in smaps.split(separator: "\n") {
            let words = line.split(separator: " ")
            let ends = words[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
            if ends.count == 2 {
                isInside = ends[0] <= base && base < ends[1]
            } else if isInside, words[0] == "AnonHugePages:", words.count > 1 {
                return (Int(words[1]) ?? 0) << 10
            }
        }
        return 0
    }
}
