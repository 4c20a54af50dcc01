// The first thing at start: the hot module is built for x86-64-v3, and without these instructions it would die of
// SIGILL in the middle of a frame.

import Glibc

/// What this machine's CPU must offer.
package enum CPUFeatures {
    /// Flags of /proc/cpuinfo that x86-64-v3 stands for (`abm` is LZCNT).
    package static let required = ["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"]

    /// - Throws: one line that names the missing instructions.
    package static func check() throws(HostError) {
        #if arch(x86_64)
        let missing = missing(in: try readText("/proc/cpuinfo"))
        if !missing.isEmpty {
            throw HostError(
                "this CPU lacks \(missing.joined(separator: ", ")): heliostat-dataplane needs x86-64-v3 (Intel Haswell, AMD Zen, or "
                    + "a virtual machine with a CPU model that passes these on)")
        }
        #endif
    }

    /// Required flags that the first CPU of `cpuinfo`, the text of /proc/cpuinfo, does not have.
    package static func missing(in cpuinfo: String) -> [String] {
        guard let line = cpuinfo.split(separator: "\n").first(where: { $0.hasPrefix("flags") }),
            let colon = line.firstIndex(of: ":")
        else { return [] }
        let flags = Set(line[colon...].dropFirst().split(separator: " ").map(String.init))
        return required.filter { !flags.contains($0) }
    }
}

/// The whole text of a small file.
func readText(_ path: String) throws(HostError) -> String {
    String(decoding: try readBytes(path), as: UTF8.self)
}

/// All bytes of a file; errors name the path.
func readBytes(_ path: String) throws(HostError) -> [UInt8] {
    let file = try Descriptor("cannot open \(path)") { open(path, O_RDONLY | O_CLOEXEC) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = read(file.raw, &buffer, buffer.count)
        if count < 0, errno == EINTR { continue }
        if count < 0 { throw .system("cannot read \(path)") }
        if count == 0 { return bytes }
        bytes.append(contentsOf: buffer.prefix(count))
    }
}
