// All interfaces of this namespace, followed live: one dump, then every event. Lost events mean a new dump.

import CShims

/// The kernel's interfaces by index and by name.
package struct LinkTable {
    package private(set) var byIndex: [Int32: Link] = [:]
    private var indexOfName: [String: Int32] = [:]

    package init() {}

    package subscript(index: Int32) -> Link? { byIndex[index] }
    package subscript(name: String) -> Link? { indexOfName[name].flatMap { byIndex[$0] } }

    /// Replaces everything by a fresh dump.
    package mutating func reload(_ socket: NetlinkSocket) throws(HostError) {
        let request = NetlinkRequest(type: Int(RTM_GETLINK), flags: Int(NLM_F_DUMP), header: ifinfomsg())
        let messages = try socket.ask(request, "cannot list the network interfaces")
        self = LinkTable()
        for message in messages { apply(message) }
    }

    /// Takes one event in; true if an interface changed.
    @discardableResult
    package mutating func apply(_ message: NetlinkMessage) -> Bool {
        guard message.type == Int(RTM_NEWLINK) || message.type == Int(RTM_DELLINK), let link = Link(message) else {
            return false
        }
        let old = byIndex[link.index]
        let new = message.type == Int(RTM_NEWLINK) ? link : nil
        if old == new { return false }
        if let old, indexOfName[old.name] == old.index { indexOfName[old.name] = nil }
        byIndex[link.index] = new
        if let new { indexOfName[new.name] = new.index }
        return true
    }
}
