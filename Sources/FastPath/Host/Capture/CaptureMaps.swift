// The maps that the capture program and we share: rings per CPU, the wake-up word, our own tunnels, and the entries of
// the running generation. Before it: CaptureProgram.swift. After it: the worker, which gets the mappings.
import CLibBPF
import CShims
package import FastPath
import Glibc

/// Rings, wake-up word and loop guard of one dataplane.
package final class CaptureMaps {
    /// One mapping for each CPU that is present, by rising index.
    package let rings: [CaptureRingMapping]
    /// Descriptors to wait on, in the order of `rings`.
    package let ringDescriptors: [Descriptor]
    /// A 64-bit word: 1 while the worker sleeps.
    package let needWakeup: UnsafeMutableRawPointer

    private let program: CaptureProgram
    private var tunnels: Set<TunnelKey> = []

    /// Bytes of all rings together, shared out over the CPUs within `ringSizes`.
    private static let budget = 64 << 20
    private static let ringSizes = (4 << 20)...(32 << 20)

    package init(_ program: CaptureProgram) throws(HostError) {
        self.program = program
        let cpus = try Self.presentCPUs().filter { $0 < program.possibleCPUs }
        let size = Self.ringSize(cpus: cpus.count)
        var rings: [CaptureRingMapping] = []
        var descriptors: [Descriptor] = []
        for cpu in cpus {
            let ring = try Descriptor("cannot make a capture ring of \(size >> 20) MiB for CPU \(cpu)") {
                bpf_map_create(BPF_MAP_TYPE_RINGBUF, "hs_ring", 0, 0, UInt32(size), nil)
            }
            var key = UInt32(cpu)
            var value = ring.raw
            try check("cannot put the capture ring of CPU \(cpu) into place") {
                bpf_map_update_elem(program.ringsMap, &key, &value, 0)
            }
            rings.append(try Self.map(ring, size: size))
            descriptors.append(ring)
        }
        self.rings = rings
        ringDescriptors = descriptors
        needWakeup = try mapPages(
            "the wake-up word", pageSize, PROT_READ | PROT_WRITE, program.needWakeupMap, 0)
    }

    /// Power of two that `cpus` rings get each.
    package static func ringSize(cpus: Int) -> Int {
        let share = max(1, budget / max(1, cpus))
        let size = 1 << (Int.bitWidth - 1 - share.leadingZeroBitCount)
        return min(max(size, ringSizes.lowerBound), ringSizes.upperBound)
    }

    /// Indices in a list such as `0-3,8` (/sys/devices/system/cpu/present).
    package static func cpus(in list: String) -> [Int] {
        list.split { $0 == "," || $0 == "\n" }.flatMap { part in
            let ends = part.split(separator: "-").compactMap { Int($0) }
            return ends.count == 2 && ends[0] <= ends[1] ? Array(ends[0]...ends[1]) : Array(ends.prefix(1))
        }
    }

    private static func presentCPUs() throws(HostError) -> [Int] {
        cpus(in: try readText("/sys/devices/system/cpu/present"))
    }

    /// kernel/bpf/ringbuf.c: the consumer's page can be written, the producer's page and the data, which follow it and
    /// are there twice in a row, can not.
    private static func map(_ ring: Descriptor, size: Int) throws(HostError) -> CaptureRingMapping {
        let consumer = try mapPages("a capture ring's consumer page", pageSize, PROT_READ | PROT_WRITE, ring.raw, 0)
        let producer = try mapPages("a capture ring", pageSize + 2 * size, PROT_READ, ring.raw, pageSize)
        return CaptureRingMapping(
            consumer: consumer, producer: producer, data: UnsafeRawPointer(producer + pageSize), size: UInt(size))
    }

    /// Makes `own_tunnels` hold exactly these; what is right is not touched.
    package func setOwnTunnels(_ wanted: Set<TunnelKey>) throws(HostError) {
        for tunnel in wanted.subtracting(tunnels) {
            var key = tunnel.key
            var value: UInt32 = 1
            try check("cannot add a tunnel to the loop guard") {
                bpf_map_update_elem(program.ownTunnelsMap, &key, &value, 0)
            }
            tunnels.insert(tunnel)
        }
        for tunnel in tunnels.subtracting(wanted) {
            var key = tunnel.key
            _ = bpf_map_delete_elem(program.ownTunnelsMap, &key)
            tunnels.remove(tunnel)
        }
    }
}

/// Outer tuple of a tunnel that copies leave through.
package struct TunnelKey: Hashable {
    package var source, remote, vni: UInt32
    package var port: UInt16

    package init(source: UInt32, remote: UInt32, vni: UInt32, port: UInt16) {
        self.source = source
        self.remote = remote
        self.vni = vni
        self.port = port
    }

    fileprivate var key: hs_tunnel_key {
        hs_tunnel_key(
            source: source.bigEndian, remote: remote.bigEndian, tunnel_id: (vni << 8).bigEndian,
            udp_port: port.bigEndian, reserved: 0)
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
