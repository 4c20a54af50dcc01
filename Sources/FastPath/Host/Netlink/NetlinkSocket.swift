// The two ways to speak rtnetlink: a query socket that asks and waits (the kernel answers at once), and a monitor
// socket that the event loop reads. After them: LinkTable and NextHopResolver.

import CShims
import Glibc

/// A NETLINK_ROUTE socket, or one of another family that only asks.
package final class NetlinkSocket {
    package let descriptor: Descriptor
    private var sequence: UInt32 = 0
    private var buffer = [UInt8](repeating: 0, count: 1 << 18)

    /// - Parameter groups: `RTMGRP_*` bits to be told of; 0 for a socket that only asks.
    package init(groups: UInt32 = 0, protocol family: Int32 = Int32(NETLINK_ROUTE)) throws(HostError) {
        let nonblocking = groups != 0 ? Int32(SOCK_NONBLOCK.rawValue) : 0
        descriptor = try Descriptor("cannot open a netlink socket") {
            socket(AF_NETLINK, Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue) | nonblocking, family)
        }
        var address = sockaddr_nl()
        address.nl_family = UInt16(AF_NETLINK)
        address.nl_groups = groups
        let raw = descriptor.raw
        try check("cannot bind a netlink socket") {
            withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(raw, $0, socklen_t(MemoryLayout<sockaddr_nl>.size))
                }
            }
        }
        // A burst of events (a thousand interfaces made at once) must fit; what does not is ENOBUFS, then a new dump.
        descriptor.setOption(SOL_SOCKET, Int32(HS_SO_RCVBUFFORCE), Int32(8 << 20))
        if groups == 0 {
            var limit = timeval(tv_sec: 2, tv_usec: 0)
            setsockopt(raw, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
    }

    /// Asks for one object, or with `dump` for all; repeated while the kernel says that a dump was interrupted.
    ///
    /// - Throws: `code` is the kernel's answer, e.g. ENETUNREACH.
    package func ask(_ request: NetlinkRequest, _ what: String) throws(HostError) -> [NetlinkMessage] {
        for _ in 0..<8 {
            if let messages = try askOnce(request, what) { return messages }
        }
        throw HostError("\(what): the kernel's tables change faster than they can be read", code: EAGAIN)
    }

    /// Messages that wait on a monitor socket; nil once: some were lost, dump again.
    package func drain() throws(HostError) -> [NetlinkMessage]? {
        var messages: [NetlinkMessage] = []
        while true {
            let count = recv(descriptor.raw, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            if count > 0 {
                messages += NetlinkMessage.parse(buffer[..<count])
            } else if count < 0, errno == ENOBUFS {
                return nil
            } else if count < 0, errno == EINTR {
                continue
            } else if count < 0, errno != EAGAIN {
                throw .system("cannot read network events")
            } else {
                return messages
            }
        }
    }

    /// One attempt; nil when it has to be repeated.
    private func askOnce(_ request: NetlinkRequest, _ what: String) throws(HostError) -> [NetlinkMessage]? {
        sequence &+= 1
        var request = request
        request.number(sequence)
        let sent = request.bytes.withUnsafeBytes { send(descriptor.raw, $0.baseAddress, $0.count, 0) }
        if sent != request.bytes.count { throw .system(what) }
        var messages: [NetlinkMessage] = []
        var interrupted = false
        while true {
            let count = recv(descriptor.raw, &buffer, buffer.count, 0)
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == ENOBUFS { return nil }
            if count <= 0 { throw .system(what) }
            for message in NetlinkMessage.parse(buffer[..<count]) where message.sequence == sequence {
                interrupted = interrupted || message.flags & Int(NLM_F_DUMP_INTR) != 0
                switch message.type {
                case Int(NLMSG_DONE):
                    return interrupted ? nil : messages
                case Int(NLMSG_ERROR):
                    let code = -message.payload.number(at: 0, as: Int32.self)
                    if code != 0 { throw .system(what, code) }
                    return messages
                default:
                    messages.append(message)
                }
                // Whoever asks for one object asks for an acknowledgement too: NLMSG_ERROR with 0 ends every answer.
            }
        }
    }
}

extension Descriptor {
    /// Sets a socket option of type int; false where the kernel refuses.
    @discardableResult
    func setOption(_ level: Int32, _ name: Int32, _ value: Int32) -> Bool {
        var value = value
        return setsockopt(raw, level, name, &value, socklen_t(MemoryLayout<Int32>.size)) == 0
    }
}
