// Who is at the other end of a Unix socket, as the kernel vouches (unix(7), SO_PEERCRED).

import CShims
import Glibc

/// User and groups of a connected process.
package struct PeerCredentials {
    package var user: UInt32
    package var groups: [UInt32]

    package init(user: UInt32, groups: [UInt32]) {
        self.user = user
        self.groups = groups
    }

    init(_ socket: Descriptor) throws(HostError) {
        var credentials: (pid: Int32, user: UInt32, group: UInt32) = (0, UInt32.max, UInt32.max)
        var length = socklen_t(12)
        let result = getsockopt(socket.raw, SOL_SOCKET, Int32(HS_SO_PEERCRED), &credentials, &length)
        if result < 0 { throw .system("cannot tell who connected") }
        var more = [UInt32](repeating: 0, count: 1024)
        length = socklen_t(more.count * 4)
        let hasMore = getsockopt(socket.raw, SOL_SOCKET, Int32(HS_SO_PEERGROUPS), &more, &length) == 0
        user = credentials.user
        groups = [credentials.group] + (hasMore ? more.prefix(Int(length) / 4) : [])
    }

    /// Root, the dataplane's own user, and the members of group heliostat may speak.
    ///
    /// - Parameter group: number of group heliostat, nil where there is none.
    package func maySpeak(ownUser: UInt32, group: UInt32?) -> Bool {
        user == 0 || user == ownUser || group.map { groups.contains($0) } ?? false
    }
}
