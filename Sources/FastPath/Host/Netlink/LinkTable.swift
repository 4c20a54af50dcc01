// All interfaces of this namespace, followed live: one dump, then every event. Lost events mean a new dump.

import CShims
package import MirrorProgram

/// The kernel's interfaces by index and by name.
package struct LinkTable {
    package private(set) var byIndex: [Int32: Link] = [:]
    private var indexOfName: [String: Int32] = [:]
    /// Devices that end tunnels of their own, by what they take packets by.
    private var tunnelDevices: [TunnelDevice: Set<Int32>] = [:]

    package init() {}

    /// Finds an interface by another name too.
    package mutating func alias(_ index: Int32, as name: String) { indexOfName[name] = index }

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
        if let tunnel = old?.tunnel { tunnelDevices[tunnel]?.remove(link.index) }
        byIndex[link.index] = new
        if let new { indexOfName[new.name] = new.index }
        if let tunnel = new?.tunnel { tunnelDevices[tunnel, default: []].insert(link.index) }
        return true
    }

    /// The interfaces that the traffic of others runs through: members of bridges and bonds, what VLAN devices lie on, and
    /// these themselves. What has its owner at the other end (a virtual machine's) carries the owner's traffic.
    package func carriers(of uppers: Set<Int32>) -> Set<Int32> {
        var found = uppers, added = uppers
        while !added.isEmpty {
            let members = byIndex.values.filter { $0.master.map(added.contains) ?? false && $0.side == .`self` }
            let lowers = added.compactMap { byIndex[$0] }.filter { $0.kind != "veth" }.compactMap(\.lower)
            added = Set(members.map(\.index) + lowers).subtracting(found)
            found.formUnion(added)
        }
        return found
    }

    /// A device of this host that takes the packets of such a tunnel for its own; one that is down takes none.
    package func rival(
        _ encapsulation: MirrorProgram.Encapsulation, udpPort: UInt16, tunnelID: UInt32, isIPv6: Bool
    ) -> Link? {
        var found: [Int32] = []
        for id in [tunnelID, nil] {
            for version in [isIPv6, nil] {
                found += tunnelDevices[.init(encapsulation, udpPort: udpPort, tunnelID: id, isIPv6: version)] ?? []
            }
        }
        return found.sorted().lazy.compactMap { self.byIndex[$0] }.first(where: \.isUp)
    }
}
