// The map `routes`: how copies toward each destination leave by the kernel alone. Before it: the routes of this moment.
// After it: carry_out.h and encapsulate.bpf.c. Entries are replaced whole, and only where they differ.

import CLibBPF
import CShims

/// Routes by the destinations' indices.
final class KernelRoutes {
    private let map: Int32
    private var entries: [UInt32: [UInt8]] = [:]

    init(_ map: Int32) { self.map = map }

    /// Adds and changes.
    func put(_ wanted: [UInt32: hs_route]) throws(HostError) {
        for (index, route) in wanted {
            var route = route
            let bytes = withUnsafeBytes(of: &route) { Array($0) }
            if entries[index] == bytes { continue }
            var key = index
            try check("cannot set the kernel's route \(index)") { bpf_map_update_elem(map, &key, bytes, 0) }
            entries[index] = bytes
        }
    }

    /// Removes what is not among these.
    func retain(_ wanted: some Sequence<UInt32>) {
        for index in Set(entries.keys).subtracting(wanted) {
            var key = index
            _ = bpf_map_delete_elem(map, &key)
            entries[index] = nil
        }
    }
}
