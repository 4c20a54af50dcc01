// The user that serves after root has started the dataplane. Before: ServeCommand. After: everything that listens.

import Glibc

/// A user of this machine.
struct ServeUser: Hashable, Sendable {
    let name: String
    let id: uid_t
    let group: gid_t

    /// Looks the user up; nil where there is none.
    init?(_ name: String) {
        guard let entry = getpwnam(name) else { return nil }
        self.name = name
        id = entry.pointee.pw_uid
        group = entry.pointee.pw_gid
    }

    /// Becomes the user for good.
    ///
    /// - Throws: `ServeError`; a process that is root still must not go on.
    func become() throws(ServeError) {
        var groups = [group]
        guard setgroups(groups.count, &groups) == 0, setgid(group) == 0, setuid(id) == 0, setuid(0) != 0 || id == 0
        else {
            throw ServeError("cannot become user '\(name)': \(String(cString: strerror(errno)))")
        }
    }

    /// Id of the group of that name; nil where there is none.
    static func group(_ name: String) -> gid_t? { getgrnam(name)?.pointee.gr_gid }
}
