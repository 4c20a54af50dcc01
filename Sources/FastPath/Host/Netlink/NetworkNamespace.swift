// Another network namespace than the dataplane's own, in which ports are. Before it: a port's `netns`. After it:
// PortNamespaces.swift, which looks at its interfaces, and CaptureHook.swift, which attaches to them.

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
        let path = name.hasPrefix("/") ? name : "/run/netns/\(name)"
        var found = stat()
        var own = stat()
        if stat(path, &found) != 0 {
            if errno == ENOENT { throw HostError("there is no network namespace '\(name)'", code: ENOENT) }
            throw .system("cannot open network namespace '\(name)'")
        }
        // All namespaces are of one file system.
        guard stat("/proc/self/ns/net", &own) == 0, found.st_dev == own.st_dev else {
            throw HostError("'\(path)' is not a network namespace")
        }
        let descriptor = try Descriptor("cannot open network namespace '\(name)'") {
            Glibc.open(path, O_RDONLY | O_CLOEXEC)
        }
        guard ioctl(descriptor.raw, UInt(HS_NS_GET_NSTYPE)) == Int32(HS_CLONE_NEWNET) else {
            throw HostError("'\(path)' is a namespace, but not a network namespace")
        }
        return descriptor
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
