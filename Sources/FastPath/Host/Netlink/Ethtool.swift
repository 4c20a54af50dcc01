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

    /// Whether a feature, as ethtool -k names it in full, is on.
    static func has(_ feature: String, _ name: String) -> Bool { features(name).contains(feature) }

    /// Every feature that is on; none where the driver does not tell.
    static func features(_ name: String) -> Set<String> {
        // struct ethtool_sset_info with room for one answer, ethtool_gstrings, ethtool_gfeatures.
        var info = [UInt32](repeating: 0, count: 5)
        info[0] = UInt32(ETHTOOL_GSSET_INFO)
        info[2] = 1 << UInt32(ETH_SS_FEATURES.rawValue)
        guard (try? ask("", name, &info)) != nil, (1...4096).contains(info[4]) else { return [] }
        let count = Int(info[4])
        var strings = [UInt32](repeating: 0, count: 3 + count * nameLength / 4)
        strings[0] = UInt32(ETHTOOL_GSTRINGS)
        strings[1] = UInt32(ETH_SS_FEATURES.rawValue)
        strings[2] = UInt32(count)
        let blocks = (count + 31) / 32
        var features = [UInt32](repeating: 0, count: 2 + blocks * 4)
        features[0] = UInt32(ETHTOOL_GFEATURES)
        features[1] = UInt32(blocks)
        guard (try? ask("", name, &strings)) != nil, (try? ask("", name, &features)) != nil else { return [] }
        let names = strings.withUnsafeBytes { Array($0.dropFirst(12)) }
        // Of each block: available, requested, active, never changed.
        let active = (0..<count).filter { features[2 + $0 / 32 * 4 + 2] >> UInt32($0 % 32) & 1 != 0 }
        return Set(active.map { names[($0 * nameLength)...].prefix(nameLength).text })
    }

    /// ETH_GSTRING_LEN
    private static var nameLength: Int { 32 }

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

    private static func ask(_ what: String, _ name: String, _ words: inout [UInt32]) throws(HostError) {
        let result = words.withUnsafeMutableBytes { bytes in
            Result { () throws(HostError) in try ask(what, name, bytes.baseAddress!) }
        }
        try result.get()
    }

    private static func ask<Value: BitwiseCopyable>(
        _ what: String, _ name: String, _ value: inout Value
    ) throws(HostError) {
        let result = withUnsafeMutableBytes(of: &value) { bytes in
            Result { () throws(HostError) in try ask(what, name, bytes.baseAddress!) }
        }
        try result.get()
    }

    private static func ask(_ what: String, _ name: String, _ value: UnsafeMutableRawPointer) throws(HostError) {
        let type = Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue)
        let control = try Descriptor(what) { socket(AF_INET, type, 0) }
        var request = ifreq()
        withUnsafeMutableBytes(of: &request.ifr_ifrn) { $0.copyBytes(from: name.utf8.prefix(15)) }
        withUnsafeMutableBytes(of: &request.ifr_ifru) {
            $0.storeBytes(of: UInt(bitPattern: value), as: UInt.self)
        }
        if ioctl(control.raw, UInt(SIOCETHTOOL), &request) != 0 { throw .system(what) }
    }
}
