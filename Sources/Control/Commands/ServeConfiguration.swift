// What `heliostat serve` is told: flags, then the environment, then a JSON file, then defaults.
// Before: the command line. After: ServeCommand.

package import ControlModel
import Foundation
package import MirrorProgram

/// Why `heliostat serve` will not start: one line that names what is wrong.
package struct ServeError: Error, Hashable, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

/// The settings of one control process.
package struct ServeConfiguration: Hashable, Sendable {
    package static let keys =
        ["state_dir", "listen", "names", "host", "tunnel_addresses", "uplinks", "dataplane", "user"] + remoteKeys
        + operationKeys + ServeIdentitySettings.keys

    private static let remoteKeys = ["allow_remotes", "deny_remotes"]
    private static let operationKeys = ["api_only", "metrics_listen", "tunnel_id_pool", "log_format"]

    package init() {}

    package var stateDirectory = "/var/lib/heliostat"
    /// Host and port of the TCP listener; nil for none.
    var listen: (host: String, port: Int)? { try? Self.address(listenText) }
    package var listenText = "127.0.0.1:9696"
    /// Further names by which clients call the TCP listener.
    package var names: [String] = []
    /// Name of this host.
    package var host = Self.machineName
    /// Underlay addresses of this host.
    package var tunnelAddresses: [String] = []
    /// Prefixes that copies may be sent to (none: anywhere), and those that they may not.
    package var allowRemotes: [String] = []
    package var denyRemotes: [String] = []
    /// The same, once they are valid.
    package var remotes: RemoteRules {
        RemoteRules(
            allow: allowRemotes.compactMap { AddressPrefix($0) }, deny: denyRemotes.compactMap { AddressPrefix($0) })
    }
    /// Rules for interfaces that copies leave through, and the same once they are valid.
    package var uplinkTexts: [String] = []
    package var uplinks: [MirrorProgram.UplinkRule] {
        uplinkTexts.compactMap { try? MirrorProgram.UplinkRule(text: $0) }
    }
    /// Path of the dataplane's executable; nil: beside this one, or in PATH.
    package var dataplane: String?
    package var startsDataplane = true
    /// The user to become after the dataplane was started.
    package var user = "heliostat"
    /// This process serves the API on a store that another one reconciles.
    package var isAPIOnly = false
    /// Host and port of the listener for metrics and probes; nil for none.
    var metricsListen: (host: String, port: Int)? { try? Self.address(metricsListenText) }
    package var metricsListenText = "none"
    package var tunnelIDPoolText = ""
    /// Tunnel ids for services that ask for none.
    package var tunnelIDPool: ClosedRange<Int64> { (try? Self.pool(tunnelIDPoolText)) ?? TapService.tunnelIDPool }
    /// `text` or `json`.
    package var logFormat = "text"
    /// Who may call the TCP listener, and what they may do.
    package var identity = ServeIdentitySettings()

    /// Reads the file, if any.
    ///
    /// - Throws: `ServeError` naming the file and the key that is unknown or of another type.
    package mutating func read(file path: String) throws(ServeError) {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw ServeError("cannot read the configuration \(path)")
        }
        let object: JSON.Object
        do throws(JSONError) {
            guard case .object(let value) = try JSON(parsing: data) else {
                throw JSONError(description: "not an object")
            }
            object = value
        } catch { throw ServeError("the configuration \(path) is not a JSON object: \(error)") }
        for member in object.members where !Self.keys.contains(member.name) {
            throw ServeError(
                "unknown key '\(member.name)' in \(path); known: \(Self.keys.joined(separator: ", "))")
        }
        func text(_ key: String, _ set: (String) -> Void) throws(ServeError) {
            guard let value = object[key] else { return }
            guard let text = value.string else { throw ServeError("'\(key)' in \(path) must be a string") }
            set(text)
        }
        func list(_ key: String, _ set: ([String]) -> Void) throws(ServeError) {
            guard let value = object[key] else { return }
            let texts = value.array?.compactMap(\.string)
            guard let texts, texts.count == value.array?.count else {
                throw ServeError("'\(key)' in \(path) must be a list of strings")
            }
            set(texts)
        }
        try text("state_dir") { stateDirectory = $0 }
        try text("listen") { listenText = $0 }
        try list("names") { names = $0 }
        try text("host") { host = $0 }
        try list("tunnel_addresses") { tunnelAddresses = $0 }
        try list("allow_remotes") { allowRemotes = $0 }
        try list("deny_remotes") { denyRemotes = $0 }
        try list("uplinks") { uplinkTexts = $0 }
        try text("dataplane") { setDataplane($0) }
        try text("user") { user = $0 }
        if let value = object["api_only"] {
            guard let flag = value.bool else { throw ServeError("'api_only' in \(path) must be true or false") }
            isAPIOnly = flag
        }
        try text("metrics_listen") { metricsListenText = $0 }
        try text("tunnel_id_pool") { tunnelIDPoolText = $0 }
        try text("log_format") { logFormat = $0 }
        for key in ServeIdentitySettings.keys { try text(key) { identity[key] = $0 } }
    }

    package mutating func setDataplane(_ text: String) {
        startsDataplane = text != "none"
        dataplane = text == "none" || text.isEmpty ? nil : text
    }

    /// - Throws: `ServeError` for the first setting that cannot be.
    package func validate() throws(ServeError) {
        let listen = try Self.address(listenText)
        _ = try Self.address(metricsListenText)
        _ = try Self.pool(tunnelIDPoolText)
        if !["text", "json"].contains(logFormat) {
            throw ServeError("--log-format is text or json, and not '\(logFormat)'")
        }
        if isAPIOnly, listen == nil {
            throw ServeError("--api-only needs a TCP address, --listen: the Unix socket is the other process's")
        }
        if host.isEmpty || host.utf8.count > 255 {
            throw ServeError("this host needs a name of 1 to 255 bytes: --host")
        }
        try identity.validate()
        if stateDirectory.isEmpty { throw ServeError("--state-dir is empty") }
        for text in allowRemotes + denyRemotes where AddressPrefix(text) == nil {
            throw ServeError(
                "'\(text)' is not a prefix of addresses such as 192.0.2.0/24: --allow-remote, --deny-remote")
        }
        try validateUplinks()
        do throws(Validator.Refusal) {
            _ = try Validator.tunnelAddresses.check(.array(tunnelAddresses.map(JSON.string)))
        } catch { throw ServeError("--tunnel-address: \(error.reason)") }
    }

    /// `HOST:PORT`, `[::1]:PORT`, or `none`.
    static func address(_ text: String) throws(ServeError) -> (host: String, port: Int)? {
        if text == "none" { return nil }
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            throw ServeError("'\(text)' is not an address to listen on; write HOST:PORT, or none")
        }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        if host.isEmpty { throw ServeError("'\(text)' has no host; write 0.0.0.0:\(port) for all addresses") }
        return (host, Int(port))
    }

    /// `FIRST-LAST`, decimal or with 0x; empty for the usual one.
    static func pool(_ text: String) throws(ServeError) -> ClosedRange<Int64> {
        if text.isEmpty { return TapService.tunnelIDPool }
        let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { end in
            end.hasPrefix("0x") ? Int64(end.dropFirst(2), radix: 16) : Int64(end)
        }
        guard ends.count == 2, let first = ends[0], let last = ends[1], first >= 0, first <= last, last <= 0xFF_FFFF
        else {
            throw ServeError(
                "'\(text)' is not a pool of tunnel ids; write FIRST-LAST within 0 and 16777215: --tunnel-id-pool")
        }
        return first...last
    }

    private static var machineName: String {
        var name = [CChar](repeating: 0, count: 256)
        if gethostname(&name, name.count - 1) != 0 { return "localhost" }
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
