// What an earlier run may have left in the kernel, found without memory of it. But for the wires of inline ports
// (InlinePins.swift) links and maps are not pinned: the kernel removes tcx links, XDP links and AF_XDP sockets when their
// process ends, whatever ended it. Only the clsact filters of kernels without tcx stay, and are known by their handle and
// the program's name.

import CLibBPF
import CShims

/// Removes what an earlier run left behind.
package enum Sweep {
    /// - Returns: the interfaces that had filters of ours.
    package static func run(_ links: LinkTable) -> [String] {
        links.byIndex.values.sorted { $0.index < $1.index }.filter { link in
            Clsact.Place.allCases.flatMap { place in
                [true, false].map { ingress in
                    guard let program = Clsact.programID(link.index, ingress: ingress, place),
                        isOurs(program, place.programName)
                    else { return false }
                    Clsact.detach(link.index, ingress: ingress, place)
                    return true
                }
            }.contains(true)
        }.map(\.name)
    }

    private static func isOurs(_ identifier: UInt32, _ name: String) -> Bool {
        let raw = bpf_prog_get_fd_by_id(identifier)
        if raw < 0 { return false }
        let program = Descriptor(raw)
        var info = bpf_prog_info()
        var length = UInt32(MemoryLayout<bpf_prog_info>.size)
        guard bpf_obj_get_info_by_fd(program.raw, &info, &length) == 0 else { return false }
        return withUnsafeBytes(of: info.name) { $0.prefix { $0 != 0 }.elementsEqual(name.utf8) }
    }
}
