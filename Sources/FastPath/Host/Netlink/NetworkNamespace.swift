// Another network namespace than the dataplane's own, in which ports are. Before it: a port's `netns`. After it:
// PortNamespaces.swift, which looks at its interfaces, and whoever attaches to them or opens sockets there.

import CShims
import Glibc

/// A network namespace, entered for each piece of work and left after it. It lives as long as anybody has it open: held
/// open by us, the interfaces of a container that has ended would stay.
package struct NetworkNamespace: Hashable {
    /// A name under /run/netns, or an absolute path.
    package let name: String
    /// Inode on nsfs: another one under the same name is another namespace.
    package let inode: UInt64

    /// Finds the namespace that has this name now.
    ///
    /// - Parameter name: of ip-netns(8), or an absolute path, as `/proc/PID/ns/net`.
    /// - Throws: there is none, it is something else than a network namespace, or it is the dataplane's own.
    package init(named name: String) throws(HostError) {
        self.name = name
        inode = try Self.inode(of: try Self.open(name))
        if inode == (try? Self.inode(of: try Self.open("/proc/self/ns/net"))) {
            throw HostError("network namespace '\(name)' is the dataplane's own; leave netns out")
        }
    }

    /// One that was found before; whether it is there still shows when it is entered.
    init(name: String, inode: UInt64) {
        self.name = name
        self.inode = inode
    }

    /// Whether the name still stands for it. What we hold open in there (AF_XDP and packet sockets) keeps it alive; its
    /// name never does on our account, so that is where it shows that the owner has ended it.
    var isThere: Bool { (try? Self.status(name))?.st_ino == ino_t(inode) }

    /// Runs a piece of work on a thread inside the namespace and waits for it.
    ///
    /// - Parameter body: what it opens stays in the namespace, and keeps it alive until it is closed.
    /// - Throws: also where the name stands for another namespace by now, or we may not enter it.
    func enter<Outcome>(_ body: @escaping () throws(HostError) -> Outcome) throws(HostError) -> Outcome {
        let descriptor = try Self.open(name)
        guard try Self.inode(of: descriptor) == inode else {
            throw HostError("network namespace '\(name)' has been made anew")
        }
        return try Background { () throws(HostError) in
            if setns(descriptor.raw, Int32(HS_CLONE_NEWNET)) != 0 {
                let isDenied = errno == EPERM
                let error = HostError.system("cannot enter network namespace '\(name)'")
                throw isDenied ? HostError("\(error): ports there take CAP_SYS_ADMIN", code: error.code) : error
            }
            return try body()
        }.wait()
    }

    /// Opens what is a network namespace and nothing else: a path may lead to a device or a pipe.
    private static func open(_ name: String) throws(HostError) -> Descriptor {
        _ = try status(name)
        let path = path(name)
        let descriptor = try Descriptor("cannot open network namespace '\(name)'") {
            Glibc.open(path, O_RDONLY | O_CLOEXEC)
        }
        guard ioctl(descriptor.raw, UInt(HS_NS_GET_NSTYPE)) == Int32(HS_CLONE_NEWNET) else {
            throw HostError("'\(path)' is a namespace, but not a network namespace")
        }
        return descriptor
    }

    private static func path(_ name: String) -> String { name.hasPrefix("/") ? name : "/run/netns/\(name)" }

    /// - Throws: there is no such file, or it is no namespace.
    private static func status(_ name: String) throws(HostError) -> stat {
        var found = stat()
        var own = stat()
        if stat(path(name), &found) != 0 {
            if errno == ENOENT { throw HostError("there is no network namespace '\(name)'", code: ENOENT) }
            throw .system("cannot open network namespace '\(name)'")
        }
        // All namespaces are of one file system.
        guard stat("/proc/self/ns/net", &own) == 0, found.st_dev == own.st_dev else {
            throw HostError("'\(path(name))' is not a network namespace")
        }
        return found
    }

    private static func inode(of descriptor: Descriptor) throws(HostError) -> UInt64 {
        var status = stat()
        try check("cannot identify a network namespace") { fstat(descriptor.raw, &status) }
        return UInt64(status.st_ino)
    }
}

/// Runs a piece of work where a port is: inside its namespace, or here.
func within<Outcome>(
    _ namespace: NetworkNamespace?, _ body: @escaping () throws(HostError) -> Outcome
) throws(HostError) -> Outcome {
    if let namespace { try namespace.enter(body) } else { try body() }
}
