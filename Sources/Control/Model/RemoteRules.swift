// Which addresses copies may be sent to: what the operator allows, and what is never one. Before: `remote_ip` of a tap
// mirror or a destination, the tunnel addresses of a collector. After: the store, or a refusal with the reason.

package import MirrorProgram

/// A part of an address space: `192.0.2.0/24`, `2001:db8::/32`, or one address.
package struct AddressPrefix: Hashable, Sendable, LosslessStringConvertible {
    package let address: IPAddress
    /// 0 ... 32, or 0 ... 128.
    package let length: Int

    package init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = IPAddress(String(parts[0])) else { return nil }
        let bits = address.octets.count * 8
        guard let length = parts.count == 1 ? bits : Int(parts[1]), (0...bits).contains(length) else { return nil }
        self.address = address
        self.length = length
    }

    package var description: String { "\(address)/\(length)" }

    package func contains(_ other: IPAddress) -> Bool {
        let (ours, theirs) = (address.octets, other.octets)
        guard ours.count == theirs.count else { return false }
        return (0..<length).allSatisfy { bit in
            (ours[bit / 8] ^ theirs[bit / 8]) & (0x80 >> UInt8(bit % 8)) == 0
        }
    }
}

/// The operator's lists.
package struct RemoteRules: Hashable, Sendable {
    /// Empty: every address that is not denied.
    package var allow: [AddressPrefix]
    package var deny: [AddressPrefix]

    package init(allow: [AddressPrefix] = [], deny: [AddressPrefix] = []) {
        self.allow = allow
        self.deny = deny
    }

    /// Why copies may not be sent to the address, or nil.
    ///
    /// - Parameter hosts: all hosts; those that Heliostat runs on are never remote.
    package func refusal(of address: IPAddress, _ hosts: [Host]) -> String? {
        if let reason = address.unfitAsRemote { return "\(address) \(reason)" }
        if hosts.contains(where: { $0.isHeliostat && $0.tunnelAddresses.contains(address) }) {
            return "\(address) is the address of a Heliostat host: copies would come back to it"
        }
        if deny.contains(where: { $0.contains(address) }) { return "\(address) is denied by the operator" }
        if !allow.isEmpty, !allow.contains(where: { $0.contains(address) }) {
            return "\(address) is not among the addresses that the operator allows"
        }
        return nil
    }
}
