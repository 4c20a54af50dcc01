// What a driver does with XDP, as the kernel tells since Linux 6.3: generic netlink, family `netdev`
// (linux/genetlink.h, linux/netdev.h, both newer than the headers of Debian 12).

import CShims
import Glibc

/// Flags of one interface (enum netdev_xdp_act).
package struct XDPFeatures: OptionSet {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }

    /// XDP in the driver.
    package static let native = XDPFeatures(rawValue: 1)
    /// It sends frames that XDP redirects to it. On a veth: as long as the other end receives by NAPI.
    package static let transmits = XDPFeatures(rawValue: 4)

    /// - Throws: also where this kernel does not tell.
    package static func of(_ interface: Int32, _ name: String) throws(HostError) -> XDPFeatures {
        let socket = try NetlinkSocket(protocol: Int32(NETLINK_GENERIC))
        var request = NetlinkRequest(type: controller, flags: Int(NLM_F_ACK), header: header(getFamily))
        request.append(familyName, Array("netdev".utf8) + [0])
        let family: Int
        do throws(HostError) {
            let answer = try socket.ask(request, "cannot ask for the netdev family").first
            family = Int(answer?.attributes(after: 4)[familyID]?.number(at: 0, as: UInt16.self) ?? 0)
        } catch {
            throw HostError(
                "this kernel does not tell what the driver of \(name) does with XDP: that takes Linux 6.3")
        }
        request = NetlinkRequest(type: family, flags: Int(NLM_F_ACK), header: header(getDevice))
        request.append(interfaceIndex, withUnsafeBytes(of: UInt32(interface)) { Array($0) })
        let answer = try socket.ask(request, "cannot ask for the XDP features of \(name)").first
        return XDPFeatures(
            rawValue: answer?.attributes(after: 4)[xdpFeatures]?.number(at: 0, as: UInt64.self) ?? 0)
    }

    /// struct genlmsghdr: command, version 1.
    private static func header(_ command: UInt32) -> UInt32 { (command | 1 << 8).littleEndian }

    private static let controller = 0x10
    private static let getFamily: UInt32 = 3
    private static let familyID = 1, familyName = 2
    private static let getDevice: UInt32 = 1
    private static let interfaceIndex = 1, xdpFeatures = 3
}
