// Two wired NICs of the machine that the lab runs on, in place of a veth: real drivers for TappedPair.swift.

import Glibc

/// A pair of NICs, by their names in the namespace of this process, in which they must be down.
public struct Cable: Sendable, Hashable {
    /// The end that becomes the host's port, and the one that becomes `eth0` of who is behind it.
    public var near: String
    public var far: String

    public init(near: String, far: String) {
        self.near = near
        self.far = far
    }

    /// Moves both ends to where they belong.
    func plug(_ port: String, of host: Namespace, to peer: Namespace, mac: MAC? = nil) throws(LabError) {
        try ChildProcess.run(["ip", "link", "set", near, "netns", host.name, "name", port])
        try ChildProcess.run(["ip", "link", "set", far, "netns", peer.name, "name", "eth0"])
        if let mac { try peer.ip("link set eth0 address \(mac)") }
    }

    /// Moves them back, so that another lab can have them; as far as they are there.
    func unplug(_ port: String, of host: Namespace, from peer: Namespace) {
        for (namespace, name, own) in [(host, port, near), (peer, "eth0", far)] {
            try? namespace.ip("link set \(name) down", "link set \(name) netns \(getpid()) name \(own)")
        }
    }
}
