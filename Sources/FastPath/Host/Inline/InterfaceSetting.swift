// Settings of an interface that frames passing through need (netdevice(7), Ethtool.swift). They stay when we end;
// InlinePins.swift notes what was changed, and puts it back.

import CShims
import Glibc

/// One setting that an `inline` port must have its own way.
package enum InterfaceSetting: String, CaseIterable {
    /// Frames are addressed to somebody behind the other port.
    case promisc
    /// A tag that the NIC takes out never reaches XDP: off.
    case rxvlan
    /// Merged frames are no frames of the wire: off.
    case lro

    /// As `status` says it.
    package var change: String { self == .promisc ? "promisc on" : "\(rawValue) off" }

    /// Whether frames would suffer.
    package func isWrong(_ name: String) throws(HostError) -> Bool {
        switch self {
        case .promisc: try InterfaceFlags.read(name) & InterfaceFlags.promiscuous == 0
        // A driver that does not tell has no such offload.
        case .rxvlan: (try? Ethtool.takesTagsOut(name)) ?? false
        case .lro: (try? Ethtool.mergesFrames(name)) ?? false
        }
    }

    /// - Parameter right: as frames need it; else the other way.
    package func set(_ name: String, right: Bool) throws(HostError) {
        switch self {
        case .promisc:
            let flags = try InterfaceFlags.read(name)
            let bit = InterfaceFlags.promiscuous
            try InterfaceFlags.write(name, right ? flags | bit : flags & ~bit)
        case .rxvlan: try Ethtool.setTakesTagsOut(name, !right)
        case .lro: try Ethtool.setMergesFrames(name, !right)
        }
    }
}

/// The flags of an interface by ioctl(2).
private enum InterfaceFlags {
    /// linux/if.h, IFF_PROMISC.
    static let promiscuous: Int16 = 0x100

    static func read(_ name: String) throws(HostError) -> Int16 {
        var request = request(name)
        try ask("cannot read the flags of \(name)", UInt(SIOCGIFFLAGS), &request)
        return withUnsafeBytes(of: request.ifr_ifru) { $0.load(as: Int16.self) }
    }

    static func write(_ name: String, _ flags: Int16) throws(HostError) {
        var request = request(name)
        withUnsafeMutableBytes(of: &request.ifr_ifru) { $0.storeBytes(of: flags, as: Int16.self) }
        try ask("cannot change the flags of \(name)", UInt(SIOCSIFFLAGS), &request)
    }

    private static func request(_ name: String) -> ifreq {
        var request = ifreq()
        withUnsafeMutableBytes(of: &request.ifr_ifrn) { $0.copyBytes(from: name.utf8.prefix(15)) }
        return request
    }

    private static func ask(_ what: String, _ command: UInt, _ request: inout ifreq) throws(HostError) {
        let control = try Descriptor("cannot open a socket") {
            socket(AF_INET, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        }
        if ioctl(control.raw, command, &request) < 0 { throw .system(what) }
    }
}
