// A packet socket that super-frames are sent through (packet(7), PACKET_VNET_HDR). Before it: a device of ours
// (EncapsulationDevice.swift) or an uplink (UplinkSocket.swift). After it: WholeSend.swift and DatagramExit.swift send.

import CShims
import Glibc

enum OffloadSocket {
    /// Bound to an interface; it receives nothing.
    static func open(_ index: Int32, _ name: String) throws(HostError) -> Descriptor {
        let type = Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = try Descriptor("cannot open a packet socket") { Glibc.socket(AF_PACKET, type, 0) }
        var address = sockaddr_ll()
        address.sll_family = UInt16(AF_PACKET)
        address.sll_ifindex = index
        try check("cannot bind a packet socket to \(name)") {
            withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor.raw, $0, socklen_t(MemoryLayout<sockaddr_ll>.size))
                }
            }
        }
        if !descriptor.setOption(Int32(HS_SOL_PACKET), Int32(HS_PACKET_VNET_HDR), 1) {
            throw .system("cannot send super-frames through \(name)")
        }
        descriptor.setOption(SOL_SOCKET, Int32(HS_SO_SNDBUFFORCE), Int32(8 << 20))
        return descriptor
    }
}
