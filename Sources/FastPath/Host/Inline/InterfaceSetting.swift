// Settings of an interface that frames passing through need, read and changed by ioctl(2) (netdevice(7),
// linux/ethtool.h). They stay when we end; InlinePins.swift notes what was changed, and puts it back.

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
        case .promisc: try InterfaceRequest(name).flags & Self.promiscuous == 0
        case .rxvlan, .lro: (try? InterfaceRequest(name).features() & bit) ?? 0 != 0
        }
    }

    /// - Parameter right: as frames need it; else the other way.
    package func set(_ name: String, right: Bool) throws(HostError) {
        let request = try InterfaceRequest(name)
        switch self {
        case .promisc:
            let flags = try request.flags
            try request.setFlags(right ? flags | Self.promiscuous : flags & ~Self.promiscuous)
        case .rxvlan, .lro:
            let features = try request.features()
            try request.setFeatures(right ? features & ~bit : features | bit, what: change)
        }
    }

    /// linux/if.h, IFF_PROMISC.
    private static let promiscuous: Int16 = 0x100
    /// linux/ethtool.h, ETH_FLAG_RXVLAN and ETH_FLAG_LRO.
    private var bit: UInt32 { self == .rxvlan ? 1 << 8 : 1 << 15 }
}

private struct InterfaceRequest {
    private let control: Descriptor
    private let name: String

    init(_ name: String) throws(HostError) {
        self.name = name
        control = try Descriptor("cannot open a socket") {
            socket(AF_INET, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        }
    }

    private var request: ifreq {
        var request = ifreq()
        withUnsafeMutableBytes(of: &request.ifr_ifrn) { $0.copyBytes(from: name.utf8.prefix(15)) }
        return request
    }

    var flags: Int16 {
        get throws(HostError) {
            var request = request
            try check("cannot read the flags of \(name)") { ioctl(control.raw, UInt(SIOCGIFFLAGS), &request) }
            return withUnsafeBytes(of: request.ifr_ifru) { $0.load(as: Int16.self) }
        }
    }

    func setFlags(_ flags: Int16) throws(HostError) {
        var request = request
        withUnsafeMutableBytes(of: &request.ifr_ifru) { $0.storeBytes(of: flags, as: Int16.self) }
        try check("cannot change the flags of \(name)") { ioctl(control.raw, UInt(SIOCSIFFLAGS), &request) }
    }

    func features() throws(HostError) -> UInt32 {
        try ask(UInt32(ETHTOOL_GFLAGS), 0, "cannot read the offloads of \(name)")
    }

    func setFeatures(_ features: UInt32, what: String) throws(HostError) {
        _ = try ask(UInt32(ETHTOOL_SFLAGS), features, "cannot set '\(what)' on \(name)")
    }

    private func ask(_ command: UInt32, _ data: UInt32, _ what: @autoclosure () -> String) throws(HostError) -> UInt32 {
        var value = ethtool_value(cmd: command, data: data)
        var request = request
        try check(what()) {
            withUnsafeMutablePointer(to: &value) { value in
                withUnsafeMutableBytes(of: &request.ifr_ifru) {
                    $0.storeBytes(of: UInt(bitPattern: value), as: UInt.self)
                }
                return ioctl(control.raw, UInt(SIOCETHTOOL), &request)
            }
        }
        return value.data
    }
}
