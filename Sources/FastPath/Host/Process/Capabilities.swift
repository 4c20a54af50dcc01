// The second thing at start: whether the kernel will let us, said by name rather than as EPERM from somewhere deep.

import CShims

/// Linux capabilities of this process.
package struct Capabilities {
    /// Bit n: capability n is effective.
    package let effective: UInt64

    package init(effective: UInt64) { self.effective = effective }

    /// Those of this process, from /proc/self/status.
    package init() throws(HostError) {
        let status = try readText("/proc/self/status")
        let line = status.split(separator: "\n").first { $0.hasPrefix("CapEff:") }
        effective = line.flatMap { UInt64($0.dropFirst(7).drop { $0 == "\t" || $0 == " " }, radix: 16) } ?? 0
    }

    package func has(_ capability: Int) -> Bool { effective >> UInt64(capability) & 1 != 0 }

    /// CAP_SYS_ADMIN stands for both of these in the kernel (linux/capability.h, bpf_capable and perfmon_capable).
    package var bpf: Bool { has(HS_CAP_BPF) || has(HS_CAP_SYS_ADMIN) }
    package var perfmon: Bool { has(HS_CAP_PERFMON) || has(HS_CAP_SYS_ADMIN) }

    /// Names of what a dataplane cannot do without and does not have. Without CAP_BPF it captures by packet sockets.
    package var missing: [String] {
        var names: [String] = []
        if !has(HS_CAP_NET_ADMIN) { names.append("CAP_NET_ADMIN") }
        if !has(HS_CAP_NET_RAW) { names.append("CAP_NET_RAW") }
        if !has(HS_CAP_IPC_LOCK) { names.append("CAP_IPC_LOCK") }
        return names
    }

    /// - Throws: one line that names what is missing and how to get it.
    package func check() throws(HostError) {
        if missing.isEmpty { return }
        throw HostError(
            "missing \(missing.joined(separator: ", ")): start heliostat-dataplane as root, or give the file its capabilities with "
                + "'setcap cap_bpf,cap_perfmon,cap_net_admin,cap_net_raw,cap_ipc_lock,cap_sys_nice+ep'")
    }
}
