// What of an `inline` pair outlives this process: a pinned link for each port, so that the kernel goes on carrying its
// frames, and a mark for each setting of a port that we have changed. All of it is in one directory of the BPF file
// system, named after the network namespace, which ends with the machine's run as the settings themselves do. What is in
// other namespaces has directories in it, so that whatever this process leaves behind, the next one knows it for its own.
// Before it: the program names a pair, or the directory is there. After it: InlinePair.swift.

import CLibBPF
import CShims
import Glibc

/// The directory, locked for this process: `/sys/fs/bpf/heliostat/NAMESPACE`, or one of another namespace in it.
package final class InlinePins {
    package let path: String
    /// Of the interfaces; nil for the dataplane's own.
    package let namespace: NetworkNamespace?
    /// What `netns-INODE` in this directory stands for, taken now or left by an earlier run.
    private(set) var others: [NetworkNamespace: InlinePins] = [:]
    /// The directory that this one is in.
    private unowned let outer: InlinePins?
    private var lock: Descriptor?
    /// Names of the marks that are in the directory.
    private var marks: Set<String> = []

    private static let root = "/sys/fs/bpf"
    private static let home = root + "/heliostat"

    /// Takes the directory of the calling thread's network namespace, and makes it where it is missing.
    package init() throws(HostError) {
        try Self.mountFileSystem()
        path = try Self.place()
        (namespace, outer) = (nil, nil)
        lock = try Self.take(path)
        marks = Set(try directoryEntries(path).filter(Self.isMark))
        for entry in try directoryEntries(path) where entry.hasPrefix(Self.foreign) {
            guard let inode = UInt64(entry.dropFirst(Self.foreign.count)) else { continue }
            let name = readLink("\(path)/\(entry)/\(Self.name)") ?? entry
            let namespace = NetworkNamespace(name: name, inode: inode)
            others[namespace] = try InlinePins(namespace, in: self)
        }
    }

    private init(_ namespace: NetworkNamespace, in outer: InlinePins) throws(HostError) {
        path = "\(outer.path)/\(Self.foreign)\(namespace.inode)"
        self.namespace = namespace
        self.outer = outer
        try Self.make(path)
        marks = Set(try directoryEntries(path).filter(Self.isMark))
        try noteName()
    }

    /// The directory for the interfaces of a namespace; nil for the dataplane's own.
    package func directory(of namespace: NetworkNamespace?) throws(HostError) -> InlinePins {
        guard let namespace else { return self }
        if let known = others[namespace] { return known }
        let new = try InlinePins(namespace, in: self)
        others = others.filter { $0.key.inode != namespace.inode }
        others[namespace] = new
        return new
    }

    /// Where the namespace is to be found again: a link, since files can there be none.
    private func noteName() throws(HostError) {
        guard let namespace else { return }
        let link = "\(path)/\(Self.name)"
        if readLink(link) == namespace.name { return }
        unlink(link)
        try check("cannot make \(link)") { symlink(namespace.name, link) }
    }

    private static let foreign = "netns-"
    private static let name = "name"

    private static func isMark(_ entry: String) -> Bool {
        InterfaceSetting.allCases.contains { entry.hasPrefix("\($0.rawValue)-") }
    }

    private static func make(_ path: String) throws(HostError) {
        if mkdir(path, 0o700) != 0 && errno != EEXIST { throw .system("cannot make \(path)") }
    }

    private static func take(_ path: String) throws(HostError) -> Descriptor {
        try make(home)
        try make(path)
        let lock = try Descriptor("cannot open \(path)") { open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        if flock(lock.raw, LOCK_EX | LOCK_NB) != 0 {
            throw HostError("another heliostat-dataplane has inline ports in this network namespace; stop it first")
        }
        return lock
    }

    /// Makes the directory again, with its marks, where somebody has removed it or them.
    func keep() throws(HostError) {
        if let outer {
            try outer.keep()
            try Self.make(path)
            try noteName()
        } else if access(path, F_OK) != 0 {
            try Self.mountFileSystem()
            lock = try Self.take(path)
        }
        for mark in marks { try Self.make("\(path)/\(mark)") }
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

    /// Changes what is not as frames need it, and notes that it was us; called inside the namespace.
    package func settle(_ link: Link) throws(HostError) {
        for setting in InterfaceSetting.allCases where try setting.isWrong(link.name) {
            let mark = mark(setting, link.index)
            try Self.make("\(path)/\(mark)")
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

    /// Takes an interface's program and settings back, whatever it is called now.
    package func remove(_ interface: Int32) {
        unpin(interface)
        let changed = changes(interface)
        if changed.isEmpty { return }
        // Where the namespace or the interface has ended, so have its settings.
        try? within(namespace) {
            guard let name = interfaceName(interface) else { return }
            for setting in changed { try? setting.set(name, right: false) }
        }
        for setting in changed {
            marks.remove(mark(setting, interface))
            rmdir("\(path)/\(mark(setting, interface))")
        }
    }

    /// Removes everything of interfaces that are none of `kept`, in other namespaces too.
    package func sweep(keeping kept: Set<InterfacePlace>) {
        let entries = ((try? directoryEntries(path)) ?? []).filter { $0.hasPrefix("link-") || Self.isMark($0) }
        let interfaces = Set(entries.compactMap { $0.split(separator: "-").last.flatMap { Int32($0) } })
        for interface in interfaces where !kept.contains(InterfacePlace(interface, in: namespace)) {
            remove(interface)
        }
        for (key, other) in others {
            other.sweep(keeping: kept)
            if kept.contains(where: { $0.namespace == key }) { continue }
            other.leave()
            others[key] = nil
        }
    }

    /// Removes the directory if nothing is left in it.
    package func leave() {
        if namespace != nil { unlink("\(path)/\(Self.name)") }
        rmdir(path)
        if namespace == nil { rmdir(Self.home) }
    }
}

/// What a symbolic link says; nil where there is none.
private func readLink(_ path: String) -> String? {
    var room = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink(path, &room, room.count)
    return count < 0 ? nil : String(decoding: room.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self)
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
