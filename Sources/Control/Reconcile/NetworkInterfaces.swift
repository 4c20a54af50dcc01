// Which interfaces this host has: what makes a port ACTIVE before anything taps it.

import Glibc

package enum NetworkInterfaces {
    /// Names of the interfaces in this process's network namespace now.
    package static var present: Set<String> {
        guard let list = if_nameindex() else { return [] }
        defer { if_freenameindex(list) }
        var names: Set<String> = []
        var entry = list
        while let name = entry.pointee.if_name {
            names.insert(String(cString: name))
            entry += 1
        }
        return names
    }
}
