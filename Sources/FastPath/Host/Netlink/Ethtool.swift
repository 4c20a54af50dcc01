// What ethtool(8) asks and sets, by the ioctl that every kernel has (linux/ethtool.h). Before it: an interface's name.
// After it: SpanPort.swift and InlinePair.swift, which serve every queue, and DeviceChanges.swift, which keeps tags in the frames.

import CShims
import Glibc

enum Ethtool {
    /// Number of RX queues of an interface; 1 where the driver does not tell.
    static func receiveQueues(_ name: String) -> Int {
        var channels = ethtool_channels()
        channels.cmd = UInt32(ETHTOOL_GCHANNELS)
        guard (try? ask("", name, &channels)) != nil else { return 1 }
        return max(1, Int(channels.rx_count + channels.combined_count))
    }

    /// Name of an interface's driver; nil where it has none to tell.
    static func driver(_ name: String) -> String? {
        var information = ethtool_drvinfo()
        information.cmd = UInt32(ETHTOOL_GDRVINFO)
        guard (try? ask("", name, &information)) != nil else { return nil }
        return withUnsafeBytes(of: information.driver) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    /// Whether the NIC takes the VLAN tag out of what it receives.
    static func takesTagsOut(_ name: String) throws(HostError) -> Bool { try flags(name) & rxvlan != 0 }

    static func setTakesTagsOut(_ name: String, _ isOn: Bool) throws(HostError) {
        let flags = try flags(name)
        var value = ethtool_value(cmd: UInt32(ETHTOOL_SFLAGS), data: isOn ? flags | rxvlan : flags & ~rxvlan)
        try ask("cannot turn rxvlan of \(name) \(isOn ? "on" : "off")", name, &value)
    }

    /// Whether the NIC merges received frames.
    static func mergesFrames(_ name: String) throws(HostError) -> Bool { try flags(name) & lro != 0 }

    static func setMergesFrames(_ name: String, _ isOn: Bool) throws(HostError) {
        let flags = try flags(name)
        var value = ethtool_value(cmd: UInt32(ETHTOOL_SFLAGS), data: isOn ? flags | lro : flags & ~lro)
        try ask("cannot turn lro of \(name) \(isOn ? "on" : "off")", name, &value)
    }

    private static var lro: UInt32 { UInt32(ETH_FLAG_LRO.rawValue) }
    private static var rxvlan: UInt32 { UInt32(ETH_FLAG_RXVLAN.rawValue) }

    private static func flags(_ name: String) throws(HostError) -> UInt32 {
        var value = ethtool_value(cmd: UInt32(ETHTOOL_GFLAGS), data: 0)
        try ask("cannot read the offloads of \(name)", name, &value)
        return value.data
    }

    private static func ask<Value: BitwiseCopyable>(
        _ what: String, _ name: String, _ value: inout Value
    ) throws(HostError) {
        let type = Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue)
        let control = try Descriptor(what) { socket(AF_INET, type, 0) }
        var request = ifreq()
        withUnsafeMutableBytes(of: &request.ifr_ifrn) { $0.copyBytes(from: name.utf8.prefix(15)) }
        let result = withUnsafeMutablePointer(to: &value) { value in
            withUnsafeMutableBytes(of: &request.ifr_ifru) {
                $0.storeBytes(of: UInt(bitPattern: value), as: UInt.self)
            }
            return ioctl(control.raw, UInt(SIOCETHTOOL), &request)
        }
        if result != 0 { throw .system(what) }
    }
}
