// What the lab needs of the machine. Asked first, by the demo and by the condition of every test on namespaces.

import Foundation
import Glibc

/// What the lab needs of the machine.
public enum Requirements {
    /// Why namespaces cannot be made here, in one line with the remedy, or nil when they can.
    public static let missing: String? = {
        guard geteuid() == 0 else { return "needs root to make network namespaces; run it with sudo" }
        for tool in ["ip", "ethtool", "nsenter"] where path(of: tool) == nil {
            return "needs the command '\(tool)' (packages iproute2, ethtool and util-linux; make setup installs them)"
        }
        return nil
    }()

    /// Full path of a command, looked up in PATH and in the places of system commands.
    public static func path(of command: String) -> String? {
        let listed = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
        return (listed + ["/usr/sbin", "/sbin", "/usr/bin", "/bin"]).map { "\($0)/\(command)" }
            .first { access($0, X_OK) == 0 }
    }

    /// Full path of one of Heliostat's own executables: in HELIOSTAT_BIN_DIR, or beside the running executable.
    ///
    /// - Throws: `LabError` when it is in neither place.
    public static func executable(_ name: String) throws(LabError) -> String {
        let own =
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
        let beside = URL(fileURLWithPath: own).deletingLastPathComponent().path
        let folder = ProcessInfo.processInfo.environment["HELIOSTAT_BIN_DIR"] ?? beside
        let path = "\(folder)/\(name)"
        guard access(path, X_OK) == 0 else {
            throw LabError("'\(path)' is not there; build it (make build) or name its folder in HELIOSTAT_BIN_DIR")
        }
        return path
    }
}
