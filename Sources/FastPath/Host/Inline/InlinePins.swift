// What of an `inline` pair outlives this process: a pinned link for each port, so that the kernel goes on carrying its
// frames, and a mark for each setting of a port that we have changed. All of it is in one directory of the BPF file
// system, named after the network namespace, which ends with the machine's run as the settings themselves do.
// Before it: the program names a pair, or the directory is there. After it: InlinePair.swift.

import CLibBPF
import CShims
import Glibc

/// The directory, locked for this process: `/sys/fs/bpf/heliostat/NAMESPACE`.
package final class InlinePins {
    package let path: String
    private var lock: Descriptor
    /// Names of the marks that are in the directory.
    private var marks: Set<String> = []

    private static let root = "/sys/fs/bpf"
    private static let home = root + "/heliostat"

    /// Takes the directory of the calling thread's network namespace, and makes it where it is missing.
    package init() throws(HostError) {
        try Self.mountFileSystem()
        path = try Self.place()
        lock = try Self.make(path)
        marks = Set(try directoryEntries(path).filter { !$0.hasPrefix("link-") })
    }

    private static func make(_ path: String) throws(HostError) -> Descriptor {
        for directory in [home, path] where mkdir(directory, 0o700) != 0 && errno != EEXIST {
            throw .system("cannot make \(directory)")
        }
        let lock = try Descriptor("cannot open \(path)") { open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        if flock(lock.raw, LOCK_EX | LOCK_NB) != 0 {
            throw HostError("another heliostat-dataplane has inline ports in this network namespace; stop it first")
        }
        return lock
    }

    /// Makes the directory again, with its marks, where somebody has removed it or them.
    func keep() throws(HostError) {
        if access(path, F_OK) != 0 {
            try Self.mountFileSystem()
            lock = try Self.make(path)
        }
        for mark in marks { try make(mark) }
    }

    private func make(_ mark: String) throws(HostError) {
        if mkdir("\(path)/\(mark)", 0o700) != 0 && errno != EEXIST { throw .system("cannot make \(path)/\(mark)") }
    }

    /// Whether an earlier run has left something here.
    package static var isThere: Bool {
        guard isMounted, let path = try? place() else { return false }
        return access(path, F_OK) == 0
    }

    private static func place() throws(HostError) -> String {
        var information = stat()
        try check("cannot identify the network namespace") { stat("/proc/thread-self/ns/net", &information) }
        return "\(home)/\(information.st_ino)"
    }

    private static var isMounted: Bool { hs_is_bpf_file_system(root) != 0 }

    private static func mountFileSystem() throws(HostError) {
        if isMounted { return }
        if mount("bpf", root, "bpf", 0, "mode=0700") != 0 {
            throw .system(
                "there is no BPF file system on \(root), and none can be mounted; run 'mount -t bpf bpf \(root)'")
        }
    }

    // MARK: Links

    package func linkPath(_ interface: Int32) -> String { "\(path)/link-\(interface)" }

    /// The pinned link that is attached to an interface; one of an interface that has ended is removed.
    package func link(_ interface: Int32) -> Descriptor? {
        let raw = bpf_obj_get(linkPath(interface))
        if raw < 0 { return nil }
        let link = Descriptor(raw)
        if XDPLink.isAttached(link, to: interface) { return link }
        unlink(linkPath(interface))
        return nil
    }

    package func pin(_ link: Descriptor, _ interface: Int32) throws(HostError) {
        let path = linkPath(interface)
        unlink(path)
        try check("cannot pin a link as \(path)") { bpf_obj_pin(link.raw, path) }
    }

    func unpin(_ interface: Int32) { unlink(linkPath(interface)) }

    package func isPinned(_ interface: Int32) -> Bool { access(linkPath(interface), F_OK) == 0 }

    // MARK: Settings

    /// Changes what is not as frames need it, and notes that it was us.
    package func settle(_ link: Link) throws(HostError) {
        for setting in InterfaceSetting.allCases where try setting.isWrong(link.name) {
            let mark = mark(setting, link.index)
            try make(mark)
            marks.insert(mark)
            try setting.set(link.name, right: true)
        }
    }

    /// Settings of an interface that we have changed.
    package func changes(_ interface: Int32) -> [InterfaceSetting] {
        InterfaceSetting.allCases.filter { marks.contains(mark($0, interface)) }
    }

    private func mark(_ setting: InterfaceSetting, _ interface: Int32) -> String { "\(setting.rawValue)-\(interface)" }

    // MARK: The end

    /// Takes an interface's program and settings back.
    ///
    /// - Parameter name: nil for an interface that has ended.
    package func remove(_ interface: Int32, name: String?) {
        unpin(interface)
        for setting in changes(interface) {
            if let name { try? setting.set(name, right: false) }
            marks.remove(mark(setting, interface))
            rmdir("\(path)/\(mark(setting, interface))")
        }
    }

    /// Removes everything of interfaces that are none of `kept`.
    package func sweep(keeping kept: Set<Int32>, _ links: LinkTable) {
        let entries = (try? directoryEntries(path)) ?? []
        let interfaces = Set(entries.compactMap { $0.split(separator: "-").last.flatMap { Int32($0) } })
        for interface in interfaces.subtracting(kept) { remove(interface, name: links[interface]?.name) }
    }

    /// Removes the directory if nothing is left in it.
    package func leave() {
        rmdir(path)
        rmdir(Self.home)
    }
}

private func directoryEntries(_ path: String) throws(HostError) -> [String] {
    guard let directory = opendir(path) else { throw .system("cannot list \(path)") }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
        let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        if name != "." && name != ".." { names.append(name) }
    }
    return names
}
